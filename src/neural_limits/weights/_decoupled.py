"""Independent random matrices forward and backward, with one learned part: backpropagation's weights not reused."""

from __future__ import annotations

from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ._conditioned import ConditionedMatrix, pad_core
from ._contract import WeightMatrix
from ._dense import DenseMatrix


class DecoupledMatrix(WeightMatrix):
    """M a = W_f a + G a and Mᵀ b = W_bᵀ b + Gᵀ b, with W_f and W_b independent and G learned.

    `forward` is only ever multiplied from the right and `backward` from the left, so neither learns of the
    other: the reused-weight coupling is absent by construction. For a conditioned pair G = Q_Bᵀ C Q_A with Q_A from
    `forward` and Q_B from `backward`; for a dense pair G is kept in full.

    >>> import jax, jax.numpy as jnp
    >>> pair = DecoupledMatrix.create_conditioned(jax.random.key(0), 200, 300)
    >>> _, right, pair = pair.matvec(jnp.ones((1, 300)))
    >>> _, left, pair = pair.rmatvec(jnp.ones((1, 200)))
    >>> pair.add_outer(left, right).shape
    (200, 300)
    """

    forward: ConditionedMatrix | DenseMatrix
    backward: ConditionedMatrix | DenseMatrix
    core: Array

    @classmethod
    def create_conditioned(cls, key: Array, rows: int, columns: int, **options: object) -> DecoupledMatrix:
        """A conditioned pair; options as for `ConditionedMatrix.create`. Each keeps a basis on one side only."""
        keys = jax.random.split(key)
        capacity = options.pop("capacity", 16)
        left, right = capacity if isinstance(capacity, tuple) else (capacity, capacity)
        forward = ConditionedMatrix.create(keys[0], rows, columns, capacity=(0, right), **options)  # type: ignore[arg-type]
        backward = ConditionedMatrix.create(keys[1], rows, columns, capacity=(left, 0), **options)  # type: ignore[arg-type]
        return cls(forward, backward, jnp.zeros((left, right), forward.core.dtype))

    @classmethod
    def create_dense(cls, key: Array, rows: int, columns: int, **options: object) -> DecoupledMatrix:
        """A dense pair; options as for `DenseMatrix.create`."""
        keys = jax.random.split(key)
        forward, backward = (DenseMatrix.create(k, rows, columns, **options) for k in keys)  # type: ignore[arg-type]
        return cls(forward, backward, forward.zero_core())

    @property
    def shape(self) -> tuple[int, int]:
        return self.forward.shape

    def matvec(self, vectors: Float[Array, "m p"]) -> tuple[Float[Array, "m n"], Array, Self]:
        value, coordinates, forward = self.forward.matvec(vectors)
        self = self._with(forward=forward)
        return value + self._learned(coordinates, right=True), coordinates, self

    def rmatvec(self, vectors: Float[Array, "m n"]) -> tuple[Float[Array, "m p"], Array, Self]:
        value, coordinates, backward = self.backward.rmatvec(vectors)
        self = self._with(backward=backward)
        return value + self._learned(coordinates, right=False), coordinates, self

    def outer(self, left: Array, right: Array) -> Array:
        if isinstance(self.forward, DenseMatrix):
            return self.forward.outer(left, right)
        core = left.T @ right
        return pad_core(core, *self.core.shape[-2:])

    def zero_core(self) -> Array:
        return jnp.zeros_like(self.core)

    def add_core(self, core: Array) -> Self:
        return eqx.tree_at(lambda w: w.core, self, self.core + core)

    def add_outer(self, left: Array, right: Array, factor: Array | float = 1.0) -> Self:
        return self.add_core(factor * self.outer(left, right))

    def scale(self, factor: Array | float) -> Self:
        return type(self)(self.forward.scale(factor), self.backward.scale(factor), factor * self.core)

    def has_room(self, vectors: int) -> Array | bool:
        if isinstance(self.forward, ConditionedMatrix) and isinstance(self.backward, ConditionedMatrix):
            right = self.forward.has_room_for(vectors, right=True)
            return right & self.backward.has_room_for(vectors, right=False)
        return True

    def reserve(self, vectors: int) -> Self:
        return self.resize(*self.capacities_for(vectors)) if self.low_rank else self

    # -- a conditioned pair, seen as one matrix with a right and a left basis -----------------------------------

    @property
    def low_rank(self) -> bool:
        """Whether the pair is conditioned."""
        return isinstance(self.forward, ConditionedMatrix)

    @property
    def rank_right(self) -> Array:
        """Touched directions on the right."""
        return self.forward.rank_right  # type: ignore[union-attr]

    @property
    def rank_left(self) -> Array:
        """Touched directions on the left."""
        return self.backward.rank_left  # type: ignore[union-attr]

    @property
    def rank(self) -> int:
        """Touched directions, left and right together (not inside jit)."""
        return int(np.max(np.asarray(self.rank_left) + np.asarray(self.rank_right)))

    @property
    def discarded(self) -> Array:
        """Largest relative squared norm left outside a basis so far."""
        return jnp.maximum(self.forward.discarded, self.backward.discarded)  # type: ignore[union-attr]

    @property
    def capacity(self) -> tuple[int, int]:
        """Directions the buffers hold: (left, right)."""
        return self.backward.capacity[0], self.forward.capacity[1]  # type: ignore[union-attr]

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.forward.nbytes + self.backward.nbytes + self.core.nbytes  # type: ignore[union-attr]

    def capacities_for(self, vectors: int) -> tuple[int, int]:
        """The capacities that `reserve` would give: (left, right)."""
        left, right = self.backward.capacities_for(vectors), self.forward.capacities_for(vectors)  # type: ignore[union-attr]
        return left[0], right[1]

    def grown_nbytes(self, vectors: int) -> int:
        """Bytes held after `reserve`, without doing it."""
        left, right = self.capacities_for(vectors)
        rows, columns = self.shape
        return ((left + right) * (rows + columns) + left * right) * self.core.dtype.itemsize

    def resize(self, left: int, right: int) -> Self:
        """Buffers for ``left`` and ``right`` directions; never fewer than there are now."""
        return self._with(forward=self.forward.resize(0, right), backward=self.backward.resize(left, 0))  # type: ignore[union-attr]

    def _with(self, **parts: WeightMatrix) -> Self:
        """With a part replaced, and the core grown to the bases' capacities."""
        forward, backward = parts.get("forward", self.forward), parts.get("backward", self.backward)
        core = self.core
        if isinstance(forward, ConditionedMatrix) and isinstance(backward, ConditionedMatrix):
            core = pad_core(core, backward.capacity[0], forward.capacity[1])
        return type(self)(forward, backward, core)  # type: ignore[arg-type]

    def _learned(self, coordinates: Array, *, right: bool) -> Array:
        """G a (right) or Gᵀ b (left)."""
        core = self.core.T if right else self.core
        if isinstance(self.forward, ConditionedMatrix) and isinstance(self.backward, ConditionedMatrix):
            side = self.backward.left if right else self.forward.right
            return side.basis.combine(coordinates @ core, side.rank)
        return coordinates @ core
