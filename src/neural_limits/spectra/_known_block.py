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
from scipy.linalg import eigh

RITZ_STEPS, RITZ_TOLERANCE = 10, 1e-7  # a root's error is of second order in its vector's


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
    """Leading singular values of T(σ), and (columns) d_B^(-1/2) u, d_A^(-1/2) v in the rotated bases.

    Where a value is 1, the two columns together are a null vector of F(σ).
    """

    values: Float[ndarray, " k"]
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

    @property
    def rotated_core(self) -> Float[ndarray, "rb ra"]:
        """`core` in the bases where the diagonal blocks of F are diagonal."""
        return self._rotated[2]

    def rotate_back(self, left: ndarray, right: ndarray) -> tuple[ndarray, ndarray]:
        """Vectors from those bases back to Q_B and Q_A."""
        _, _, _, rotation_left, rotation_right = self._rotated
        return rotation_left @ left, rotation_right @ right

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
        if d_left.min() > 0 and d_right.min() > 0:
            return len(self.modes(sigma).values)
        # a diagonal block alone is negative, so T does not exist: count on F itself
        core = self._rotated[2]
        full = np.block([[np.diag(d_left), -core], [-core.T, np.diag(d_right)]])
        return int(np.sum(np.linalg.eigvalsh(full) < 0))

    def modes(self, sigma: float) -> Modes:
        """All singular values of T(σ) above 1, largest first, with null-vector candidates of F(σ).

        Cost: a product and a partial eigendecomposition of the smaller side's size.
        """
        d_left, d_right, *_ = self.diagonals(sigma)
        scaled = self._rotated[2] / np.sqrt(d_left[:, None] * d_right)
        wide = scaled.shape[0] <= scaled.shape[1]
        gram = scaled @ scaled.T if wide else scaled.T @ scaled
        squares, near = eigh(gram, subset_by_value=[1.0, np.inf], check_finite=False, overwrite_a=True)
        values, near = np.sqrt(squares[::-1]), near[:, ::-1]
        far = (scaled.T @ near if wide else scaled @ near) / values
        u, v = (near, far) if wide else (far, near)
        return Modes(values, u / np.sqrt(d_left[:, None]), v / np.sqrt(d_right[:, None]))

    def refine(self, sigma: float, start: Modes) -> Modes:
        """The singular triplets of T(σ) that continue those of ``start``, by block Rayleigh-Ritz steps.

        Converges fast where outliers are separated; the residual reached is in the error of a root squared.
        """
        d_left, d_right, *_ = self.diagonals(sigma)
        scaled = self._rotated[2] / np.sqrt(d_left[:, None] * d_right)
        v = start.right * np.sqrt(d_right[:, None])
        for _ in range(RITZ_STEPS):
            once = scaled.T @ (scaled @ v)
            basis, _ = np.linalg.qr(np.hstack([v, once, scaled.T @ (scaled @ once)]))
            u, values, vt = np.linalg.svd(scaled @ basis, full_matrices=False)
            previous, v = v, basis @ vt[: v.shape[1]].T
            if np.linalg.norm(v - previous @ (previous.T @ v)) < RITZ_TOLERANCE:
                break
        k = v.shape[1]
        return Modes(values[:k], u[:, :k] / np.sqrt(d_left[:, None]), v / np.sqrt(d_right[:, None]))
