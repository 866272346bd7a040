"""Measured singular values of dense matrices: the leading ones by Lanczos, or all of them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.linalg import svd
from scipy.sparse.linalg import svds

FULL_SVD = 300  # below this size a full decomposition is faster
TOLERANCE = 1e-5  # Lanczos, on σ²: an error of a singular value below 5e-6 of it, well under float32 training noise


def leading_singular_triplets(
    matrix: Float[ndarray, "n p"], threshold: float, *, start: int = 8
) -> tuple[Float[ndarray, " k"], Float[ndarray, "k n"], Float[ndarray, "k p"]]:
    """All singular values above ``threshold``, largest first, and their left and right vectors (rows).

    Lanczos with a doubling number of values until one falls below the threshold, so that none is missed;
    a full decomposition for small matrices. Cost: O(n p) per Lanczos step.

    >>> values, _, _ = leading_singular_triplets(np.diag([3.0, 2.0, 1.0]), 1.5)
    >>> values
    array([3., 2.])
    """
    k, smallest = start, min(matrix.shape)
    while smallest > FULL_SVD and k < smallest // 8:
        seed = np.random.default_rng(0).standard_normal(smallest).astype(matrix.dtype)
        left, values, right = svds(matrix, k=k, v0=seed, tol=TOLERANCE)
        order = np.argsort(-values)
        if values[order[-1]] < threshold:
            keep = order[values[order] > threshold]
            return values[keep].astype(np.float64), left.T[keep], right[keep]
        k *= 2
    left, values, right = svd(matrix, full_matrices=False)
    keep = values > threshold
    return values[keep].astype(np.float64), left.T[keep], right[keep]


def top_singular_values(matrix: Float[ndarray, "n p"], count: int) -> Float[ndarray, " k"]:
    """The ``count`` largest singular values, largest first (Lanczos; all of them for small matrices)."""
    if min(matrix.shape) <= max(FULL_SVD, 8 * count):
        return np.linalg.svd(matrix, compute_uv=False)[:count].astype(np.float64)
    seed = np.random.default_rng(0).standard_normal(min(matrix.shape)).astype(matrix.dtype)
    return np.sort(svds(matrix, k=count, v0=seed, tol=TOLERANCE, return_singular_vectors=False))[::-1].astype(
        np.float64
    )
