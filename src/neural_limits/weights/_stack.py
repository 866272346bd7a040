"""The weights of many layers of one shape, stacked, so that a scan over depth compiles once."""

from __future__ import annotations

from collections.abc import Iterable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._conditioned import ConditionedMatrix
from ._contract import WeightMatrix
from ._decoupled import DecoupledMatrix


class Stack(eqx.Module):
    """L weight matrices M_1 … M_L of one form and shape: ``layers`` is one of them with a leading axis.

    Cores, coordinates and factors have the same leading axis. Products are made layer by layer inside
    `jax.lax.scan` over ``layers``; ``stack[l]`` takes one layer out.
    """

    layers: WeightMatrix

    @property
    def depth(self) -> int:
        """L."""
        return jax.tree.leaves(eqx.filter(self.layers, eqx.is_inexact_array))[0].shape[0]

    def __getitem__(self, layer: int) -> WeightMatrix:
        return jax.tree.map(lambda x: x[layer], self.layers)

    def outer(self, left: Array, right: Array) -> Array:
        """The cores of Σ_j b_j a_jᵀ, layer by layer."""
        return jax.vmap(lambda w, b, a: w.outer(b, a))(self.layers, left, right)

    def zero_core(self) -> Array:
        """The cores of zero matrices."""
        return jax.vmap(lambda w: w.zero_core())(self.layers)

    def add_core(self, core: Array) -> Stack:
        """M_l + core_l."""
        return Stack(jax.vmap(lambda w, c: w.add_core(c))(self.layers, core))

    def add_outer(self, left: Array, right: Array, factor: Float[Array, "*L"] | float = 1.0) -> Stack:
        """M_l + factor_l Σ_j b_j a_jᵀ; one factor for all layers, or one each."""
        factors = jnp.broadcast_to(jnp.asarray(factor), (self.depth,))
        return Stack(jax.vmap(lambda w, b, a, f: w.add_outer(b, a, f))(self.layers, left, right, factors))

    def scale(self, factor: Array | float) -> Stack:
        """factor × M_l."""
        return Stack(jax.vmap(lambda w: w.scale(factor))(self.layers))

    def has_room(self, vectors: int) -> Array | bool:
        """Whether one more product fits into every layer."""
        return self.layers.has_room(vectors)


Weights = WeightMatrix | Stack


def matrices(weights: Iterable[Weights]) -> tuple[WeightMatrix, ...]:
    """The single matrices, stacks taken apart."""
    return tuple(m for w in weights for m in ([w[l] for l in range(w.depth)] if isinstance(w, Stack) else [w]))


def with_bases(weights: Iterable[Weights]) -> list[ConditionedMatrix | DecoupledMatrix]:
    """Those that keep bases (are not dense); of a stack its ``layers``, with their leading axis."""
    inner = [w.layers if isinstance(w, Stack) else w for w in weights]
    return [w for w in inner if isinstance(w, ConditionedMatrix) or (isinstance(w, DecoupledMatrix) and w.low_rank)]


def resize(weight: Weights, left: int, right: int) -> Weights:
    """Buffers for ``left`` and ``right`` directions in every layer."""
    if isinstance(weight, Stack):
        return Stack(weight.layers.resize(left, right))  # type: ignore[attr-defined]
    return weight.resize(left, right)  # type: ignore[attr-defined]
