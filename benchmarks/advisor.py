"""Whether the largest stable learning rate transfers under each parametrization: `nl.advise_learning_rate` on digits.

Digits 0 and 1, 50 samples, one hidden matrix, tanh, 20 steps, dense weights, float32. Means over seeds at each width;
the slope of log(stable rate) over log(width) with its 95 % interval.

    python benchmarks/advisor.py [--quick]
"""

from __future__ import annotations

import sys
import time

from scipy import stats

import neural_limits as nl
from _common import machine, write
from neural_limits.advice import Advice

SCHEMES = {
    "muP, γ = 1": nl.MuP(gamma=1.0),
    "NTK, γ = √128 (muP at width 128)": nl.NTK(gamma=128**0.5),
    "NTK, γ = 1": nl.NTK(gamma=1.0),
    "standard, γ = 1": nl.Standard(),
}


def row(name: str, advice: Advice) -> str:
    """Of the table."""
    data, seeds = advice.data, advice.data.sizes["seed"]
    means = [data[rate].mean("seed").values for rate in ("stable_lr", "naive_lr", "divergence_lr")]
    means.append(data.matched_loss.isel(step=-1).mean("seed").values)
    cells = [", ".join(f"{value:.3g}" for value in values) for values in means]
    half = float(stats.t.ppf(0.975, seeds - 1) * data.slope_stderr)
    return f"| {name} | {' | '.join(cells)} | {float(data.slope):+.3f} ± {half:.3f} | {advice.transfers} |"


def main(quick: bool) -> None:
    task = nl.tasks.digits(classes=(0, 1), samples=50)
    widths, seeds, steps = ((32, 64), (0, 1), 3) if quick else ((128, 512, 2048), (0, 1, 2), 20)
    lines = [
        f"Machine: {machine()}; widths {', '.join(map(str, widths))}; {len(seeds)} seeds, {steps} steps",
        "",
        "| parametrization | `stable_lr` | `naive_lr` | `divergence_lr` | last loss at `matched_lr` | slope | |",
        "|-|-|-|-|-|-|-|",
    ]
    told = {}
    for name, scheme in SCHEMES.items():
        begun = time.perf_counter()
        advice = nl.advise_learning_rate(
            nl.MLP(hidden=1), task, scheme, widths=widths, steps=steps, seeds=seeds, weights="dense", dtype="float32"
        )
        lines.append(row(name, advice))
        told[f"{name}: stable rate over width"] = advice.transfers
        print(lines[-1], f"{time.perf_counter() - begun:.0f} s", flush=True)
    write("advisor-quick" if quick else "advisor", lines, told)


if __name__ == "__main__":
    main("--quick" in sys.argv[1:])
