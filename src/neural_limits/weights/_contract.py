"""What a network asks of a weight matrix: products with blocks of vectors, and low-rank updates."""

from __future__ import annotations

import abc
from typing import Self

import equinox as eqx
from jaxtyping import Array, Float


class WeightMatrix(eqx.Module):
    """A linear operator M from R^p (inputs) to R^n (outputs) that training reads and changes.

    Blocks of m vectors are stored vectors first, (m, p) or (m, n). A product returns three things: the
    value, the *coordinates* of the vectors (what `outer` needs to build a gradient from them), and the
    matrix itself, because looking at a conditioned matrix changes what is known of it. All methods can be
    traced (jit, scan, vmap).

    A *core* is a learned matrix in the form this weight keeps it: full (n, p) for a dense matrix,
    coordinates on the touched directions for a conditioned one. Optimizer states are cores.
    """

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, int]:
        """(n, p): outputs, inputs."""

    @abc.abstractmethod
    def matvec(self, vectors: Float[Array, "m p"]) -> tuple[Float[Array, "m n"], Array, Self]:
        """M a for each row a: values (m, n), coordinates of the a, the matrix after the look."""

    @abc.abstractmethod
    def rmatvec(self, vectors: Float[Array, "m n"]) -> tuple[Float[Array, "m p"], Array, Self]:
        """Mᵀ b for each row b: values (m, p), coordinates of the b, the matrix after the look."""

    @abc.abstractmethod
    def outer(self, left: Array, right: Array) -> Array:
        """The core of Σ_j b_j a_jᵀ, from the coordinates of b (from `rmatvec`) and a (from `matvec`)."""

    @abc.abstractmethod
    def zero_core(self) -> Array:
        """The core of the zero matrix."""

    @abc.abstractmethod
    def add_core(self, core: Array) -> Self:
        """M + core."""

    @abc.abstractmethod
    def add_outer(self, left: Array, right: Array, factor: Array | float = 1.0) -> Self:
        """M + factor Σ_j b_j a_jᵀ."""

    @abc.abstractmethod
    def scale(self, factor: Array | float) -> Self:
        """factor × M (weight decay)."""

    @abc.abstractmethod
    def reserve(self, vectors: int) -> Self:
        """The same matrix with room to look along ``vectors`` more directions on each side."""

    @abc.abstractmethod
    def has_room(self, vectors: int) -> Array | bool:
        """Whether one more product with ``vectors`` vectors on each side fits without growing."""
