"""`neural_limits.torch.parametrize` beside the `mup` package: the same losses, step by step, on the same models.

    python benchmarks/mup_peer.py [--quick]        # in an interpreter that has `mup` and `torch`

mup writes its multipliers into the forward pass (MuReadout, 1/d attention), we fold them into the weights; both start
from the same draw. In float64, with Adam's epsilon out of the way, losses over 20 steps must agree to rounding. The
last column is the largest relative difference; the one before it, what the same run gives without parametrization.
"""

from __future__ import annotations

import sys
from importlib.metadata import version

import mup
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from _common import machine, write
from neural_limits.torch import parametrize


class MLP(nn.Module):
    def __init__(self, width: int, readout: type[nn.Linear]) -> None:
        super().__init__()
        self.first, self.hidden, self.last = nn.Linear(16, width), nn.Linear(width, width), readout(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.relu(self.hidden(F.relu(self.first(x)))))


class ResNet(nn.Module):
    def __init__(self, width: int, readout: type[nn.Linear]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, width, 3, padding=1)
        self.blocks = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(4))
        self.head = readout(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for first, second in zip(self.blocks[::2], self.blocks[1::2], strict=True):
            x = x + second(F.relu(first(x)))
        return self.head(x.mean((2, 3)))


class Attention(nn.Module):
    def __init__(self, width: int, by_dimension: bool) -> None:
        super().__init__()
        self.num_heads, self.head_dim = 4, width // 4
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.scale = BASE_HEAD**0.5 / self.head_dim if by_dimension else self.head_dim**-0.5

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (part.unflatten(-1, (4, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, -1))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=self.scale)
        return self.proj(mixed.transpose(1, 2).flatten(2))


class Transformer(nn.Module):
    def __init__(self, width: int, readout: type[nn.Linear]) -> None:
        super().__init__()
        self.tokens = nn.Embedding(32, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.attn = Attention(width, readout is mup.MuReadout)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.head = readout(width, 32, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.tokens(tokens)
        x = x + self.attn(self.norms[0](x))
        x = x + self.down(F.gelu(self.up(self.norms[1](x))))
        return self.head(self.norms[2](x))


BASE, BASE_HEAD, WIDTH, STEPS = 32, 8, 256, 20
EPS = {"eps": 1e-30}
PEERS = {
    "sgd": (mup.MuSGD, torch.optim.SGD, {"lr": 0.05, "weight_decay": 0.0}, {}),
    "adam": (mup.MuAdam, torch.optim.Adam, {"lr": 0.01, "weight_decay": 0.0}, EPS),
    "adamw": (mup.MuAdamW, torch.optim.AdamW, {"lr": 0.01, "weight_decay": 0.1}, EPS),
}


def data(kind: type[nn.Module]) -> tuple[Tensor, Tensor]:
    torch.manual_seed(5)
    if kind is Transformer:
        return torch.randint(32, (8, 8)), torch.randint(32, (8, 8))
    shape = (16, 2, 4, 4) if kind is ResNet else (16, 16)
    return torch.randn(shape, dtype=torch.float64), torch.randint(5, (16,))


def make(kind: type[nn.Module], width: int, readout: type[nn.Linear], seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return kind(width, readout).double()


def losses(model: nn.Module, optimizer: torch.optim.Optimizer, kind: type[nn.Module]) -> Tensor:
    x, y = data(kind)
    found = []
    for _ in range(STEPS):
        value = F.cross_entropy(model(x).flatten(0, -2), y.flatten())
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        found.append(value.detach())
    return torch.stack(found)


def compare(kind: type[nn.Module], name: str) -> tuple[float, float, float]:
    """Last loss; largest relative difference without parametrization, and with it."""
    mu_optimizer, optimizer, rates, eps = PEERS[name]
    theirs = make(kind, WIDTH, mup.MuReadout, 0)
    mup.set_base_shapes(theirs, make(kind, BASE, mup.MuReadout, 1), delta=make(kind, 2 * BASE, mup.MuReadout, 1))
    expected = losses(theirs, mu_optimizer(theirs.parameters(), **rates, **eps), kind)
    ours, plain = make(kind, WIDTH, nn.Linear, 0), make(kind, WIDTH, nn.Linear, 0)
    p = parametrize(ours, make(kind, BASE, nn.Linear, 1), "mup", name)
    got = losses(ours, optimizer(p.param_groups(**rates, **eps)), kind)
    other = losses(plain, optimizer(plain.parameters(), **rates, **eps), kind)
    return float(expected[-1]), *(float(((run - expected) / expected).abs().max()) for run in (other, got))


def main(quick: bool) -> None:
    title = f"Machine: {machine()}; torch {torch.__version__}, mup {version('mup')}"
    lines = [title, "", f"Width {WIDTH}, base {BASE}, {STEPS} steps:", ""]
    lines += ["| model | optimizer | last loss | difference, not parametrized | parametrized |", "|-|-|-|-|-|"]
    worst = 0.0
    for kind in (MLP,) if quick else (MLP, ResNet, Transformer):
        for name in PEERS:
            last, plain, ours = compare(kind, name)
            lines.append(f"| {kind.__name__} | {name} | {last:.4f} | {plain:.1e} | {ours:.1e} |")
            print(lines[-1], flush=True)
            worst = max(worst, ours)
    told = {f"losses of {STEPS} steps, largest relative difference from mup": f"{worst:.0e}"}
    write("mup-quick" if quick else "mup", lines, told)


if __name__ == "__main__":
    main("--quick" in sys.argv[1:])
