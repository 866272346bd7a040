"""Singular values of a rectangular matrix below the lower edge of its bulk."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ...spectra import KnownBlock

PRECISION = 1e-10  # relative, of a root
GRID = 64  # trial values below the edge; two roots closer than this tells apart count as none


def roots_below(block: KnownBlock) -> Float[ndarray, " k"]:
    """The roots of det F(σ) in (0, |√left - √right|), `KnownBlock`'s F on the branch of its self energies there.

    With L ≥ R the larger and the smaller of the variances and t = σ + (L - R)/σ, the larger side's self energy is
    (t + √(t² - 4L))/2, large as σ → 0 since that side has null vectors, and the other's that - (L - R)/σ. A root
    changes the number of negative eigenvalues.
    """
    large, small = max(block.variance_left, block.variance_right), min(block.variance_left, block.variance_right)
    edge = large**0.5 - small**0.5

    def negatives(sigma: float) -> int:
        t = sigma + (large - small) / sigma
        of_larger = (t + np.sqrt(max(t * t - 4 * large, 0.0))) / 2
        of_smaller = of_larger - (large - small) / sigma
        b, a = (of_larger, of_smaller) if block.variance_left > block.variance_right else (of_smaller, of_larger)
        left = sigma * np.eye(len(block.gram_left)) - block.gram_left / (sigma - b)
        right = sigma * np.eye(len(block.gram_right)) - block.gram_right / (sigma - a)
        full = np.block([[left, -block.core], [-block.core.T, right]])
        return int(np.sum(np.linalg.eigvalsh(full) < 0))

    if edge == 0:
        return np.zeros(0)
    grid = edge * np.linspace(1e-3, 1 - 1e-9, GRID)
    counts = [negatives(sigma) for sigma in grid]
    roots = []
    for k in np.flatnonzero(np.diff(counts)):
        low, high = grid[k], grid[k + 1]
        while high - low > PRECISION * high:
            middle = (low + high) / 2
            low, high = (middle, high) if negatives(middle) == counts[k] else (low, middle)
        roots.append(high)
    return np.array(roots, float)
