"""What this machine can do: copy, sum, matrix products and draws, through NumPy, PyTorch (where installed) and JAX."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from _floors import Size, bytes_of_look, draws_of_look, flops_of_look


class Ceilings(NamedTuple):
    """By library: GB/s of a copy and of a sum, GFLOP/s in float32 and float64, 1e9 normal numbers a second."""

    copy: dict[str, float]
    read: dict[str, float]
    float32: dict[str, float]
    float64: dict[str, float]
    draw: dict[str, float]

    def best(self, other: Ceilings) -> Ceilings:
        """The larger of two measurements: what else the machine does only lowers them."""
        return Ceilings(*({k: max(v, b[k]) for k, v in a.items()} for a, b in zip(self, other, strict=True)))

    def floor(self, size: Size) -> tuple[float, float]:
        """Least seconds of a look by its bytes, and by its operations and draws."""
        flops = max((self.float32 if size.itemsize == 4 else self.float64).values())
        computed = flops_of_look(size) / flops + draws_of_look(size) / max(self.draw.values())
        return bytes_of_look(size) / max(self.copy.values()) / 1e9, computed / 1e9


def best(run: Callable[[], Any], repeats: int = 5) -> float:
    """Least seconds, after a first call that compiles and takes its memory."""
    jax.block_until_ready(run())
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        jax.block_until_ready(run())
        times.append(time.perf_counter() - begun)
    return min(times)


def measure(megabytes: int = 512, size: int = 4096) -> Ceilings:
    """The ceilings of this machine, with arrays far beyond its caches."""
    found = Ceilings({}, {}, {}, {}, {})
    rng = np.random.default_rng(0)
    long = rng.random(megabytes * 1_000_000 // 4, dtype=np.float32)
    squares = [rng.standard_normal((size, size)).astype(dtype) for dtype in (np.float32, np.float64)]
    for name, ways in libraries(long, squares).items():
        work = (2 * long.nbytes, long.nbytes, 2 * size**3, 2 * size**3, long.size // 8)
        for ceiling, way, done in zip(found, ways, work, strict=True):
            if way is not None:
                ceiling[name] = done / best(way) / 1e9
    return found


def libraries(long: np.ndarray, squares: list[np.ndarray]) -> dict[str, list[Callable[[], Any] | None]]:
    """Copy, sum, products in float32 and float64, draw: of NumPy, PyTorch and JAX; None where it has nothing of use."""
    target, rng = np.empty_like(long), np.random.default_rng(0)
    ways: dict[str, list[Callable[[], Any] | None]] = {}
    ways["NumPy"] = [partial(np.copyto, target, long), long.sum, *(partial(np.matmul, a, a) for a in squares)]
    ways["NumPy"].append(lambda: rng.standard_normal(long.size // 8, dtype=np.float32))
    if find_spec("torch"):
        import torch

        source, place = torch.from_numpy(long), torch.from_numpy(target)
        ways["PyTorch"] = [lambda: place.copy_(source), source.sum]
        ways["PyTorch"] += [partial(torch.matmul, *(2 * (torch.from_numpy(a),))) for a in squares]
        ways["PyTorch"].append(lambda: torch.randn(long.size // 8))
    x, product = jnp.asarray(long), jax.jit(jnp.matmul)
    square = jnp.asarray(squares[0])
    ways["JAX"] = [partial(jax.jit(jnp.negative), x), partial(jax.jit(jnp.sum), x), partial(product, square, square)]
    ways["JAX"] += [None, partial(jax.jit(partial(jax.random.normal, shape=long.size // 8)), jax.random.key(0))]
    return ways


def ceiling_table(found: Ceilings) -> list[str]:
    lines = ["| | copy (GB/s) | sum (GB/s) | float32 (GFLOP/s) | float64 (GFLOP/s) | draw (10⁶/s) |", "|-|-|-|-|-|-|"]
    for name in found.copy:
        cells = [ceiling.get(name) for ceiling in found]
        cells[-1] = cells[-1] and 1e3 * cells[-1]
        lines.append(f"| {name} | " + " | ".join("" if c is None else f"{c:.3g}" for c in cells) + " |")
    return lines
