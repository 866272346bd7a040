"""Standard normal numbers, several times faster than JAX's own on processors.

The random bits are JAX's (Threefry-2x32 on a counter for each number), written out so that XLA makes one pass of them;
JAX's form for processors is a loop of five passes, and its inverse error function is not vectorised there
(benchmarks/products.py). A number depends on the key and its own position alone, so draws are the same on any number
of devices.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = np.uint32(0x1BD11BDA)
# Giles 2010: erf⁻¹(x) = x p(w), w = -log(1 - x²); for w below and above 5, highest power first
CENTRE = (2.81022636e-8, 3.43273939e-7, -3.5233877e-6, -4.39150654e-6, 2.1858087e-4, -1.25372503e-3, -4.17768164e-3,
          0.246640727, 1.50140941)  # fmt: skip
TAIL = (-2.00214257e-4, 1.00950558e-4, 1.34934322e-3, -3.67342844e-3, 5.73950773e-3, -7.6224613e-3, 9.43887047e-3,
        1.00167406, 2.83297682)  # fmt: skip


def normal(key: Array, shape: tuple[int, ...], dtype: jnp.dtype) -> Array:
    """Numbers iid N(0, 1): those of `jax.random.normal` up to rounding (float32; other types are JAX's own).

    >>> import jax, jax.numpy as jnp
    >>> ours, theirs = (f(jax.random.key(0), (3, 1000), jnp.float32) for f in (normal, jax.random.normal))
    >>> bool(jnp.allclose(ours, theirs, atol=1e-5))
    True
    """
    ours = jnp.dtype(dtype) == jnp.float32 and math.prod(shape) < 2**32 and _is_threefry(key)
    if not ours:
        return jax.random.normal(key, shape, dtype)
    # 23 bits make a number in [1, 2); twice that less 3 lies in [-1, 1), its left end moved inside
    mantissa = (_bits(jax.random.key_data(key), shape) >> np.uint32(9)) | np.uint32(0x3F800000)
    least = np.nextafter(np.float32(-1), np.float32(0))
    uniform = (lax.bitcast_convert_type(mantissa, jnp.float32) - 1) * (1 - least) + least
    return np.float32(2**0.5) * _erf_inv(jnp.maximum(uniform, least))


def _is_threefry(key: Array) -> bool:
    partitionable = jax.config.jax_threefry_partitionable  # type: ignore[attr-defined]
    return jax.random.key_impl(key) == "threefry2x32" and bool(partitionable)


def _bits(key: Array, shape: tuple[int, ...]) -> Array:
    """32 random bits for each place: both words of Threefry-2x32-20 of the place's number, exclusive or."""
    first, second = key[0], key[1]
    keys = (first, second, first ^ second ^ PARITY)
    right = lax.iota(jnp.uint32, math.prod(shape)).reshape(shape)
    left, right = keys[0], right + keys[1]
    for i in range(5):
        for turn in ROTATIONS[i % 2]:
            left = left + right
            right = left ^ ((right << np.uint32(turn)) | (right >> np.uint32(32 - turn)))
        left, right = left + keys[(i + 1) % 3], right + (keys[(i + 2) % 3] + np.uint32(i + 1))
    return left ^ right


def _erf_inv(x: Array) -> Array:
    """Giles's single-precision approximation; relative error below 4e-7."""
    w = -jnp.log((1 - x) * (1 + x))
    centre = w < 5
    w = jnp.where(centre, w - np.float32(2.5), jnp.sqrt(w) - 3)
    value = jnp.where(centre, np.float32(CENTRE[0]), np.float32(TAIL[0]))
    for near, far in zip(CENTRE[1:], TAIL[1:], strict=True):
        value = jnp.where(centre, np.float32(near), np.float32(far)) + value * w
    return value * x
