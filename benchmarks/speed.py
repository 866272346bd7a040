"""Conditioned against dense weights: time and memory over width, as ratios in one run.

The task of the comparison: two hidden matrices, tanh, 4 inputs, 20 full-batch steps, float32. Both forms run
through the same compiled loop; times are of a second call (nothing compiles), the best of a few, and include drawing
the initial weights. Memory is what the weights hold, and what XLA says the compiled loop needs in all. One run of width
1,000,000 besides, from the first import to the end.

    python benchmarks/speed.py [--quick]
"""

from __future__ import annotations

import subprocess
import sys
import time
import warnings
from pathlib import Path

import jax
import numpy as np
from matplotlib.figure import Figure

import neural_limits as nl
from _common import FIGURES, machine, write
from neural_limits.training._loop import advance
from neural_limits.training._setup import prepare

TASK, NETWORK, SCHEME, OPTIMIZER = nl.tasks.toy(), nl.MLP(2, "tanh"), nl.MuP(gamma=4.0), nl.SGD(lr=0.3)
STEPS = 20


def seconds(width: int, weights: str, tolerance: float, repeats: int) -> tuple[float, nl.Run]:
    """Best time of a whole run after a first one that compiles."""
    best, run = np.inf, None
    for repeat in range(repeats + 1):
        begun = time.perf_counter()
        run = nl.train(
            NETWORK,
            TASK,
            SCHEME,
            OPTIMIZER,
            width=width,
            steps=STEPS,
            weights=weights,
            seed=repeat,
            tolerance=tolerance,
        )
        if repeat:
            best = min(best, time.perf_counter() - begun)
    return best, run


def weight_bytes(run: nl.Run) -> int:
    """Bytes held by the hidden weights."""
    return sum(x.nbytes for w in run.weights for x in jax.tree.leaves(w) if jax.numpy.issubdtype(x.dtype, np.floating))


def loop_bytes(width: int, weights: str, tolerance: float) -> int:
    """All the memory the compiled loop needs, arguments and temporaries, by XLA's own account."""
    ready = prepare(
        NETWORK, TASK, SCHEME, OPTIMIZER, width=width, steps=STEPS, weights=weights, seeds=0, tolerance=tolerance,
        batch=None, dtype="float32",
    )  # fmt: skip
    compiled = advance.lower(ready.state, np.int32(0), np.int32(STEPS), ready.setting, plan=ready.plan).compile()
    memory = compiled.memory_analysis()
    return memory.argument_size_in_bytes + memory.temp_size_in_bytes


def compare(widths: list[int], tolerances: tuple[float, ...]) -> tuple[list[str], dict[str, str], dict[int, float]]:
    """The table of ratios, its headlines, and the dense runs' seconds by width."""
    lines = [
        "| width | tolerance | dense (s) | conditioned (s) | times faster | dense weights (MB) | conditioned (MB) "
        "| times less | loop, times less | touched rank |",
        "|-|-|-|-|-|-|-|-|-|-|",
    ]
    told, dense_seconds = {}, {}
    for width in widths:
        full, dense = seconds(width, "dense", 1e-2, 1 if width > 10_000 else 2)
        dense_held, dense_loop, dense_seconds[width] = weight_bytes(dense), loop_bytes(width, "dense", 1e-2), full
        del dense
        for tolerance in tolerances:
            lazy, run = seconds(width, "conditioned", tolerance, 5)
            held = weight_bytes(run)
            loops = dense_loop / loop_bytes(width, "conditioned", tolerance)
            lines.append(
                f"| {width} | {tolerance:g} | {full:.2f} | {lazy:.3f} | {full / lazy:.0f} | {dense_held / 1e6:.0f} | "
                f"{held / 1e6:.1f} | {dense_held / held:.0f} | {loops:.0f} | {[w.rank for w in run.weights]} |"
            )
            print(lines[-1], flush=True)
            if width == widths[-1]:
                told[f"conditioned against dense, width {width}, tolerance {tolerance:g}"] = (
                    f"{full / lazy:.0f} times faster; weights {dense_held / held:.0f}, loop {loops:.0f} times smaller"
                )
    return lines, told, dense_seconds


def scaling(widths: list[int], tolerance: float) -> tuple[list[str], np.ndarray, float]:
    """Time against width, and its log-log slope."""
    times = np.array([seconds(width, "conditioned", tolerance, 4 if width < 100_000 else 2)[0] for width in widths])
    slope = float(np.polyfit(np.log(widths), np.log(times), 1)[0])
    lines = ["| width | " + " | ".join(map(str, widths)) + " |", "|-|" + "-|" * len(widths)]
    lines.append("| seconds | " + " | ".join(f"{t:.3f}" for t in times) + " |")
    return [*lines, "", f"log-log slope {slope:.3f}"], times, slope


ALONE = """
import sys, time
begun = time.perf_counter()
import speed
from _memory import memory
parts = speed.NETWORK, speed.TASK, speed.SCHEME, speed.OPTIMIZER
run = speed.nl.train(*parts, width=int(sys.argv[1]), steps=speed.STEPS, tolerance=1e-3)
print(f"{run.status}, loss {float(run.data.loss[0]):.3f} to {float(run.data.loss[-1]):.2g}, "
      f"touched ranks {[w.rank for w in run.weights]}; "
      f"{time.perf_counter() - begun:.0f} s, {memory('VmHWM') / 1000:.1f} GB")
"""


def alone(width: int) -> str:
    """One run in a process of its own, from the first import on: what it says, its seconds and its peak memory."""
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(width)], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def retraces(width: int) -> int:
    """New compilations of the loop in a second call with the same shapes and other numbers."""
    before = advance._cache_size()
    nl.train(NETWORK, TASK, nl.MuP(gamma=3.0), nl.SGD(lr=0.2), width=width, steps=STEPS, seed=77)
    first = advance._cache_size()
    nl.train(NETWORK, TASK, nl.MuP(gamma=3.0), nl.SGD(lr=0.1), width=width, steps=STEPS, seed=78)
    del before
    return advance._cache_size() - first


def main(quick: bool) -> None:
    warnings.simplefilter("ignore", UserWarning)
    found, told, dense = compare([2048] if quick else [4096, 8192, 16384], (1e-3,) if quick else (1e-2, 1e-3))
    lines = [f"Machine: {machine()}", "", *found, ""]
    largest = 100_000 if quick else 1_000_000
    told[f"width {largest:,}, a process of its own, imports and compilation included"] = alone(largest)
    widths = [2048, 16384] if quick else [4096, 8192, 16384, 32768, 65536, 131072, 262144]
    table, times, slope = scaling(widths, 1e-3)
    lines += [*table, "", f"compilations in a second call with the same shapes: {retraces(4096)}"]
    told["slope of log time in log width"] = f"{slope:.2f} ({widths[0]} to {widths[-1]})"
    write("speed-quick" if quick else "speed", lines, told)
    if not quick:
        figure = Figure(figsize=(5, 3.6), layout="constrained")
        axis = figure.subplots()
        axis.loglog(widths, times, "o-", label=f"conditioned, slope {slope:.2f}")
        axis.loglog(list(dense), list(dense.values()), "s--", label="dense")
        axis.set(xlabel="width n", ylabel="seconds for 20 steps, 2 hidden matrices")
        axis.legend(frameon=False)
        FIGURES.mkdir(exist_ok=True)
        figure.savefig(FIGURES / "speed.png", dpi=150)


if __name__ == "__main__":
    main("--quick" in sys.argv[1:])
