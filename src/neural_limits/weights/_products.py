"""The one product whose form matters for speed."""

from __future__ import annotations

from jax import lax
from jaxtyping import Array, Float


def inner(rows: Float[Array, "r p"], vectors: Float[Array, "m p"]) -> Float[Array, "m r"]:
    """⟨vector, row⟩ for all pairs, reading the many rows once.

    XLA would rewrite rows @ vectorsᵀ, transposed, into vectors @ rowsᵀ, which on CPUs packs the large
    operand anew for a handful of vectors and is 2 to 9 times slower (benchmarks/products.py); the barrier
    keeps the order.
    """
    return lax.optimization_barrier(rows @ vectors.T).T
