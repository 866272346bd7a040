"""A learning rate for a big PyTorch model: check that it transfers, tune it on a small model, watch the big one learn.

python examples/learning_rate_for_a_big_model.py [width] [figure.png]
"""

import sys

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from torch import nn

from neural_limits.torch import SpectralMonitor, parametrize, transfer_check

SMALL, STEPS, SEEDS = 64, 30, 3
big = int(sys.argv[1]) if len(sys.argv) > 1 else 1024
target = sys.argv[2] if len(sys.argv) > 2 else "learning-rate.png"

digits = load_digits()
x, y = torch.tensor(digits.data / 8 - 1, dtype=torch.float32), torch.tensor(digits.target)


def make_model(width):
    return nn.Sequential(
        nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)
    )  # fmt: skip


def batch(step):
    chosen = torch.randint(len(x), (128,), generator=torch.Generator().manual_seed(step))
    return x[chosen], y[chosen]


# 1. Do the rules transfer? A few steps at small sizes.
check = transfer_check(make_model, (32, 64, 128), batches=batch, loss=F.cross_entropy, lr=1e-3, steps=8, seeds=2)
print("rules transfer:", check.passed, *check.rules)


def train(width, lr, seed=0, scheme="mup", every=None):
    """Mean loss over the second half of the updates, and a monitor if ``every`` is given."""
    torch.manual_seed(seed)
    model = make_model(width)
    rules = parametrize(model, base=make_model(SMALL), scheme=scheme, optimizer="adamw")
    optimizer = torch.optim.AdamW(rules.param_groups(lr=lr, weight_decay=0.1))
    monitor = SpectralMonitor(model, every=every, top=12) if every else None
    losses = []
    for step in range(STEPS):
        inputs, labels = batch(step + STEPS * seed)
        loss = F.cross_entropy(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if monitor is not None:
            monitor.step(loss)
    return sum(losses[STEPS // 2 :]) / (STEPS - STEPS // 2), monitor


def tune(width, scheme="mup"):
    """Loss at every rate."""
    return [sum(train(width, lr, seed, scheme)[0] for seed in range(SEEDS)) / SEEDS for lr in rates]


# 2. Tune where it is cheap; the big model takes the same number.
rates = [1e-3 * 2**k for k in range(1, 8)]
small = tune(SMALL)
best = rates[small.index(min(small))]
print(f"best rate predicted from width {SMALL}: {best:.2g}")

# 3. Train the big one, and watch its weights learn.
loss, monitor = train(big, best, every=3)
rows = monitor.to_pandas().query("matrix == '2.weight'")
last = rows.iloc[-1]
print(f"width {big}: loss {loss:.3f}, {last.outliers} outliers of the hidden weight (10 classes)")

# Here the big model is small enough to tune as well: was the prediction right, and what would have happened without?
curves = {f"width {SMALL}": small, f"width {big}, muP": tune(big), f"width {big}, standard": tune(big, "standard")}
for name, losses in curves.items():
    excess = losses[rates.index(best)] / min(losses) - 1
    print(
        f"best rate, {name}: {rates[losses.index(min(losses))]:.2g}; the predicted one has a loss {excess:.0%} higher"
    )

figure = Figure(figsize=(8, 3.2), layout="constrained")
left, right = figure.subplots(1, 2)
for name, losses in curves.items():
    left.loglog(rates, losses, "o-", ms=4, label=name)
left.axvline(best, color="0.5", ls="--", lw=1)
left.set(xlabel="learning rate", ylabel=f"loss, updates {STEPS // 2} to {STEPS}")
left.set_ylim(top=6)
left.legend(frameon=False, fontsize=8, loc="upper left")
for k in range(1, 13):
    right.plot(rows.step, rows[f"s{k}"], color="C0", lw=1)
right.axhline(last.edge, color="0.5", ls="--", lw=1)
right.set(xlabel="updates", ylabel="top singular values", title="hidden weight; dashed: edge of its initial bulk")
right.title.set_fontsize(9)
figure.savefig(target, dpi=150)
