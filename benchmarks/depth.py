"""Residual networks on conditioned weights: time and memory over depth and width, and compile time over depth.

One-layer blocks, tanh, depth-muP, 4 inputs, 4 full-batch steps, float32, tolerance 1e-3. Times are of a run in which
nothing compiles, the best of three, and include drawing the initial weights. Compile time is of the training loop.

    python benchmarks/depth.py [--quick]
"""

from __future__ import annotations

import sys
import time
from functools import lru_cache

import jax
import numpy as np
from matplotlib.figure import Figure

import neural_limits as nl
from _common import FIGURES, machine, write
from neural_limits.training import prepare
from neural_limits.training._loop import advance

TASK, SCHEME, OPTIMIZER = nl.tasks.toy(samples=4, inputs=8, labels="sine"), nl.DepthMuP(), nl.SGD(lr=0.5)
STEPS, TOLERANCE = 4, 1e-3


@lru_cache
def seconds(depth: int, width: int, repeats: int = 3) -> tuple[float, float]:
    """Best time of a run, and the megabytes that its hidden weights hold."""
    times = []
    for repeat in range(repeats + 1):
        begun = time.perf_counter()
        run = nl.train(
            nl.ResNet(depth), TASK, SCHEME, OPTIMIZER, width=width, steps=STEPS, seed=repeat, tolerance=TOLERANCE
        )
        times.append(time.perf_counter() - begun)
    assert run.status == "completed"
    return min(times[1:]), run.parameters.hidden[0].layers.nbytes / 1e6


def loop(depth: int, width: int) -> tuple[float, float]:
    """Seconds to compile the training loop, and the megabytes it needs in all, by XLA's account."""
    jax.clear_caches()
    ready = prepare(
        nl.ResNet(depth), TASK, SCHEME, OPTIMIZER, width=width, steps=STEPS, weights="conditioned", seeds=0,
        tolerance=TOLERANCE, batch=None, dtype="float32",
    )  # fmt: skip
    lowered = advance.lower(ready.state, np.int32(0), np.int32(STEPS), ready.setting, plan=ready.plan)
    begun = time.perf_counter()
    compiled = lowered.compile()
    elapsed = time.perf_counter() - begun
    memory = compiled.memory_analysis()
    return elapsed, (memory.argument_size_in_bytes + memory.temp_size_in_bytes) / 1e6


def exact() -> float:
    """Best time of the exact linear theory at infinite depth: 4 updates, 4 samples."""
    times = []
    for _ in range(3):
        begun = time.perf_counter()
        nl.limits.infinite_depth.linear(TASK.x, TASK.y, steps=4, lr=0.2)
        times.append(time.perf_counter() - begun)
    return min(times)


def table(name: str, sizes: list[int], rows: list[tuple[float, float]]) -> tuple[list[str], float]:
    """Lines of a table and the log-log slope of the times."""
    times = [t for t, _ in rows]
    slope = float(np.polyfit(np.log(sizes), np.log(times), 1)[0])
    lines = [f"| {name} | " + " | ".join(map(str, sizes)) + " |", "|-|" + "-|" * len(sizes)]
    lines.append("| seconds | " + " | ".join(f"{t:.3f}" for t in times) + " |")
    lines.append("| weights (MB) | " + " | ".join(f"{m:.0f}" for _, m in rows) + " |")
    return [*lines, "", f"log-log slope of time in {name}: {slope:.3f}", ""], slope


def main(quick: bool) -> None:
    depths, widths = ([4, 16], [512, 1024]) if quick else ([16, 32, 64, 128], [2048, 4096, 8192, 16384])
    width, depth = (512, 4) if quick else (8192, 64)
    over_depth = [seconds(d, width) for d in depths]
    over_width = [seconds(depth, w) for w in widths]
    lines = [f"Machine: {machine()}", "", f"Width {width}, {STEPS} steps of 4 samples:", ""]
    part, in_depth = table("depth", depths, over_depth)
    lines += [*part, f"Depth {depth}:", ""]
    part, in_width = table("width", widths, over_width)
    lines += part
    loop(4, 512)  # what is compiled once per process is not counted
    low, high = (8, 32) if quick else (16, 256)
    shallow, deep = (min(loop(d, 1024)[0] for _ in range(1 if quick else 2)) for d in (low, high))
    lines += [
        f"compiling the loop: {shallow:.2f} s at L = {low}, {deep:.2f} s at L = {high}: {deep / shallow:.2f} times"
    ]
    lines += [f"memory of the whole loop at L = {depth}, width {width}: {loop(depth, width)[1]:.0f} MB"]
    lines += [f"exact linear theory, L = ∞, 4 steps of 4 samples: {exact():.2f} s"]
    told = {
        "slope of log time in log depth": f"{in_depth:.2f} ({depths[0]} to {depths[-1]})",
        f"compiling the loop at depth {high} against {low}": f"{deep / shallow:.2f} times as long",
    }
    write("depth-quick" if quick else "depth", lines, told)
    if not quick:
        figure = Figure(figsize=(5, 3.6), layout="constrained")
        axis = figure.subplots()
        axis.loglog(depths, [t for t, _ in over_depth], "o-", label=f"over depth, width {width}: slope {in_depth:.2f}")
        axis.loglog(widths, [t for t, _ in over_width], "s-", label=f"over width, depth {depth}: slope {in_width:.2f}")
        axis.set(xlabel="depth L or width n", ylabel="seconds for 4 steps of 4 samples")
        axis.legend(frameon=False, fontsize=8)
        FIGURES.mkdir(exist_ok=True)
        figure.savefig(FIGURES / "depth.png", dpi=150)


if __name__ == "__main__":
    main("--quick" in sys.argv[1:])
