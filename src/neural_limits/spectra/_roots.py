"""Roots of the outlier equation, with their null vectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.optimize import brentq

from ._known_block import KnownBlock, self_energies

PRECISION = 1e-10  # relative, of a root; far below any finite-width effect
ITERATIONS = 30


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
    """All singular values of M above ``threshold`` (at or above the bulk's edge) and their vectors.

    Their number is that of singular values of T(threshold) above 1. Each root is then found in a small space
    of candidate vectors that grows by the vectors found at every trial σ: the roots of F restricted to it approach
    those of F from below (minimax), with an error of second order.
    """
    count = block.count(threshold)
    low = _positive_from(block, threshold)
    modes = block.modes(low) if count else None
    if modes is None or len(modes.values) == 0:
        return _stacked(block, [], [])
    count = len(modes.values)
    space = _orthonormal(np.vstack([modes.left, modes.right]))
    values, vectors = [], []
    for index in range(count):
        sigma = low
        for _ in range(ITERATIONS):
            following, within = _restricted_root(block, space, index, low)
            vector = space @ within
            if abs(following - sigma) <= PRECISION * sigma:
                break
            sigma = following
            modes = block.refine(sigma, modes)
            space = _orthonormal(np.hstack([space, np.vstack([modes.left, modes.right])]))
        values.append(following)
        vectors.append(vector)
    return _stacked(block, values, vectors)


def _restricted_root(block: KnownBlock, space: ndarray, index: int, low: float) -> tuple[float, ndarray]:
    """The σ ≥ low at which the index-th eigenvalue of F(σ) in ``space`` crosses zero, and its vector there."""
    core = block.rotated_core
    rows = core.shape[0]
    left, right = space[:rows], space[rows:]
    coupling = left.T @ core @ right
    coupling = coupling + coupling.T

    def small(sigma: float) -> tuple[ndarray, ndarray]:
        d_left, d_right, *_ = block.diagonals(sigma)
        return np.linalg.eigh((left.T * d_left) @ left + (right.T * d_right) @ right - coupling)

    high = low + float(np.abs(np.linalg.eigvalsh(coupling)).max()) + block.edge
    sigma: float = brentq(lambda s: small(s)[0][index], low, high, xtol=0.1 * PRECISION * low, rtol=0.1 * PRECISION)
    return sigma, small(sigma)[1][:, index]


def _positive_from(block: KnownBlock, low: float) -> float:
    """The least σ ≥ low from which both diagonal blocks of F are positive, so that T exists."""

    def positive(sigma: float) -> bool:
        if block.core.size == 0:
            return True
        d_left, d_right, *_ = block.diagonals(sigma)
        return bool(d_left.min() > 0 and d_right.min() > 0)

    if positive(low):
        return low
    high = 2 * low
    while not positive(high):
        high *= 2
    while high - low > PRECISION * high:
        middle = 0.5 * (low + high)
        low, high = (low, middle) if positive(middle) else (middle, high)
    return high


def _orthonormal(vectors: ndarray) -> ndarray:
    """An orthonormal basis of the columns' span, near-copies dropped."""
    vectors = vectors / np.linalg.norm(vectors, axis=0)
    u, s, _ = np.linalg.svd(vectors, full_matrices=False)
    return u[:, s > 1e-8 * s[0]]


def _stacked(block: KnownBlock, values: list[float], vectors: list[ndarray]) -> Roots:
    """Unit singular vectors at the roots: √2 × (null vector of F) / √(xᵀ F' x), rotated back."""
    rows, columns = block.core.shape
    parts: list[list[ndarray]] = [[], [], [], []]
    for sigma, vector in zip(values, vectors, strict=True):
        _, _, slope_left, slope_right = block.diagonals(sigma)
        beta, alpha = vector[:rows], vector[rows:]
        norm = np.sqrt(2 / (slope_left @ beta**2 + slope_right @ alpha**2))
        beta, alpha = block.rotate_back(norm * beta, norm * alpha)
        s = self_energies(sigma, block.variance_left, block.variance_right)
        for part, value in zip(parts, (beta, alpha / (sigma - s.a), alpha, beta / (sigma - s.b)), strict=True):
            part.append(value)
    sizes = (rows, columns, columns, rows)
    arrays = [np.array(part).reshape(len(values), size) for part, size in zip(parts, sizes, strict=True)]
    return Roots(np.array(values, float), *arrays)
