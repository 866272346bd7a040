"""The one product whose form matters for speed."""

from __future__ import annotations

from jax import lax
from jaxtyping import Array, Float


def inner(rows: Float[Array, "r p"], vectors: Float[Array, "m p"]) -> Float[Array, "m r"]:
    """⟨vector, row⟩ for all pairs, reading the longer of the two lists once.

    XLA would rewrite rows @ vectorsᵀ, transposed, into vectors @ rowsᵀ, which on CPUs packs the large
    operand anew for a handful of vectors and is 2 to 9 times slower (benchmarks/products.py); the barrier
    keeps the order.
    """
    if len(vectors) > len(rows):
        return vectors @ rows.T
    return lax.optimization_barrier(rows @ vectors.T).T
