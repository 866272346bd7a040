"""The Marchenko-Pastur law: eigenvalues of a sample covariance whose entries are independent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._arrays import probability_array, real_array
from .._checks import positive_float
from ._law import Law

BISECTIONS = 60  # halvings of [0, π]: the bracket ends below the spacing of floats near π


@dataclass(frozen=True)
class MarchenkoPastur(Law):
    """Limiting eigenvalue law of X Xᵀ/n, X of shape (p, n) with iid entries of variance ``scale``.

    f(x) = √((b − x)(x − a)) / (2π c σ² x) on [a, b],  a, b = σ²(1 ∓ √c)²,  and an atom 1 − 1/c at 0 if c > 1.

    ``ratio`` c = p/n and ``scale`` σ² (units of an eigenvalue) are positive and finite, ValueError
    otherwise. Methods take scalars or arrays, keep the shape and answer in float64; every one is a closed
    form, O(1) a point, except ``quantile`` (bisection, about 60 evaluations of the distribution function).

    Source: Marchenko and Pastur (1967); Bai and Silverstein, Spectral Analysis of Large Dimensional Random
    Matrices (2010), chapter 3.

    >>> law = MarchenkoPastur(ratio=0.25)
    >>> law.support
    (0.25, 2.25)
    >>> law.pdf([0.0, 1.0, 3.0]).round(4)
    array([0.    , 0.6164, 0.    ])
    >>> float(law.cdf(law.quantile(0.9)).round(12))
    0.9
    """

    ratio: float
    scale: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "ratio", positive_float("ratio", self.ratio))
        object.__setattr__(self, "scale", positive_float("scale", self.scale))

    @property
    def support(self) -> tuple[float, float]:
        """The edges (a, b) of the bulk; where ``atom`` is positive, 0 carries mass besides."""
        root = float(np.sqrt(self.ratio))
        return self.scale * (1 - root) ** 2, self.scale * (1 + root) ** 2

    @property
    def atom(self) -> float:
        """Mass at zero: max(0, 1 − 1/c)."""
        return max(0.0, 1 - 1 / self.ratio)

    def mean(self) -> float:
        """∫ x dF = σ², whatever the ratio."""
        return self.scale

    def pdf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Density of the bulk at x, per unit eigenvalue; 0 outside, the atom left out, inf at a hard edge 0.

        Its integral is 1 − ``atom``. ValueError for NaN.
        """
        x = real_array("x", x)
        height = self._height(x)
        with np.errstate(divide="ignore"):
            return np.divide(height, 2 * np.sqrt(np.abs(x)), out=np.zeros_like(x), where=height > 0)[()]

    def root_pdf(self, s: ArrayLike) -> NDArray[np.float64]:
        """Density of √x at s, per unit s: 2 s f(s²), finite everywhere; the law of singular values.

        0 outside the bulk and for s < 0. ValueError for NaN.
        """
        s = np.clip(real_array("s", s), -1.0, 2 * np.sqrt(self.support[1]))
        return self._height(s * np.abs(s))[()]

    def cdf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Mass at or below x, the atom included. ValueError for NaN."""
        x = real_array("x", x)
        low, high = self.support
        clipped = np.clip(x, low, high)
        angle = 2 * np.arctan2(np.sqrt(clipped - low), np.sqrt(high - clipped))
        mass = np.where(x >= high, 1.0, np.clip(self.atom + self._bulk_below(angle), 0.0, 1.0))
        return np.where(x < 0, 0.0, mass)[()]

    def quantile(self, q: ArrayLike) -> NDArray[np.float64]:
        """Smallest x with cdf(x) ≥ q; 0 up to the atom's mass. ValueError for q outside [0, 1]."""
        q = probability_array("q", q)
        low, high = self.support
        below, above = np.zeros_like(q), np.full_like(q, np.pi)
        for _ in range(BISECTIONS):
            middle = (below + above) / 2
            under = self.atom + self._bulk_below(middle) < q
            below, above = np.where(under, middle, below), np.where(under, above, middle)
        x = low + (high - low) * np.sin(above / 2) ** 2
        x = np.where(q >= 1, high, np.where((q <= 0) & (self.atom == 0), low, x))
        return np.where((q <= self.atom) & (self.atom > 0), 0.0, x)[()]

    def stieltjes(self, z: ArrayLike) -> NDArray[np.complex128]:
        """m(z) = ∫ dF(x)/(x − z), the root of c σ² z m² + (z + σ²(c − 1)) m + 1 = 0 with m ~ −1/z.

        On the bulk's real interval it is the limit from above: Im m = π f. ValueError for z that is not
        finite, and at z = 0 where c ≥ 1 (m has a pole there).
        """
        z = np.asarray(z, dtype=np.complex128)
        if not np.isfinite(z).all():
            raise ValueError("`z` must be finite; give points of the complex plane off the poles.")
        if self.ratio >= 1 and (z == 0).any():
            raise ValueError(f"`z` must not be 0 for ratio {self.ratio:g} >= 1; the transform has a pole there.")
        low, high = self.support
        linear = self.scale * (1 - self.ratio) - z
        root = np.sqrt(z - low) * np.sqrt(z - high)
        # Two forms of one root; each cancels where the other does not.
        far = np.abs(linear - root) >= np.abs(linear + root)
        direct = 2 / np.where(far, linear - root, 1.0)
        return np.where(far, direct, (linear + root) / np.where(far, 1.0, 2 * self.ratio * self.scale * z))[()]

    def _bulk_below(self, angle: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mass of [a, x] without the atom, x = (a + b)/2 − (b − a)/2 cos φ.

        (min(1, c) φ + √c sin φ − |1 − c| δ) / (π c),  tan δ = r sin φ/(1 − r cos φ),  r = min(√c, 1/√c).
        """
        root = np.sqrt(self.ratio)
        small = min(root, 1 / root)
        # 1 − r cos φ, without the cancellation near φ = 0.
        delta = np.arctan2(small * np.sin(angle), (1 - small) + 2 * small * np.sin(angle / 2) ** 2)
        area = min(1.0, self.ratio) * angle + root * np.sin(angle) - abs(1 - self.ratio) * delta
        return area / (np.pi * self.ratio)

    def _height(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """2 √x f(x) = √((b − x)(1 − a/x)) / (π c σ²) on [a, b] and 0 elsewhere; finite at a hard edge too."""
        low, high = self.support
        inside = (x >= low) & (x <= high)
        x = np.where(inside, x, high)
        above_low = np.divide(x - low, x, out=np.ones_like(x), where=x > 0)
        return np.where(inside, np.sqrt((high - x) * above_low) / (np.pi * self.ratio * self.scale), 0.0)
