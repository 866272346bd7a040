"""A density between two edges as a cosine series, integrated term by term."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.fft import dct

NODES, MOST_NODES = 64, 4096  # doubled until the series has converged
POWER = 5  # odd; of the map that crowds nodes at zero: a peak as narrow as 1e-6 of the edge is resolved
CONVERGED = 1e-11  # the last quarter of a series, relative to its mean


@dataclass(frozen=True, eq=False)
class DensitySeries:
    """f(s) ds = Σ cₖ cos(k θ) dθ on s = middle − half cos θ, even and smooth in θ where f has edges like a root's.

    Where the component reaches zero it is the upper half of an even density on [−high, high], and s = −high cos⁵ θ:
    nodes crowd at zero, where a narrow peak may sit, or a density that diverges as s^(−1/3).
    """

    low: float
    high: float
    coefficients: Float[ndarray, " k"]
    tail: float  # the largest coefficient of the last quarter, about the error of the mass

    @property
    def mass(self) -> float:
        """∫ f over the component."""
        return float(np.pi * self.coefficients[0] / (2 if self.low == 0 else 1))

    def below(self, s: Float[ndarray, " p"]) -> Float[ndarray, " p"]:
        """∫ f up to s, clipped to the component."""
        s = np.clip(s, self.low, self.high)
        above, under = s - self.low, self.high - s
        if self.low == 0:
            x = (s / self.high) ** (1 / POWER)
            above, under = 1 + x, 1 - x
        angle = 2 * np.arctan2(np.sqrt(above), np.sqrt(under))
        k = np.arange(1, self.coefficients.size)
        mass = self.coefficients[0] * angle + np.sin(np.outer(angle, k)) @ (self.coefficients[1:] / k)
        return np.clip(mass - (self.mass if self.low == 0 else 0.0), 0.0, self.mass)


def density_series(
    density: Callable[[Float[ndarray, " p"]], Float[ndarray, " p"]], low: float, high: float
) -> DensitySeries:
    """The series of a component, from the density at midpoints in θ."""
    nodes = NODES
    while True:
        angles = np.pi * (np.arange(nodes) + 0.5) / nodes
        x = -np.cos(angles)
        if low == 0:
            heights = POWER * high * x ** (POWER - 1) * _even(density, high * np.abs(x) ** POWER)
        else:
            heights = (high - low) / 2 * density((low + high) / 2 + (high - low) / 2 * x)
        heights *= np.sin(angles)
        coefficients = dct(heights, type=2) / nodes
        coefficients[0] /= 2
        tail = np.abs(coefficients[-nodes // 4 :]).max()
        if tail < CONVERGED * coefficients[0] or nodes >= MOST_NODES:
            kept = np.nonzero(np.abs(coefficients) > CONVERGED * 1e-3 * coefficients[0])[0].max() + 1
            return DensitySeries(low, high, coefficients[:kept], float(tail))
        nodes *= 2


def _even(
    density: Callable[[Float[ndarray, " p"]], Float[ndarray, " p"]], s: Float[ndarray, " p"]
) -> Float[ndarray, " p"]:
    """The density at an even number of points whose second half mirrors the first."""
    upper = density(s[: s.size // 2])
    return np.concatenate([upper, upper[::-1]])
