"""The largest eigenvalue of a symmetric operator known by its products."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from numpy import ndarray


def largest_eigenvalue(
    product: Callable[[ndarray], ndarray], start: Float[ndarray, " n"], iterations: int, residual: float = 1e-9
) -> float:
    """By Lanczos with full reorthogonalisation, from ``start``, until the Ritz pair's relative ``residual`` is met.

    Where the eigenvalue lies outside the bulk its relative error is then residual² over the relative gap; at a
    bulk's edge ``iterations`` end the search, and the value is low by O(iterations⁻²).
    Cost: ``iterations`` products and as many vectors held.

    >>> round(largest_eigenvalue(lambda u: np.array([3.0, 2.0, 1.0]) * u, np.ones(3), 10), 12)
    3.0
    """
    # A single vector, where spectra.leading_eigenvalues takes a block, which sees multiple eigenvalues too: only the
    # largest one is wanted, a good start is known, and every product with conditioned weights makes their bases grow.
    basis = (start / np.linalg.norm(start))[None]
    diagonal, beside = [], []
    while True:
        rest = product(basis[-1])
        diagonal.append(float(basis[-1] @ rest))
        for _ in range(2):
            rest = rest - (basis @ rest) @ basis
        beside.append(float(np.linalg.norm(rest)))
        values, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(beside[:-1], 1) + np.diag(beside[:-1], -1))
        if len(diagonal) >= iterations or beside[-1] * abs(vectors[-1, -1]) <= residual * abs(values[-1]):
            return float(values[-1])
        basis = np.vstack([basis, rest / beside[-1]])
