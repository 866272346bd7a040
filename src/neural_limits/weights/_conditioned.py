"""A random matrix plus a learned core, known only where it has been looked at."""

from __future__ import annotations

from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .._checks import positive_float, positive_int
from ._basis import Look, Side, look, product, room_needed
from ._contract import WeightMatrix
from ._draws import normal
from ._rows import Rows


class ConditionedMatrix(WeightMatrix):
    """M = s W + Q_Bᵀ C Q_A, with W (n × p) iid N(0, 1) and known only on the touched directions.

    Stored, vectors first: on the `right` the basis Q_A (r_A, p) and its image W Q_Aᵀ as rows (r_A, n); on the
    `left` Q_B (r_B, n) and Wᵀ Q_Bᵀ as rows (r_B, p); `cross` Q_B W Q_Aᵀ (r_B, r_A), which both know; the
    learned `core` C (r_B, r_A); the scale s.
    Conditionally on these, and also when each vector was chosen from what was seen before,

        W = Zᵀ Q_A + Q_Bᵀ R (1 - Q_Aᵀ Q_A) + (1 - Q_Bᵀ Q_B) W' (1 - Q_Aᵀ Q_A),    W' fresh, iid N(0, 1).

    So the products of a training run have *exactly* the law they would have with a drawn matrix, up to what
    is left outside the bases (relative size `tolerance`, a variance deficit of tolerance²).

    Cost of a product with m vectors: O((n + p)(r_A + r_B) m) with the ranks r, not the capacities (but for a
    factor of two at most; `Rows`); memory O((n + p)(capacities)). Buffers have a fixed capacity inside jit;
    outside, products grow them as needed. `reserve` grows them ahead.

    Source: Bolthausen's conditioning; docs/theory.md.

    >>> import jax, jax.numpy as jnp
    >>> weight = ConditionedMatrix.create(jax.random.key(0), 1_000_000, 1_000_000, std=1e-3)
    >>> value, coordinates, weight = weight.matvec(jnp.ones((1, 1_000_000)))
    >>> int(weight.rank_right), bool(abs(jnp.std(value) - 1) < 0.01)
    (1, True)
    """

    right: Side
    left: Side
    cross: Float[Array, "rb ra"]
    core: Float[Array, "rb ra"]
    std: Float[Array, ""]
    discarded: Float[Array, ""]
    lost: Int[Array, ""]
    key: Array
    tolerance: float = eqx.field(static=True)

    @classmethod
    def create(
        cls,
        key: Array,
        rows: int,
        columns: int,
        *,
        std: Array | float = 1.0,
        tolerance: float = 1e-2,
        capacity: int | tuple[int, int] = 16,
        dtype: jnp.dtype | None = None,
    ) -> ConditionedMatrix:
        """An untouched matrix with entries iid N(0, std²), nothing drawn yet.

        ``capacity`` is the number of directions there is room for on each side, or (left, right).
        ValueError for sizes below one, a negative std, or a tolerance that the dtype cannot resolve.
        """
        rows, columns = positive_int("rows", rows), positive_int("columns", columns)
        left, right = capacity if isinstance(capacity, tuple) else (positive_int("capacity", capacity),) * 2
        if isinstance(std, int | float):  # a traced value is the caller's to check
            positive_float("std", std, zero=True)
        dtype = jnp.dtype(dtype or jnp.result_type(float))
        tolerance = check_tolerance(tolerance, dtype)
        none = lambda: jnp.zeros((), jnp.int32)  # noqa: E731  # each its own buffer, as they may be donated
        return cls(
            Side(Rows.zeros(right, columns, dtype), Rows.zeros(right, rows, dtype), none()),
            Side(Rows.zeros(left, rows, dtype), Rows.zeros(left, columns, dtype), none()),
            jnp.zeros((left, right), dtype),
            jnp.zeros((left, right), dtype),
            jnp.asarray(std, dtype),
            jnp.zeros((), dtype),
            none(),
            key,
            tolerance,
        )

    @property
    def shape(self) -> tuple[int, int]:
        return self.left.basis.shape[1], self.right.basis.shape[1]

    @property
    def capacity(self) -> tuple[int, int]:
        """Directions the buffers hold: (left, right)."""
        return self.left.basis.shape[0], self.right.basis.shape[0]

    @property
    def right_basis(self) -> Float[Array, "*L ra p"]:
        """Q_A, empty rows last; a copy, as are the next three."""
        return self.right.basis.array()

    @property
    def right_image(self) -> Float[Array, "*L ra n"]:
        """W Q_Aᵀ as rows."""
        return self.right.image.array()

    @property
    def left_basis(self) -> Float[Array, "*L rb n"]:
        """Q_B."""
        return self.left.basis.array()

    @property
    def left_image(self) -> Float[Array, "*L rb p"]:
        """Wᵀ Q_Bᵀ as rows."""
        return self.left.image.array()

    @property
    def rank_right(self) -> Int[Array, "*L"]:
        """Touched directions on the right: filled rows of Q_A."""
        return self.right.rank

    @property
    def rank_left(self) -> Int[Array, "*L"]:
        """Touched directions on the left: filled rows of Q_B."""
        return self.left.rank

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(x.nbytes for x in jax.tree.leaves(eqx.filter(self, eqx.is_inexact_array)))

    @property
    def rank(self) -> int:
        """Touched directions, left and right together (not inside jit)."""
        return int(np.max(np.asarray(self.rank_left) + np.asarray(self.rank_right)))

    def grown_nbytes(self, vectors: int) -> int:
        """Bytes held after `reserve`, without doing it."""
        left, right = self.capacities_for(vectors)
        rows, columns = self.shape
        return ((left + right) * (rows + columns) + 2 * left * right) * self.core.dtype.itemsize

    def matvec(self, vectors: Float[Array, "m p"]) -> tuple[Float[Array, "m n"], Array, Self]:
        self, key = self._next_look(vectors.shape[0], right=True)
        seen = look(self.right, self.left, self.cross.T, vectors, key, self.tolerance)
        return product(seen, self.left, self.std, self.core.T), seen.coordinates, self._after(seen, right=True)

    def rmatvec(self, vectors: Float[Array, "m n"]) -> tuple[Float[Array, "m p"], Array, Self]:
        self, key = self._next_look(vectors.shape[0], right=False)
        seen = look(self.left, self.right, self.cross, vectors, key, self.tolerance)
        return product(seen, self.right, self.std, self.core), seen.coordinates, self._after(seen, right=False)

    def outer(self, left: Array, right: Array) -> Array:
        return _fit(left, self.capacity[0]).T @ _fit(right, self.capacity[1])

    def zero_core(self) -> Array:
        return jnp.zeros_like(self.core)

    def add_core(self, core: Array) -> Self:
        return eqx.tree_at(lambda w: w.core, self, self.core + core)

    def add_outer(self, left: Array, right: Array, factor: Array | float = 1.0) -> Self:
        return self.add_core(factor * self.outer(left, right))

    def scale(self, factor: Array | float) -> Self:
        return eqx.tree_at(lambda w: (w.core, w.std), self, (factor * self.core, factor * self.std))

    def has_room(self, vectors: int) -> Array:
        return self.has_room_for(vectors, right=True) & self.has_room_for(vectors, right=False)

    def has_room_for(self, vectors: int, *, right: bool) -> Array:
        """Whether one more look with ``vectors`` vectors fits on that side."""
        left_capacity, right_capacity = self.capacity
        rank, capacity = (self.rank_right, right_capacity) if right else (self.rank_left, left_capacity)
        return jnp.all(rank + room_needed(vectors) <= capacity)

    def reserve(self, vectors: int) -> Self:
        """Room for ``vectors`` more directions on each side; capacities at least double when they grow."""
        return self.resize(*self.capacities_for(vectors))

    def capacities_for(self, vectors: int) -> tuple[int, int]:
        """The capacities that `reserve` would give: (left, right). Needs concrete ranks, so not inside jit."""
        room = room_needed(vectors)
        left, right = self.capacity
        return (
            grown(left, int(np.max(self.rank_left)) + room),
            grown(right, int(np.max(self.rank_right)) + room),
        )

    def resize(self, left: int, right: int) -> Self:
        """Buffers for ``left`` and ``right`` directions; never fewer than there are now."""
        small = (pad_core(x, left, right) for x in (self.cross, self.core))
        new = (self.left.resize(left), self.right.resize(right), *small)
        return eqx.tree_at(lambda w: (w.left, w.right, w.cross, w.core), self, new)

    def to_dense(self, key: Array) -> Float[Array, "n p"]:
        """The whole matrix, the unseen rest drawn now: exactly the law of a matrix drawn at the start. O(n p r)."""
        rows, columns = self.shape
        fresh = normal(key, (rows, columns), self.core.dtype)
        right, image, left, left_image = self.right_basis, self.right_image, self.left_basis, self.left_image
        fresh = fresh - (fresh @ right.T) @ right
        fresh = fresh - left.T @ (left @ fresh)
        rest = left_image - (left_image @ right.T) @ right
        bulk = image.T @ right + left.T @ rest + fresh
        return self.std * bulk + left.T @ self.core @ right

    def _next_look(self, vectors: int, *, right: bool) -> tuple[Self, Array]:
        """A fresh key; outside jit also the room that the look may need."""
        if not isinstance(self.rank_left, jax.core.Tracer) and not self.has_room_for(vectors, right=right):
            left, needed = self.capacities_for(vectors)
            self = self.resize(*((0, needed) if right else (left, 0)))
        key, following = jax.random.split(self.key)
        return eqx.tree_at(lambda w: w.key, self, following), key

    def _after(self, seen: Look, *, right: bool) -> Self:
        discarded = jnp.maximum(self.discarded, seen.discarded)
        known = (seen.side, self.left, seen.cross.T) if right else (self.right, seen.side, seen.cross)
        new = (*known, discarded, self.lost + seen.lost)
        return eqx.tree_at(lambda w: (w.right, w.left, w.cross, w.discarded, w.lost), self, new)


