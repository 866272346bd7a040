"""Whether a rate transfers: the slope of its logarithm against that of the width, over seeds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy import stats

FLAT = 0.1  # a slope that changes a rate by 1.26 over a factor ten in width counts as none
CONFIDENCE = 0.95


class Slope(NamedTuple):
    """d log(rate)/d log(width), its standard error over seeds, and half of its confidence interval."""

    value: float
    stderr: float
    half: float


def slope_over_width(widths: Float[ndarray, " w"], rates: Float[ndarray, "w s"]) -> Slope:
    """The mean of every seed's own least-squares slope; errors are NaN for one seed, all where a rate is missing.

    >>> round(slope_over_width(np.array([1.0, 10.0]), np.array([[1.0, 2.0], [0.1, 0.2]])).value, 9)
    -1.0
    """
    slopes = np.polyfit(np.log(widths), np.log(rates), 1)[0] if np.isfinite(rates).all() else np.array([np.nan])
    seeds = len(slopes)
    if seeds < 2:
        return Slope(float(slopes.mean()), float("nan"), float("nan"))
    stderr = float(slopes.std(ddof=1) / np.sqrt(seeds))
    return Slope(float(slopes.mean()), stderr, float(stats.t.ppf((1 + CONFIDENCE) / 2, seeds - 1) * stderr))


def transfers(slope: Slope) -> str:
    """``transfers`` or ``does not transfer`` where the interval is clear of ±`FLAT`, else ``undecided``."""
    if abs(slope.value) + slope.half < FLAT:
        return "transfers"
    return "does not transfer" if abs(slope.value) - slope.half > FLAT else "undecided"
