"""The proportional limit of deep linear networks: time of single runs over steps, of a grid, and of spectra.

Single runs: depth 2, all overlaps kept. Grid: 240 rates × 9 width ratios, 50 steps, losses only. "Notebook problem":
depth 5, 100 steps, for which a solver in a published notebook takes 54 CPU-seconds. Best of five, single runs of a
second or more best of two.

    python benchmarks/deep_linear.py [--quick]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure

import neural_limits as nl
from _common import FIGURES, machine, write

NOTEBOOK_SECONDS = 54.0
solve = nl.limits.deep_linear


def best(run: Callable[[], object]) -> tuple[float, float]:
    """Least wall and CPU seconds."""
    walls, cpus = [], []
    for _ in range(5):
        wall, cpu = time.perf_counter(), time.process_time()
        run()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
        if len(walls) > 1 and walls[0] > 1:
            break
    return min(walls), min(cpus)


def main(quick: bool) -> None:
    steps = [30, 60, 125] if quick else [30, 60, 125, 250, 500, 1000]
    solve(steps=5)  # imports
    singles = [best(lambda t=t: solve(steps=t)) for t in steps]
    lines = [f"Machine: {machine()}", "", "| steps | " + " | ".join(map(str, steps)) + " |", "|-|" + "-|" * len(steps)]
    lines.append("| seconds | " + " | ".join(f"{wall:.3g}" for wall, _ in singles) + " |")
    lines.append("| CPU seconds | " + " | ".join(f"{cpu:.3g}" for _, cpu in singles) + " |")
    wall, cpu = best(lambda: solve(depth=5, steps=100))
    less = NOTEBOOK_SECONDS / cpu
    lines += ["", f"- notebook problem: {wall:.3f} s, {cpu:.3f} CPU-seconds: {less:.0f} times less CPU"]
    told = {"depth 5, 100 steps, against a published notebook's 54 CPU-seconds": f"{less:.0f} times less CPU"}
    told[f"depth 2, {steps[-1]} steps"] = f"{singles[-1][0]:.3g} s"
    rates = np.geomspace(0.01, 1.0, 24 if quick else 240)
    wall, cpu = best(
        lambda: solve(lr=rates, width_ratio=2.0 ** np.arange(-2, 7), label_noise=0.0, steps=50, kernels=False)
    )
    lines.append(f"- grid of {9 * len(rates)} runs: {wall:.2f} s, {cpu:.2f} CPU-seconds")
    told[f"grid of {9 * len(rates)} runs"] = f"{wall:.2f} s"
    sol = solve(steps=100)
    spectra = {
        "weight outliers after 60 updates": best(lambda: sol.outliers(60))[0],
        "leading NTK mode after 60 updates": best(lambda: sol.ntk_top(60))[0],
        "leading NTK mode after 99 updates": best(lambda: sol.ntk_top(99))[0],
    }
    lines += [f"- {name}: {seconds:.3f} s" for name, seconds in spectra.items()]
    write("deep-linear-quick" if quick else "deep-linear", lines, told)
    if not quick:
        figure = Figure(figsize=(5, 3.6), layout="constrained")
        axis = figure.subplots()
        axis.loglog(steps, [wall for wall, _ in singles], "o-", label="deep_linear, depth 2")
        axis.loglog(steps, singles[-1][0] * (np.array(steps) / steps[-1]) ** 3, "--", color="0.5", label="steps³")
        axis.set(xlabel="steps", ylabel="seconds")
        axis.legend(frameon=False, fontsize=8)
        figure.savefig(FIGURES / "deep-linear-speed.png", dpi=150)


if __name__ == "__main__":
    main("--quick" in sys.argv[1:])
