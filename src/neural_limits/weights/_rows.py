"""Rows that fill up from the first on, kept in pieces so that the empty ones cost nothing."""

from __future__ import annotations

from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from ._products import inner

LEAST = 32  # rows of the smallest piece: each costs a pass over the vectors too; no more rows are added at once


class Rows(eqx.Module):
    """A (capacity, n) matrix whose rows from some rank on are zero; each piece is as large as all before it.

    A product with piece k is skipped while no row of it is filled, so that time follows the rank and not the
    capacity, which may be generous without a new compilation. (On processors; an accelerator would wait for the host
    at every branch.) In pieces since XLA copies what it slices.

    >>> import jax.numpy as jnp
    >>> rows = Rows.zeros(64, 3, jnp.float32).add(jnp.ones((2, 3), jnp.float32), 31)
    >>> [len(piece) for piece in rows.pieces], rows.shape
    ([32, 32], (64, 3))
    >>> rows.inner(jnp.ones((1, 3), jnp.float32), 33)[0, 30:34].tolist()
    [0.0, 3.0, 3.0, 0.0]
    """

    pieces: tuple[Float[Array, "*L _ n"], ...]

    @classmethod
    def zeros(cls, capacity: int, length: int, dtype: Any) -> Self:
        """All rows empty."""
        return cls(tuple(jnp.zeros((size, length), dtype) for size in _sizes(capacity)))

    @classmethod
    def of(cls, array: Float[Array, "*L r n"]) -> Self:
        """The rows of an array, in pieces."""
        pieces, start = [], 0
        for size in _sizes(array.shape[-2]):
            pieces.append(array[..., start : start + size, :])
            start += size
        return cls(tuple(pieces))

    @property
    def shape(self) -> tuple[int, int]:
        """(capacity, n), without a stack's leading axis."""
        return sum(piece.shape[-2] for piece in self.pieces), self.pieces[0].shape[-1]

    def array(self) -> Float[Array, "*L r n"]:
        """All rows, the empty ones too, in one array."""
        return self.pieces[0] if len(self.pieces) == 1 else jnp.concatenate(self.pieces, axis=-2)

    def resize(self, capacity: int) -> Self:
        """Room for that many rows; never less than there is."""
        missing = capacity - self.shape[0]
        if missing <= 0:
            return self
        array = self.array()
        return type(self).of(jnp.pad(array, [(0, 0)] * (array.ndim - 2) + [(0, missing), (0, 0)]))

    def inner(self, vectors: Float[Array, "m n"], filled: Int[Array, ""] | int) -> Float[Array, "m r"]:
        """⟨vector, row⟩ for all pairs; ``filled`` rows are read."""
        parts = []
        for piece, start in self._with_starts():
            nothing = jnp.zeros((len(vectors), len(piece)), vectors.dtype)
            product = lambda v, p, nothing: inner(p, v)  # noqa: E731
            parts.append(_if_filled(filled, start, product, lambda v, p, nothing: nothing, vectors, piece, nothing))
        return jnp.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]

    def combine(
        self, coefficients: Float[Array, "m r"], filled: Int[Array, ""] | int, onto: Float[Array, "m n"] | None = None
    ) -> Float[Array, "m n"]:
        """Σ_j coefficient_j row_j over the ``filled`` rows, added ``onto`` something if there is."""
        total = coefficients[:, : len(self.pieces[0])] @ self.pieces[0]
        total = total if onto is None else onto + total
        for piece, start in self._with_starts()[1:]:
            some = coefficients[:, start : start + len(piece)]
            total = _if_filled(filled, start, lambda c, p, t: t + c @ p, lambda c, p, t: t, some, piece, total)
        return total

    def add(self, rows: Float[Array, "b n"], start: Int[Array, ""] | int) -> Self:
        """The same with ``rows`` added from row ``start`` on; those past the capacity must be zero."""
        count = len(rows)
        places = jnp.arange(count, dtype=jnp.int32)
        pieces = []
        for piece, first in self._with_starts():
            # the window of the piece nearest to the rows, and what falls into it: all of them, some, or none
            at = jnp.clip(start - first, 0, len(piece) - count)
            falls = (places[:, None] + (first + at) == places + start).astype(rows.dtype)
            old = lax.dynamic_slice_in_dim(piece, at, count)
            pieces.append(lax.dynamic_update_slice_in_dim(piece, old + falls @ rows, at, axis=0))
        return type(self)(tuple(pieces))

    def _with_starts(self) -> list[tuple[Array, int]]:
        starts = [sum(len(p) for p in self.pieces[:k]) for k in range(len(self.pieces))]
        return list(zip(self.pieces, starts, strict=True))


def _if_filled(filled: Array | int, start: int, some: Any, none: Any, *operands: Array) -> Array:
    """``some`` of the operands where rows from ``start`` on are filled, else ``none``."""
    if start == 0 or jax.default_backend() != "cpu":
        return some(*operands)
    return lax.cond(filled > start, some, none, *operands)


def _sizes(capacity: int) -> list[int]:
    """How so many rows are cut: 32, 32, 64, 128 … and none smaller than 32 unless it is the only one."""
    sizes: list[int] = []
    left = capacity
    while left:
        size = max(LEAST, sum(sizes))
        size = left if left - size < LEAST else size
        sizes.append(size)
        left -= size
    return sizes or [0]
