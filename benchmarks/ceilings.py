"""How much of the machine the products use: its measured ceilings, and looks of a `ConditionedMatrix` against them.

Ceilings: a large copy (bytes read plus written), a large sum (read only), a large matrix product, a large draw, through
NumPy, PyTorch (where installed) and JAX. The best of the three is what the rest is held against, all in one run.

A look is one `matvec` or `rmatvec`. Share of bandwidth: the least bytes that it must move (`_floors.py`), over its
time, over the best copy. Share of the roof: the time that those bytes, or the least operations and draws, would take
at the ceilings, whichever is longer, over its time. A look that adds no direction projects and applies; one that adds
`new` directions also orthogonalises them and draws their images.

    python benchmarks/ceilings.py [--quick] [--width N]

From Python, with this folder on the path: `print("\\n".join(ceilings.table(width=262_144, ranks=(64,), vectors=(4,))))`
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
import warnings
from collections.abc import Sequence
from functools import partial
from statistics import median
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array
from matplotlib.figure import Figure

import neural_limits as nl
from _ceilings import Ceilings, best, ceiling_table, measure
from _common import FIGURES, machine, write
from _floors import Size, bytes_of_look
from neural_limits.weights import ConditionedMatrix, DenseMatrix, room_needed
from neural_limits.weights._basis import Side
from neural_limits.weights._rows import Rows

WIDTH, RANKS, VECTORS = 262_144, (32, 64, 128, 256), (1, 4, 16, 64)


def touched(width: int, rank: int) -> ConditionedMatrix:
    """A matrix with ``rank`` directions known on each side, found in turn."""
    weight = ConditionedMatrix.create(
        jax.random.key(0), width, width, std=width**-0.5, capacity=rank, dtype=jnp.float32
    )

    @partial(jax.jit, donate_argnums=0)
    def both(weight: ConditionedMatrix, key: Array) -> ConditionedMatrix:
        ahead, back = jax.random.normal(key, (2, min(rank, 16), width), jnp.float32)
        return weight.matvec(ahead)[2].rmatvec(back)[2]

    for i in range(-(-rank // 16)):
        weight = both(weight, jax.random.key(i))
    assert int(weight.rank_left) == int(weight.rank_right) == rank
    return weight


def first(weight: ConditionedMatrix, rank: int) -> ConditionedMatrix:
    """A copy as it was when ``rank`` directions were known on each side."""
    sides = [
        Side(*(Rows.of(jnp.copy(rows.array()[:rank])) for rows in (side.basis, side.image)), jnp.int32(rank))
        for side in (weight.right, weight.left)
    ]
    new = (*sides, *(jnp.copy(x[:rank, :rank]) for x in (weight.cross, weight.core)))
    return jax.tree.map(jnp.copy, eqx.tree_at(lambda w: (w.right, w.left, w.cross, w.core), weight, new))


def seconds_of_look(weight: ConditionedMatrix, vectors: int, new: bool, right: bool, repeats: int) -> float:
    """Best time of a compiled look that, as in training, may overwrite the matrix. Consumes ``weight``.

    The vectors lie in the basis, or (``new``) all leave it; then the rows that they add are taken away again, untimed.
    """
    rank, width = weight.rank_right if right else weight.rank_left, weight.shape[right]
    where = lambda w: w.right if right else w.left  # noqa: E731
    key, known = jax.random.key(1_000_000), int(rank)  # not one that made the bases
    look = jax.jit(lambda w, v: (w.matvec if right else w.rmatvec)(v), donate_argnums=0)

    @partial(jax.jit, donate_argnums=0)
    def forget(weight: ConditionedMatrix) -> ConditionedMatrix:
        kept = (Rows.of(x.array().at[known:].set(0)) for x in where(weight)[:2])
        return eqx.tree_at(where, weight, Side(*kept, jnp.int32(known)))

    block = jax.random.normal(key, (vectors, width if new else known), jnp.float32)
    block = block if new else block @ where(weight).basis.array()[:known]
    if new:
        weight = weight.resize(*(known + (room_needed(vectors) if right == side else 0) for side in (False, True)))
    times = []
    for _ in range(repeats + 1):
        jax.block_until_ready((weight, block))
        begun = time.perf_counter()
        value, _, weight = jax.block_until_ready(look(weight, block))
        times.append(time.perf_counter() - begun)
        added = int(where(weight).rank) - known
        assert added == (vectors if new else 0), added
        assert int(weight.lost) == 0
        del value
        weight = forget(weight) if new else weight
    return min(times[1:])


class Measured(NamedTuple):
    """A look, and the best time of it."""

    name: str
    size: Size
    seconds: float


def looks(
    width: int = WIDTH, ranks: Sequence[int] = RANKS, vectors: Sequence[int] = VECTORS,
    new: Sequence[bool] = (False, True), repeats: int = 5,
) -> list[Measured]:  # fmt: skip
    """Looks at a square matrix of ``width``, ``ranks`` known on each side; ``new``: whether the vectors are known."""
    found, all_known = [], touched(width, max(ranks))
    for fresh, name, rank, m in itertools.product(new, ("matvec", "rmatvec"), ranks, vectors):
        taken = seconds_of_look(first(all_known, rank), m, fresh, name == "matvec", repeats)
        found.append(Measured(name, Size(width, width, rank, rank, m, m if fresh else 0), taken))
        print(f"{name}, rank {rank}, {m} vectors, {m if fresh else 0} new: {1e3 * taken:.1f} ms", flush=True)
    return found


def look_table(ceilings: Ceilings, measured: Sequence[Measured]) -> list[str]:
    """Times of looks, and their shares of the ceilings."""
    lines = [
        "| look | rank, each side | vectors | new | least traffic (MB) | ms | GB/s | share of bandwidth "
        "| share of the roof | limited by |",
        "|-|-|-|-|-|-|-|-|-|-|",
    ]
    for name, size, taken in measured:
        moved, computed = ceilings.floor(size)
        traffic, limit = bytes_of_look(size) / 1e6, "memory" if moved > computed else "operations"
        lines.append(
            f"| {name} | {size.rank} | {size.vectors} | {size.new} | {traffic:.0f} | {1e3 * taken:.1f} | "
            f"{traffic / taken / 1e3:.1f} | {moved / taken:.0%} | {max(moved, computed) / taken:.0%} | {limit} |"
        )
    return lines


def headlines(ceilings: Ceilings, measured: Sequence[Measured]) -> dict[str, str]:
    """Least and median shares, apart for looks that add directions and, of the others, for those bound by memory."""
    told = {}
    for name, new in (("add nothing", False), ("add directions", True)):
        floors = [(ceilings.floor(size), taken) for _, size, taken in measured if bool(size.new) == new]
        memory = [moved / taken for (moved, computed), taken in floors if moved > computed]
        roof = [max(floor) / taken for floor, taken in floors]
        which = f"looks that {name}, width {measured[0].size.near}"
        told[f"{which}, bound by memory: share of bandwidth"] = least_and_median(memory)
        told[f"{which}, all: share of the roof"] = least_and_median(roof)
    return told


def least_and_median(shares: Sequence[float]) -> str:
    return f"{min(shares):.0%} at least, {median(shares):.0%} in the median" if shares else "none"


def draw(ceilings: Ceilings, measured: Sequence[Measured]) -> None:
    """Share of the roof over the number of vectors, a line for each rank; forward looks and backward ones apart."""
    figure = Figure(figsize=(8.4, 3.4), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for axis, new, title in zip(axes, (False, True), ("no new direction", "all directions new"), strict=True):
        for name, style in (("matvec", "o-"), ("rmatvec", "s--")):
            for i, rank in enumerate(sorted({size.rank for _, size, _ in measured})):
                points = [
                    (size.vectors, max(ceilings.floor(size)) / taken)
                    for kind, size, taken in measured
                    if (kind, size.rank, bool(size.new)) == (name, rank, new)
                ]
                label = f"rank {rank}" if name == "matvec" else None
                axis.semilogx(*zip(*points, strict=True), style, color=f"C{i}", ms=4, lw=1, label=label)
        axis.axhline(0.6, color="0.6", lw=0.8, ls=":")
        axis.set(xlabel="vectors", title=title)
    axes[0].set(ylabel="share of the roof", ylim=(0, None))
    axes[0].legend(frameon=False, fontsize=8)
    FIGURES.mkdir(exist_ok=True)
    figure.savefig(FIGURES / "ceilings.png", dpi=150)


def table(width: int = WIDTH, **options: Any) -> list[str]:
    """Ceilings before and after, and `looks` (its options) between them."""
    before, measured = measure(), looks(width, **options)
    ceilings = before.best(measure())
    return [*ceiling_table(ceilings), "", *look_table(ceilings, measured)]


def dense_table(found: Ceilings, width: int, vectors: Sequence[int] = VECTORS) -> list[str]:
    """The same for a dense matrix: every entry is read once, and written once where it changes."""
    lines = ["| dense | vectors | least traffic (MB) | ms | share of bandwidth | share of the roof |", "|-|-|-|-|-|-|"]
    weight = DenseMatrix.create(jax.random.key(0), width, width, std=width**-0.5, dtype=jnp.float32)
    add = jax.jit(lambda w, v: w.add_outer(v, v), donate_argnums=0)
    for m in vectors:
        block = jax.random.normal(jax.random.key(m), (m, width), jnp.float32)
        times = {
            name: best(partial(jax.jit(lambda w, v, name=name: getattr(w, name)(v)[0]), weight, block))
            for name in ("matvec", "rmatvec")
        }
        changing = []
        for _ in range(6):
            begun = time.perf_counter()
            weight = jax.block_until_ready(add(weight, block))
            changing.append(time.perf_counter() - begun)
        times["add_outer"] = min(changing[1:])
        for name, taken in times.items():
            traffic = 4 * ((2 if name == "add_outer" else 1) * width**2 + 2 * m * width)
            moved = traffic / max(found.copy.values()) / 1e9
            roof = max(moved, 2 * m * width**2 / max(found.float32.values()) / 1e9)
            lines.append(
                f"| {name} | {m} | {traffic / 1e6:.0f} | {1e3 * taken:.1f} | {moved / taken:.0%} | {roof / taken:.0%} |"
            )
    return lines


def run_table(found: Ceilings, widths: Sequence[int], steps: int = 20, tolerance: float = 1e-3) -> list[str]:
    """Whole runs of `speed.py`'s task, against the sum of the floors of all their looks."""
    lines = ["| width | ranks | least traffic (GB) | s | share of bandwidth | share of the roof |", "|-|-|-|-|-|-|"]
    task, network, scheme, optimizer = nl.tasks.toy(), nl.MLP(2, "tanh"), nl.MuP(gamma=4.0), nl.SGD(lr=0.3)
    for width in widths:
        times = []
        for _ in range(4):
            begun = time.perf_counter()
            run = nl.train(network, task, scheme, optimizer, width=width, steps=steps, tolerance=tolerance)
            times.append(time.perf_counter() - begun)
        looks = looks_of_run(run, len(task.x))
        moved, computed = (sum(part) for part in zip(*map(found.floor, looks), strict=True))
        taken, traffic = min(times[1:]), sum(map(bytes_of_look, looks)) / 1e9
        lines.append(
            f"| {width} | {[w.rank for w in run.weights]} | {traffic:.1f} | {taken:.2f} | {moved / taken:.0%} | "
            f"{max(moved, computed) / taken:.0%} |"
        )
    return lines


