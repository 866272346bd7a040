"""Choices inside the products with weights, timed against what they replace, as ratios in one run.

`inner` (weights/_products.py) keeps XLA from turning a product with few vectors around; `Rows` (weights/_rows.py) skips
empty rows; `normal` (weights/_draws.py) draws in one pass; `outer` of a dense matrix (weights/_dense.py) is a fused sum
for few vectors and a matrix product for many.

    python benchmarks/products.py [--quick]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from _common import machine, write
from neural_limits.weights._dense import FUSED_VECTORS
from neural_limits.weights._draws import normal
from neural_limits.weights._products import inner
from neural_limits.weights._rows import Rows


def seconds(function: Callable[..., Array], *arguments: Any, repeats: int = 7) -> float:
    """Best time of the compiled function."""
    compiled = jax.jit(function)
    compiled(*arguments).block_until_ready()
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        compiled(*arguments).block_until_ready()
        times.append(time.perf_counter() - begun)
    return min(times)


def fused(matrix: Array, left: Array, right: Array) -> Array:
    """The matrix plus a sum of outer products, element by element."""
    return matrix + sum(
        (left[j, :, None] * right[j, None, :] for j in range(1, left.shape[0])),
        start=left[0, :, None] * right[0, None, :],
    )


def product(matrix: Array, left: Array, right: Array) -> Array:
    """The same by a matrix product."""
    return matrix + left.T @ right


def plain(rows: Array, vectors: Array) -> Array:
    """What `inner` computes, as XLA likes to order it."""
    return (rows @ vectors.T).T


def inner_table(told: dict[str, str], *matrices: Array) -> list[str]:
    lines = ["Inner products of m vectors with all rows:", ""]
    lines += ["| rows | m | plain (ms) | inner (ms) | times faster |", "|-|-|-|-|-|"]
    for rows in matrices:
        count, length = rows.shape
        for m in (1, 4, 16, 64):
            vectors = drawn(m, length)
            slow, fast = seconds(plain, rows, vectors), seconds(inner, rows, vectors)
            lines.append(f"| {count} x {length} | {m} | {1e3 * slow:.1f} | {1e3 * fast:.1f} | {slow / fast:.2f} |")
            if m == 4:
                told[f"`inner`, {count} x {length}, {m} vectors"] = f"{slow / fast:.1f} times faster"
    return lines


def rows_table(told: dict[str, str], capacity: int, length: int, m: int = 4) -> list[str]:
    """Both products of 4 vectors with buffers of one capacity, by how many of their rows are filled."""
    lines = [f"{m} vectors and buffers of {capacity} x {length}, in one array and in pieces:", ""]
    lines += ["| filled | inner (ms) | pieces (ms) | combine (ms) | pieces (ms) |", "|-|-|-|-|-|"]
    vectors, coefficients = drawn(m, length), drawn(m, capacity)
    for filled in (capacity // 8, capacity // 4, capacity // 2, capacity):
        array = drawn(capacity, length).at[filled:].set(0)
        rows, rank = Rows.of(array), jnp.int32(filled)
        times = (
            seconds(inner, array, vectors), seconds(Rows.inner, rows, vectors, rank),
            seconds(jnp.matmul, coefficients, array), seconds(Rows.combine, rows, coefficients, rank),
        )  # fmt: skip
        lines.append(f"| {filled} | " + " | ".join(f"{1e3 * t:.1f}" for t in times) + " |")
        if filled == capacity // 4:
            ratio = (times[0] + times[2]) / (times[1] + times[3])
            told[f"rows in pieces, a quarter filled, {capacity} x {length}"] = f"{ratio:.1f} times faster"
    return lines


def draws_table(told: dict[str, str], shape: tuple[int, int]) -> list[str]:
    key = jax.random.key(0)
    theirs, ours = (seconds(lambda k, f=f: f(k, shape, jnp.float32), key) for f in (jax.random.normal, normal))
    told[f"normal draws, {shape[0]} x {shape[1]}"] = f"{theirs / ours:.1f} times faster"
    lines = [f"Normal draws, {shape[0]} x {shape[1]}: `jax.random.normal` {1e3 * theirs:.1f} ms, `normal` "]
    lines[0] += f"{1e3 * ours:.1f} ms, {theirs / ours:.1f} times faster."
    return lines


def outer_table(told: dict[str, str], square: Array) -> list[str]:
    n, p = square.shape
    lines = [f"Adding m outer products to {n} x {p} (fused up to m = {FUSED_VECTORS}):", ""]
    lines += ["| m | product (ms) | fused (ms) | fused, times faster |", "|-|-|-|-|"]
    for m in (1, 2, 4, 8, 16, 32):
        left, right = drawn(m, n), drawn(m, p)
        slow, fast = seconds(product, square, left, right), seconds(fused, square, left, right)
        lines.append(f"| {m} | {1e3 * slow:.1f} | {1e3 * fast:.1f} | {slow / fast:.2f} |")
        if m == 2:
            told[f"`outer` fused, {n} x {p}, {m} vectors"] = f"{slow / fast:.1f} times faster"
    return lines


def drawn(*shape: int) -> Array:
    return jnp.asarray(np.random.default_rng(0).standard_normal(shape, dtype=np.float32))


def main(quick: bool) -> None:
    width = 16_384 if quick else 262_144
    square = drawn(*(2 * (1024 if quick else 8192,)))
    told: dict[str, str] = {}
    lines = [f"Machine: {machine()}; float32.", "", *inner_table(told, drawn(256, width), square), ""]
    lines += [*rows_table(told, 128, width), "", *draws_table(told, (4, width)), "", *outer_table(told, square)]
    write("products-quick" if quick else "products", lines, told)


if __name__ == "__main__":
    main("--quick" in sys.argv[1:])
