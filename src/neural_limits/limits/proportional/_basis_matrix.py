"""A Gaussian matrix in the limit: every fresh Gaussian vector is one new orthonormal direction of its space."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from jaxtyping import Float
from numpy import ndarray


@dataclass
class Space:
    """Vectors of a dimension that diverges: coordinates on orthonormal directions, ⟨a, b⟩ = a·b/dimension.

    ``ratio`` is the dimension over D. Of the ``room`` coordinates of its vectors, ``size`` are in use.
    """

    ratio: float
    room: int
    size: int = 0

    def fresh(self) -> Float[ndarray, " m"]:
        """A direction that nothing seen so far has a part along: the limit of independent N(0, 1) entries."""
        vector = np.zeros(self.room)
        vector[self.size] = 1.0  # an IndexError here would be a space built with too little room
        self.size += 1
        return vector


@dataclass
class Side:
    """What is known of the random part from one side: orthonormal directions and their images, as rows."""

    basis: Float[ndarray, "r p"]
    image: Float[ndarray, "r n"]


@dataclass
class BasisMatrix:
    """M = W - h Σ_t left_t right_tᵀ/p, with W (n × p) iid of variance sigma²/p, at n, p → ∞ with n/p fixed.

    The construction of `ConditionedMatrix`, without chance: a new right direction q has the image
    Wq = Q_B (p/n)(Rᵀq) + sigma e, a new left direction r Wᵀr = Q_A (n/p)(Zᵀr) + sigma √(n/p) e, e a fresh
    direction, as |Wq|²/n = sigma² and |Wᵀr|²/p = sigma² n/p when all is new. Directions of relative size below
    ``tolerance`` are not kept. Products are with the first ``updates`` learned terms (all: None).
    """

    rows: Space
    columns: Space
    sigma: float
    tolerance: float
    right: Side = field(init=False)
    left: Side = field(init=False)
    learned_left: list[ndarray] = field(default_factory=list)  # with the factor -h
    learned_right: list[ndarray] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.right = Side(np.zeros((0, self.columns.room)), np.zeros((0, self.rows.room)))
        self.left = Side(np.zeros((0, self.rows.room)), np.zeros((0, self.columns.room)))

    @property
    def shape_ratio(self) -> float:
        """n/p."""
        return self.rows.ratio / self.columns.ratio

    def matvec(self, a: Float[ndarray, " p"], updates: int | None = None) -> Float[ndarray, " n"]:
        """M a."""
        value = _look(a, self.right, self.left, self.rows, self.sigma, 1 / self.shape_ratio, self.tolerance)
        left, right = self._learned(updates)
        return value + left.T @ (right @ a)

    def rmatvec(self, b: Float[ndarray, " n"], updates: int | None = None) -> Float[ndarray, " p"]:
        """Mᵀ b; the learned part carries n/p, as ⟨a, Mᵀb⟩ p = ⟨Ma, b⟩ n."""
        f = self.shape_ratio
        value = _look(b, self.left, self.right, self.columns, self.sigma * f**0.5, f, self.tolerance)
        left, right = self._learned(updates)
        return value + f * right.T @ (left @ b)

    def learn(self, left: ndarray, right: ndarray, rate: float) -> None:
        """M -= rate · left rightᵀ/p."""
        self.learned_left.append(-rate * left)
        self.learned_right.append(right)

    def core(self, updates: int | None = None) -> Float[ndarray, "rb ra"]:
        """Q_B M Q_Aᵀ on unit directions of the Euclidean norm, r/√n and q/√p."""
        left, right = self._learned(updates)
        known = self.left.basis @ self.right.image.T
        return self.shape_ratio**0.5 * (known + (self.left.basis @ left.T) @ (right @ self.right.basis.T))

    def copied(self, spaces: dict[int, Space]) -> Self:
        """A copy in copied spaces (by the id of the old one), vectors padded to their room."""
        rows, columns = spaces[id(self.rows)], spaces[id(self.columns)]
        copy = type(self)(rows, columns, self.sigma, self.tolerance)
        copy.right = Side(padded(self.right.basis, columns), padded(self.right.image, rows))
        copy.left = Side(padded(self.left.basis, rows), padded(self.left.image, columns))
        copy.learned_left = [padded(x, rows) for x in self.learned_left]
        copy.learned_right = [padded(x, columns) for x in self.learned_right]
        return copy

    def _learned(self, updates: int | None) -> tuple[ndarray, ndarray]:
        left, right = self.learned_left[:updates], self.learned_right[:updates]
        return np.reshape(left, (-1, self.rows.room)), np.reshape(right, (-1, self.columns.room))


def padded(vectors: Float[ndarray, "*r m"], space: Space) -> Float[ndarray, "*r k"]:
    """Vectors with zeros up to the room of the space."""
    return np.pad(vectors, [(0, 0)] * (vectors.ndim - 1) + [(0, space.room - vectors.shape[-1])])


def _look(
    a: ndarray, side: Side, other: Side, target: Space, size: float, ratio: float, tolerance: float
) -> Float[ndarray, " n"]:
    """W a, after the side has learned what it did not know of a; ``ratio`` is p/n as seen from the side."""
    norm = np.linalg.norm(a)
    coordinates = side.basis @ a
    rest = a - coordinates @ side.basis
    again = side.basis @ rest  # twice is enough (Kahan and Parlett)
    coordinates, rest = coordinates + again, rest - again @ side.basis
    rho = np.linalg.norm(rest)
    if rho > tolerance * norm:
        q = rest / rho
        q = q - (side.basis @ q) @ side.basis
        q = q / np.linalg.norm(q)
        known = ratio * (other.image @ q) @ other.basis
        image = known + size * target.fresh()
        side.basis, side.image = np.vstack([side.basis, q]), np.vstack([side.image, image])
        return coordinates @ side.image[:-1] + rho * image
    return coordinates @ side.image + ratio * (other.image @ rest) @ other.basis
