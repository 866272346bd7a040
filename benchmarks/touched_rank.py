"""The touched rank against tolerance, samples and steps, and what it costs in time, memory and accuracy.

Digits, ten classes, softmax, tanh, one hidden matrix, muP, rate 2, full batch. Differences are relative, of the final
loss and of the outliers: conditioned runs against the one with the smallest tolerance from the same seed, the dense
run of the same width (another draw of the weights, so it differs by chance too) against the same. Times are of a
second run, in which nothing compiles.

    python benchmarks/touched_rank.py [--quick]
"""

from __future__ import annotations

import sys
import time
import warnings

import numpy as np
from matplotlib.figure import Figure

import neural_limits as nl
from _common import FIGURES, machine, write


def one(width: int, samples: int, steps: int, tolerance: float | None) -> dict[str, float | np.ndarray]:
    """A run and what is to be compared; without a tolerance the dense one."""
    task, form = nl.tasks.digits(samples=samples), "dense" if tolerance is None else "conditioned"
    options = {"width": width, "steps": steps, "weights": form, "tolerance": tolerance or 1e-2}
    for _ in range(2):
        begun = time.perf_counter()
        run = nl.train(nl.MLP(1), task, nl.MuP(), nl.SGD(2.0), **options)
        elapsed = time.perf_counter() - begun
    weight = run.weights[0]
    found = nl.spectra.outliers(weight)
    touched = ("rank_left", "rank_right")
    left, right = (run.data[name].values[:, 0] if tolerance else np.full(steps + 1, width) for name in touched)
    megabytes = (weight.nbytes if tolerance else weight.value.nbytes) / 1e6
    return {
        "seconds": elapsed, "loss": float(run.data.loss[-1]), "outliers": found.values, "left": left, "right": right,
        "megabytes": megabytes,
    }  # fmt: skip


def main(quick: bool) -> None:
    warnings.simplefilter("ignore", UserWarning)
    width, steps = (2048, 10) if quick else (8192, 100)
    tolerances = (3e-2, 1e-1) if quick else (3e-3, 1e-2, 3e-2, 1e-1)
    samples = (4,) if quick else (4, 16, 64)
    lines = [
        f"Machine: {machine()}",
        "",
        f"Width {width}, {steps} steps, float32.",
        "",
        "| samples | tolerance | features | backward | MB | seconds | loss | loss, rel. diff. | outliers "
        "| outliers, max rel. diff. |",
        "|-|-|-|-|-|-|-|-|-|-|",
    ]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    over_steps, over_tolerance = figure.subplots(1, 2)
    told = {}
    for i, p in enumerate(samples):
        results = {tol: one(width, p, steps, tol) for tol in tolerances}
        best = results[tolerances[0]]
        for j, (tol, r) in enumerate([*results.items(), ("dense", one(width, p, steps, None))]):
            k = min(len(r["outliers"]), len(best["outliers"]))
            gap = np.abs(r["outliers"][:k] / best["outliers"][:k] - 1).max() if k else np.nan
            lines.append(
                f"| {p} | {tol} | {r['right'][-1]} | {r['left'][-1]} | {r['megabytes']:.0f} | {r['seconds']:.1f} | "
                f"{r['loss']:.4g} | {r['loss'] / best['loss'] - 1:+.1e} | {len(r['outliers'])} | {gap:.1e} |"
            )
            print(lines[-1], flush=True)
            if tol in (1e-2, 3e-2):
                told[f"{p} samples, {steps} steps, width {width}, tolerance {tol:g}"] = (
                    f"touched rank {r['left'][-1] + r['right'][-1]}, outliers off by {gap:.0e}"
                )
            if tol == "dense":
                continue
            total = r["left"] + r["right"]
            over_steps.plot(np.arange(1, steps), total[1:-1], color=f"C{i}", ls=("-", "--", "-.", ":")[j % 4], lw=1)
        totals = [r["left"][-1] + r["right"][-1] for r in results.values()]
        over_tolerance.loglog(tolerances, totals, "o-", color=f"C{i}", label=f"{p} samples")
    over_steps.set(xlabel="updates made", ylabel="touched rank, left + right", xscale="log", yscale="log")
    over_steps.set_title("lines: tolerance " + ", ".join(f"{t:g}" for t in tolerances), fontsize=9)
    over_tolerance.axhline(width / 2, color="0.5", ls=":", lw=1)
    over_tolerance.text(tolerances[0], width / 2, "half the width: dense is cheaper above", fontsize=8, va="bottom")
    over_tolerance.set(xlabel="tolerance", ylabel="touched rank at the end")
    over_tolerance.legend(frameon=False)
    if not quick:
        lines += ["", "Where a dense matrix becomes cheaper (64 samples, tolerance 0.01):", ""]
        lines += ["| width | touched rank / width | seconds, conditioned | seconds, dense |", "|-|-|-|-|"]
        for narrow in (2048, 4096):
            lazy, full = one(narrow, 64, steps, 1e-2), one(narrow, 64, steps, None)
            rank = (lazy["left"][-1] + lazy["right"][-1]) / narrow
            lines.append(f"| {narrow} | {rank:.2f} | {lazy['seconds']:.1f} | {full['seconds']:.1f} |")
            print(lines[-1], flush=True)
    write("touched-rank-quick" if quick else "touched-rank", lines, told)
    if not quick:
        FIGURES.mkdir(exist_ok=True)
        figure.savefig(FIGURES / "touched-rank.png", dpi=150)


if __name__ == "__main__":
    main("--quick" in sys.argv[1:])
