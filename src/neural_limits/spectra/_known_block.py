"""What is known of M = τW + learned part, and the equation whose roots are its outliers.

M = τ W + Q_Bᵀ C Q_A with W known on the touched directions (weights/). Integrating out the fresh bulk leaves
a small symmetric matrix; its sign changes along σ are the singular values outside the bulk.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.linalg import eigh, svd
from scipy.sparse.linalg import LinearOperator, svds

DENSE_SVD = 400  # below this size a full SVD is faster than Lanczos


class SelfEnergies(NamedTuple):
    """a, b of the fresh bulk at σ and their slopes: a (σ - b) = τ²p, b (σ - a) = τ²n."""

    a: float
    b: float
    a_slope: float
    b_slope: float


def self_energies(sigma: float, left: float, right: float) -> SelfEnergies:
    """a and b for variances left = τ²n, right = τ²p of the fresh bulk, at or above its edge √left + √right."""
    t = sigma - (left - right) / sigma
    a = 2 * right / (t + np.sqrt(max(t * t - 4 * right, 0.0)))
    b = a + (left - right) / sigma
    # (σ-b) a' - a b' = -a and (σ-a) b' - b a' = -b; singular at the edge, where the slopes are -∞
    determinant = (sigma - b) * (sigma - a) - a * b
    with np.errstate(divide="ignore"):
        a_slope = -np.divide(a * (sigma - a) + a * b, determinant)
        b_slope = -np.divide(b * (sigma - b) + a * b, determinant)
    return SelfEnergies(float(a), float(b), float(a_slope), float(b_slope))


class Modes(NamedTuple):
    """Leading singular values of T(σ), their slopes in σ, and the vectors (columns)."""

    values: Float[ndarray, " k"]
    slopes: Float[ndarray, " k"]
    left: Float[ndarray, "rb k"]
    right: Float[ndarray, "ra k"]


@dataclass(frozen=True)
class KnownBlock:
    """The known part of a weight in orthonormal touched bases Q_B (left, r_B) and Q_A (right, r_A).

    ``core`` = Q_B M Q_Aᵀ (r_B × r_A), learned part and known bulk together; ``gram_left`` = τ² R⊥ R⊥ᵀ and
    ``gram_right`` = τ² Z⊥ Z⊥ᵀ, where Z⊥ = W Q_A outside Q_B and R⊥ = Wᵀ Q_B outside Q_A; ``variance_left``
    = τ²n and ``variance_right`` = τ²p of the bulk that is integrated out. With the self energies a, b,

        F(σ) = [[ σ - gram_left/(σ - b),  -core                    ],
                [ -coreᵀ,                  σ - gram_right/(σ - a)  ]]

    has as many negative eigenvalues as M has outliers above σ. This is the theory's matrix on the bases
    [Q_B, Ẑ], [Q_A, R̂] after eliminating Ẑ and R̂, half its size, with the same signs. Rotated to where the
    diagonal blocks are diagonal, d_B and d_A, the count is that of singular values above 1 of

        T(σ) = d_B^(-1/2) core d_A^(-1/2).

    Cost: one eigendecomposition of each Gram matrix, then a few products of size r_A r_B per σ.
    """

    core: Float[ndarray, "rb ra"]
    gram_left: Float[ndarray, "rb rb"]
    gram_right: Float[ndarray, "ra ra"]
    variance_left: float
    variance_right: float

    @property
    def edge(self) -> float:
        """The upper edge of the bulk that is integrated out."""
        return self.variance_left**0.5 + self.variance_right**0.5

    @cached_property
    def _rotated(self) -> tuple[ndarray, ndarray, ndarray, ndarray, ndarray]:
        kappa_left, rotation_left = eigh(self.gram_left)
        kappa_right, rotation_right = eigh(self.gram_right)
        core = rotation_left.T @ self.core @ rotation_right
        return kappa_left, kappa_right, core, rotation_left, rotation_right

    def diagonals(self, sigma: float) -> tuple[ndarray, ndarray, ndarray, ndarray]:
        """d_B, d_A at σ and their slopes."""
        s = self_energies(sigma, self.variance_left, self.variance_right)
        kappa_left, kappa_right, *_ = self._rotated
        left, right = kappa_left / (sigma - s.b), kappa_right / (sigma - s.a)
        return (
            sigma - left,
            sigma - right,
            1 + left * (1 - s.b_slope) / (sigma - s.b),
            1 + right * (1 - s.a_slope) / (sigma - s.a),
        )

    def smallest_eigenvalue(self, sigma: float) -> float:
        """The smallest eigenvalue of F(σ): negative once an outlier has escaped above σ."""
        if self.core.size == 0:
            return float(sigma)
        d_left, d_right, *_ = self.diagonals(sigma)
        core = self._rotated[2]
        full = np.block([[np.diag(d_left), -core], [-core.T, np.diag(d_right)]])
        return float(eigh(full, eigvals_only=True, subset_by_index=[0, 0])[0])

    def count(self, sigma: float) -> int:
        """Singular values of M above σ, which must not lie below the edge."""
        if self.core.size == 0:
            return 0
        d_left, d_right, *_ = self.diagonals(sigma)
        below = int(np.sum(d_left <= 0) + np.sum(d_right <= 0))
        if below:  # a diagonal block alone is negative: count on F itself
            core = self._rotated[2]
            full = np.block([[np.diag(d_left), -core], [-core.T, np.diag(d_right)]])
            return int(np.sum(np.linalg.eigvalsh(full) < 0))
        k = 8
        while True:
            values = self.modes(sigma, k).values
            if np.sum(values > 1) < k or k >= min(self.core.shape):
                return int(np.sum(values > 1))
            k *= 2

    def modes(self, sigma: float, count: int) -> Modes:
        """The ``count`` largest singular values of T(σ), with slopes and vectors."""
        d_left, d_right, slope_left, slope_right = self.diagonals(sigma)
        scale_left, scale_right = 1 / np.sqrt(d_left), 1 / np.sqrt(d_right)
        u, values, vt = _leading(scale_left[:, None] * self._rotated[2] * scale_right, count)
        slopes = -0.5 * values * ((slope_left / d_left) @ u**2 + (slope_right / d_right) @ vt.T**2)
        return Modes(values, slopes, u, vt.T)


def _leading(matrix: ndarray, count: int) -> tuple[ndarray, ndarray, ndarray]:
    """The leading singular triplets, largest first."""
    count = min(count, *matrix.shape)
    if min(matrix.shape) <= DENSE_SVD or count > min(matrix.shape) // 4:
        u, values, vt = svd(matrix, full_matrices=False, check_finite=False)
    else:
        start = np.random.default_rng(0).standard_normal(min(matrix.shape))
        operator = LinearOperator(matrix.shape, matvec=matrix.dot, rmatvec=matrix.T.dot, dtype=matrix.dtype)
        u, values, vt = svds(operator, k=count, v0=start, tol=1e-12)
        order = np.argsort(-values)
        u, values, vt = u[:, order], values[order], vt[order]
    return u[:, :count], values[:count], vt[:count]
