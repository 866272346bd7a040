"""Two choices inside the products with weights, timed against what they replace, as ratios in one run.

`inner` (weights/_products.py) keeps XLA from turning a product with few vectors around; `outer` of a dense matrix
(weights/_dense.py) is a fused sum for few vectors and a matrix product for many.

    python benchmarks/products.py [--quick]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from _common import machine, write
from neural_limits.weights._dense import FUSED_VECTORS
from neural_limits.weights._products import inner


def seconds(function: Callable[..., Array], *arguments: Array, repeats: int = 7) -> float:
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


def main(quick: bool) -> None:
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> Array:
        return jnp.asarray(rng.standard_normal(shape, dtype=np.float32))

    basis = normal(256, 16_384 if quick else 262_144)
    square = normal(*(2 * (1024 if quick else 8192,)))
    lines = [f"Machine: {machine()}; float32.", "", "Inner products of m vectors with all rows:", ""]
    lines += ["| rows | m | plain (ms) | inner (ms) | times faster |", "|-|-|-|-|-|"]
    told = {}
    for rows in (basis, square):
        for m in (1, 4, 16, 64):
            vectors = normal(m, rows.shape[1])
            slow, fast = seconds(plain, rows, vectors), seconds(inner, rows, vectors)
            lines.append(
                f"| {rows.shape[0]} x {rows.shape[1]} | {m} | {1e3 * slow:.1f} | {1e3 * fast:.1f} | {slow / fast:.2f} |"
            )
            if m == 4:
                told[f"`inner`, {rows.shape[0]} x {rows.shape[1]}, {m} vectors"] = f"{slow / fast:.1f} times faster"
    lines += ["", f"Adding m outer products to {square.shape[0]} x {square.shape[1]}"]
    lines[-1] += f" (fused up to m = {FUSED_VECTORS}):"
    lines += ["", "| m | product (ms) | fused (ms) | fused, times faster |", "|-|-|-|-|"]
    for m in (1, 2, 4, 8, 16, 32):
        left, right = normal(m, square.shape[0]), normal(m, square.shape[1])
        slow, fast = seconds(product, square, left, right), seconds(fused, square, left, right)
        lines.append(f"| {m} | {1e3 * slow:.1f} | {1e3 * fast:.1f} | {slow / fast:.2f} |")
        if m == 2:
            told[f"`outer` fused, {square.shape[0]} x {square.shape[1]}, {m} vectors"] = (
                f"{slow / fast:.1f} times faster"
            )
    write("products-quick" if quick else "products", lines, told)


if __name__ == "__main__":
    main("--quick" in sys.argv[1:])
