"""The ordinary weight matrix: every entry stored."""

from __future__ import annotations

from typing import Self

import jax.numpy as jnp
from jaxtyping import Array, Float

from .._checks import positive_float, positive_int
from ._contract import WeightMatrix
from ._draws import normal
from ._products import inner

# Up to this many vectors a sum of outer products is fused into one pass over the matrix; beyond it a matrix
# product is faster than the passes it saves (benchmarks/products.py).
FUSED_VECTORS = 8


class DenseMatrix(WeightMatrix):
    """M stored entry by entry, shape (n, p); memory and time of a product are O(n p).

    >>> import jax, jax.numpy as jnp
    >>> weight = DenseMatrix.create(jax.random.key(0), 3, 5, std=0.1)
    >>> value, coordinates, weight = weight.matvec(jnp.ones((2, 5)))
    >>> value.shape, weight.shape
    ((2, 3), (3, 5))
    """

    value: Float[Array, "n p"]
    std: Float[Array, ""]  # of the initial entries, times the decay since: where the bulk's edge is

    @classmethod
    def create(
        cls, key: Array, rows: int, columns: int, *, std: Array | float = 1.0, dtype: jnp.dtype | None = None
    ) -> DenseMatrix:
        """Entries iid N(0, std²); ValueError for sizes below one or a negative std."""
        rows, columns = positive_int("rows", rows), positive_int("columns", columns)
        if isinstance(std, int | float):  # a traced value is the caller's to check
            positive_float("std", std, zero=True)
        dtype = dtype or jnp.result_type(float)
        scale = jnp.asarray(std, dtype)
        return cls(scale * normal(key, (rows, columns), dtype), scale)

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = self.value.shape[-2:]
        return rows, columns

    def matvec(self, vectors: Float[Array, "m p"]) -> tuple[Float[Array, "m n"], Array, Self]:
        return inner(self.value, vectors), vectors, self

    def rmatvec(self, vectors: Float[Array, "m n"]) -> tuple[Float[Array, "m p"], Array, Self]:
        return vectors @ self.value, vectors, self

    def outer(self, left: Array, right: Array) -> Array:
        if left.shape[0] <= FUSED_VECTORS:
            return sum(
                (left[j, :, None] * right[j, None, :] for j in range(1, left.shape[0])),
                start=left[0, :, None] * right[0, None, :],
            )
        return left.T @ right

    def zero_core(self) -> Array:
        return jnp.zeros_like(self.value)

    def add_core(self, core: Array) -> Self:
        return type(self)(self.value + core, self.std)

    def add_outer(self, left: Array, right: Array, factor: Array | float = 1.0) -> Self:
        return self.add_core(self.outer(factor * left, right))

    def scale(self, factor: Array | float) -> Self:
        return type(self)(factor * self.value, factor * self.std)

    def reserve(self, vectors: int) -> Self:
        return self

    def has_room(self, vectors: int) -> bool:
        return True
