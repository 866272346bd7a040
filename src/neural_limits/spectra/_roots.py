"""Roots of the outlier equation, with their null vectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ._known_block import KnownBlock, self_energies

PRECISION = 1e-10  # relative, of a root; far below any finite-width effect
ITERATIONS = 100


@dataclass(frozen=True)
class Roots:
    """Outliers and the known components of their singular vectors, largest first.

    A unit left singular vector is Q_Bᵀ `left_basis` + Z⊥ᵀ `left_image` + a part in the unseen rest, with
    Z⊥ the rows W Q_A outside Q_B (times τ); the right one likewise with Q_A and R⊥.
    """

    values: Float[ndarray, " k"]
    left_basis: Float[ndarray, "k rb"]
    left_image: Float[ndarray, "k ra"]
    right_basis: Float[ndarray, "k ra"]
    right_image: Float[ndarray, "k rb"]


def find_roots(block: KnownBlock, threshold: float) -> Roots:
    """All singular values of M above ``threshold`` (at or above the bulk's edge) and their vectors."""
    count = block.count(threshold)
    found = [_root(block, i, threshold) for i in range(count)]
    vectors = [_vectors(block, sigma, i) for i, sigma in enumerate(found)]
    r_left, r_right = block.core.shape
    widths = (r_left, r_right, r_right, r_left)
    stacked = [np.array([v[j] for v in vectors]).reshape(count, w) for j, w in enumerate(widths)]
    return Roots(np.array(found), *stacked)


def _root(block: KnownBlock, index: int, low: float) -> float:
    """The σ > low at which the index-th singular value of T crosses 1: Newton, guarded by bisection."""
    high = low + float(np.linalg.norm(block.core, 2)) + block.edge
    low = _positive_from(block, low, high)
    sigma = low + 1e-3 * (high - low)
    for _ in range(ITERATIONS):
        modes = block.modes(sigma, index + 1)
        excess = modes.values[index] - 1
        low, high = (sigma, high) if excess > 0 else (low, sigma)
        newton = sigma - excess / modes.slopes[index]
        following = newton if low < newton < high else 0.5 * (low + high)
        if abs(following - sigma) <= PRECISION * sigma:
            return following
        sigma = following
    return sigma


def _positive_from(block: KnownBlock, low: float, high: float) -> float:
    """The least σ in [low, high] from which both diagonal blocks are positive, so that T exists."""

    def positive(sigma: float) -> bool:
        d_left, d_right, *_ = block.diagonals(sigma)
        return bool(d_left.min() > 0 and d_right.min() > 0)

    if positive(low):
        return low
    while high - low > PRECISION * high:
        middle = 0.5 * (low + high)
        low, high = (low, middle) if positive(middle) else (middle, high)
    return high


def _vectors(block: KnownBlock, sigma: float, index: int) -> tuple[ndarray, ndarray, ndarray, ndarray]:
    """Components of the unit singular vectors at a root: √2 × (null vector of F) / √(xᵀ F' x)."""
    d_left, d_right, slope_left, slope_right = block.diagonals(sigma)
    modes = block.modes(sigma, index + 1)
    beta, alpha = modes.left[:, index] / np.sqrt(d_left), modes.right[:, index] / np.sqrt(d_right)
    norm = np.sqrt(2 / (slope_left @ beta**2 + slope_right @ alpha**2))
    _, _, _, rotation_left, rotation_right = block._rotated
    beta, alpha = norm * (rotation_left @ beta), norm * (rotation_right @ alpha)
    s = self_energies(sigma, block.variance_left, block.variance_right)
    return beta, alpha / (sigma - s.a), alpha, beta / (sigma - s.b)
