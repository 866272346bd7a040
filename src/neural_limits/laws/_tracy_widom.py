"""The Tracy-Widom law for real matrices: how the largest eigenvalue of pure noise scatters."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import airy

from .._arrays import probability_array, real_array
from ._law import Law

NODES = 48  # Gauss-Legendre; F moves by less than 3e-14 from here to 100 nodes for s in [-10, 100]
REACH = 16.0  # Ai(16) = 4e-20: the kernel ends there
LOWEST, HIGHEST = -10.0, 98.0  # F(-10) < 1e-20 and 1 - F(98) < 1e-280: beyond them F is 0 or 1
LEAST_LOWER = 1e-12  # F has an absolute error near 1e-16, so smaller lower quantiles would be noise
LEAST_UPPER = 1e-280
NEWTON_STEPS, TOLERANCE = 60, 1e-9  # quadratic: after a step of 1e-9 nothing is left to gain


class TracyWidom(Law):
    """The Tracy-Widom law F₁ (β = 1), the limit of a centred and scaled largest eigenvalue of X Xᵀ, X real.

    F₁(s) = det(1 − B_s),  B_s(x, y) = Ai(x + y + s) on L²(0, ∞).

    s has no unit. Discretised with Gauss-Legendre nodes (exponentially convergent); absolute error of the
    distribution function near 1e-15, relative error of the upper tail near 1e-13. Methods take scalars or
    arrays and answer in float64; about 3 ms a new point (20 ms a quantile), remembered afterwards. ValueError
    for NaN.

    Source: Tracy and Widom (1996); determinant of Ferrari and Spohn (2005); quadrature of Bornemann (2010).

    >>> law = TracyWidom()
    >>> law.quantile([0.95, 0.99]).round(4)
    array([0.9793, 2.0234])
    >>> round(law.mean(), 10), round(law.variance(), 10)
    (-1.2065335746, 1.6077810346)
    """

    def cdf(self, s: ArrayLike) -> NDArray[np.float64]:
        """F(s) = P(S ≤ s)."""
        return _each(lambda value: _determinant(value)[0], real_array("s", s))

    def sf(self, s: ArrayLike) -> NDArray[np.float64]:
        """1 − F(s), accurate relative to itself far out in the upper tail."""
        return _each(lambda value: _determinant(value)[1], real_array("s", s))

    def pdf(self, s: ArrayLike) -> NDArray[np.float64]:
        """F'(s) = −F(s) tr[(1 − B_s)⁻¹ ∂B_s/∂s], per unit s."""
        return _each(lambda value: _determinant(value)[2], real_array("s", s))

    def quantile(self, q: ArrayLike) -> NDArray[np.float64]:
        """The s with F(s) = q; ValueError for q outside [1e-12, 1)."""
        most = float(np.nextafter(1.0, 0.0))
        return _each(_quantile, probability_array("q", q, least=LEAST_LOWER, most=most))

    def isf(self, p: ArrayLike) -> NDArray[np.float64]:
        """The s with 1 − F(s) = p, for p too small to be written as 1 − q; ValueError outside [1e-280, 1)."""
        return _each(_upper_quantile, probability_array("p", p, least=LEAST_UPPER, most=1 - LEAST_LOWER))

    def mean(self) -> float:
        """E S = −1.2065…"""
        return self.expectation(lambda s: s)

    def variance(self) -> float:
        """E (S − E S)² = 1.6077…"""
        centre = self.mean()
        return self.expectation(lambda s: (s - centre) ** 2)

    def expectation(self, function: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> float:
        """E g(S) for a smooth g that takes an array; the density beyond [-10, 14] (1e-14) is left out."""
        points, weights = _density_table()
        return float(weights @ function(points))


def _each(function: Callable[[float], float], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The function of every entry, in the same shape."""
    return np.array([function(float(value)) for value in values.flat]).reshape(values.shape)[()]


@lru_cache(maxsize=4096)
def _determinant(s: float) -> tuple[float, float, float]:
    """(F, 1 − F, F') at s: eigenvalues of the symmetric kernel keep the small one of the first two exact."""
    if s <= LOWEST:
        return 0.0, 1.0, 0.0
    if s > HIGHEST:
        return 1.0, 0.0, 0.0
    kernel, slope = _kernel(s)
    values, vectors = np.linalg.eigh(kernel)
    gaps = np.maximum(1 - values, np.finfo(np.float64).tiny)  # rounding may push an eigenvalue to 1
    below = float(np.prod(gaps))
    above = 1 - below if below < 0.5 else float(-np.expm1(np.sum(np.log1p(-values))))
    density = -below * float(np.sum(np.sum(vectors * (slope @ vectors), axis=0) / gaps))
    return below, above, max(density, 0.0)


def _kernel(s: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """√wᵢ Ai(xᵢ + xⱼ + s) √wⱼ and its derivative by s, shape (NODES, NODES)."""
    unit, weights = _legendre()
    length = REACH - min(s, 0.0)
    points, roots = (1 + unit) * length / 2, np.sqrt(weights * length / 2)
    i, j = np.triu_indices(NODES)
    value, slope, _, _ = airy(points[i] + points[j] + s)
    both = np.zeros((2, NODES, NODES))
    both[:, i, j] = both[:, j, i] = np.stack([value, slope]) * roots[i] * roots[j]
    return both[0], both[1]


@lru_cache(maxsize=1)
def _legendre() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    points, weights = np.polynomial.legendre.leggauss(NODES)
    return points, weights


@lru_cache(maxsize=1)
def _density_table() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points and weights of E g(S): the trapezoid, exponentially convergent on a smooth density."""
    points = np.linspace(LOWEST, 14.0, 49)  # half the step moves mean and variance by less than 1e-13
    weights = np.array([_determinant(float(s))[2] for s in points]) * (points[1] - points[0])
    return points, weights


@lru_cache(maxsize=1024)
def _quantile(q: float) -> float:
    return _upper_quantile(1 - q) if q > 0.5 else _newton(np.log(q), upper=False, start=-2.0)


@lru_cache(maxsize=1024)
def _upper_quantile(p: float) -> float:
    if p > 0.5:
        return _quantile(1 - p)
    return _newton(np.log(p), upper=True, start=(-1.5 * np.log(p)) ** (2 / 3) - 1)  # 1 − F ~ exp(−⅔ s^(3/2))


def _newton(target: float, *, upper: bool, start: float) -> float:
    """Where log F, or log(1 − F), takes a value: both are concave, so Newton's method gets there."""
    s = start
    for _ in range(NEWTON_STEPS):
        below, above, density = _determinant(s)
        mass, slope = (above, -density) if upper else (below, density)
        step = float(np.clip((target - np.log(mass)) * mass / slope, -3.0, 3.0))
        s = float(np.clip(s + step, LOWEST + 0.5, HIGHEST))
        if abs(step) < TOLERANCE:
            return s
    raise RuntimeError(f"quantile did not converge for log probability {target}; please report it.")