def looks_of_run(run: nl.Run, samples: int) -> list[Size]:
    """Every look of a run, its ranks read from what the run recorded: forward, backward, forward, ..."""
    width = run.weights[0].shape[0]
    left, right = (run.data[name].values.astype(int) for name in ("rank_left", "rank_right"))
    looks = []
    for step in range(len(right)):
        known = (left[step - 1], right[step - 1]) if step else (0 * left[0], 0 * right[0])
        for l in range(right.shape[1]):
            looks.append(Size(width, width, known[1][l], known[0][l], samples, right[step][l] - known[1][l]))
            if step < len(right) - 1:  # the last step looks forward only
                looks.append(Size(width, width, known[0][l], right[step][l], samples, left[step][l] - known[0][l]))
    return looks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--width", type=int)
    options = parser.parse_args()
    quick, width = options.quick, options.width or (32_768 if options.quick else WIDTH)
    warnings.simplefilter("ignore", UserWarning)
    size = (256, 2048) if quick else (512, 4096)
    found = measure(*size)
    ranks, vectors = ((128,), (4,)) if quick else (RANKS, VECTORS)
    measured = looks(width, ranks, vectors)
    found = found.best(measure(*size))
    lines = [
        f"Machine: {machine()}; {len(os.sched_getaffinity(0))} processors to run on",
        "",
        *ceiling_table(found),
        "",
    ]
    lines += [f"Looks, width {width}, float32, full buffers:", "", *look_table(found, measured), ""]
    square = 4096 if quick else 8192
    lines += [f"Dense, {square} x {square}, float32:", "", *dense_table(found, square, vectors), ""]
    lines += ["Whole runs, two hidden matrices, 4 samples, 20 steps, tolerance 1e-3:", ""]
    lines += run_table(found, (width,) if quick else (16_384, 65_536, width))
    write("ceilings-quick" if quick else "ceilings", lines, headlines(found, measured))
    if not quick:
        draw(found, measured)


if __name__ == "__main__":
    main()