def check_tolerance(tolerance: float, dtype: jnp.dtype) -> float:
    """A tolerance the dtype can resolve: residuals are known to √eps of the vector; ValueError otherwise."""
    tolerance = positive_float("tolerance", tolerance)
    least = float(jnp.finfo(dtype).eps) ** 0.5
    if not least <= tolerance < 1:
        raise ValueError(
            f"`tolerance` must lie between {least:.1e} (what {jnp.dtype(dtype).name} resolves; "
            f"use float64 for less) and 1; got {tolerance!r}."
        )
    return tolerance


def grown(capacity: int, needed: int) -> int:
    """The capacity itself if it suffices, else grown by steps until it does.

    Few sizes, so few compilations; smaller steps where a compilation is cheap beside the work that empty
    rows would cost.
    """
    while capacity < needed:
        capacity = max(2 * capacity, 16) if capacity < 256 else -(-(capacity * 3 // 2) // 64) * 64
    return capacity


def pad_rows(array: Array, rows: int) -> Array:
    """Zero rows appended up to ``rows`` (on the last but one axis)."""
    missing = max(0, rows - array.shape[-2])
    return jnp.pad(array, [(0, 0)] * (array.ndim - 2) + [(0, missing), (0, 0)])


def pad_core(core: Array, left: int, right: int) -> Array:
    """A core grown to (left, right) with zeros."""
    missing = max(0, right - core.shape[-1])
    return pad_rows(jnp.pad(core, [(0, 0)] * (core.ndim - 1) + [(0, missing)]), left)


def _fit(coordinates: Array, capacity: int) -> Array:
    """Coordinates taken before a growth, padded to the present capacity."""
    return jnp.pad(coordinates, ((0, 0), (0, capacity - coordinates.shape[1])))
