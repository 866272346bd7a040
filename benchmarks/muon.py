"""Muon on conditioned weights beside dense Muon in law, what the tolerance costs, and a network of width 1,000,000.

Two hidden tanh matrices, 4 inputs, muP, lr 0.1, momentum 0.9, five Newton-Schulz steps, float32. In law: mean losses of
so many seeds at five steps, and the largest difference in standard errors.

    python benchmarks/muon.py [--quick]
"""

from __future__ import annotations

import sys
import time

import numpy as np
from numpy import ndarray

import neural_limits as nl
from _common import machine, write
from _memory import memory

NETWORK, TASK, SCHEME = nl.MLP(hidden=2), nl.tasks.toy(), nl.MuP(gamma=4.0)
OPTIMIZER = nl.Muon(lr=0.1, momentum=0.9)
AT = [1, 3, 5, 8, 12]
MILLION = 1_000_000


def losses(width: int, seeds: int, weights: str, tolerance: float = 1e-3) -> tuple[ndarray, int]:
    """(seed, AT), and the largest touched rank."""
    data, parameters = nl.train_ensemble(
        NETWORK, TASK, SCHEME, OPTIMIZER, width=width, steps=AT[-1], seeds=range(seeds), weights=weights,
        tolerance=tolerance, dtype="float32",
    )  # fmt: skip
    rank = max(w.rank for w in parameters.hidden) if weights == "conditioned" else 0
    return data.loss.values[:, AT], rank


def apart(a: ndarray, b: ndarray) -> tuple[float, float]:
    """Largest difference of the means over steps: in standard errors, and relative."""
    difference = a.mean(0) - b.mean(0)
    error = np.sqrt(a.var(0, ddof=1) / len(a) + b.var(0, ddof=1) / len(b))
    return float(np.abs(difference / error).max()), float(np.abs(difference / b.mean(0)).max())


def law(widths: dict[int, int]) -> list[str]:
    lines = ["| width | seeds | last loss, dense | conditioned | largest difference, standard errors |", "|-|-|-|-|-|"]
    for width, seeds in widths.items():
        dense, (ours, _) = losses(width, seeds, "dense")[0], losses(width, seeds, "conditioned")
        shown = [f"{x[:, -1].mean():.5f} ± {x[:, -1].std(ddof=1) / seeds**0.5:.5f}" for x in (dense, ours)]
        lines.append(f"| {width} | {seeds} | {shown[0]} | {shown[1]} | {apart(ours, dense)[0]:.1f} |")
    return lines


def tolerances(width: int, seeds: int) -> list[str]:
    lines = [f"| tolerance at width {width} | touched rank | difference from dense, standard errors | relative |"]
    lines.append("|-|-|-|-|")
    dense = losses(width, seeds, "dense")[0]
    for tolerance in (3e-2, 1e-2, 3e-3, 1e-3):
        ours, rank = losses(width, seeds, "conditioned", tolerance)
        errors, relative = apart(ours, dense)
        lines.append(f"| {tolerance:g} | {rank} | {errors:.1f} | {100 * relative:.1f} % |")
    return lines


def wide(width: int, steps: int = 20) -> tuple[str, dict[str, str]]:
    """What a run of that width takes, in a sentence and as a headline."""
    begun = time.perf_counter()
    run = nl.train(NETWORK, TASK, SCHEME, OPTIMIZER, width=width, steps=steps, tolerance=1e-3, dtype="float32")
    seconds = time.perf_counter() - begun
    ranks = ", ".join(str(w.rank) for w in run.weights)
    first, last = (float(run.data.loss[i]) for i in (0, -1))
    needs = f"{seconds:.0f} s with compilation, {memory('VmHWM') / 1000:.1f} GB"
    text = (
        f"Width {width:,}, {steps} steps: {run.status}, loss {first:.4f} to {last:.2g}, touched ranks {ranks}; "
        f"{needs} at most in this process."
    )
    return text, {f"Muon, width {width:,}, {steps} steps": needs}


def main(quick: bool) -> None:
    first, told = wide(MILLION // 50 if quick else MILLION)  # before anything else takes memory
    lines = [f"Machine: {machine()}", "", first, ""]
    lines += [*law({64: 4} if quick else {256: 48, 512: 32, 1024: 16, 2048: 8}), ""]
    lines += [] if quick else tolerances(1024, 16)
    write("muon-quick" if quick else "muon", lines, told)


if __name__ == "__main__":
    main("--quick" in sys.argv[1:])
