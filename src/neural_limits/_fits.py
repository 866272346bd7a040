"""Small fits and their errors: means over seeds, log-log slopes over sizes, the vertex of a parabola."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy import ndarray

RESAMPLES = 300  # of the seeds, for a bootstrap error

Statistic = Callable[[list[ndarray]], ndarray]


class Mean(NamedTuple):
    """A mean over seeds with its standard error."""

    value: float
    error: float

    def __str__(self) -> str:
        if not np.isfinite(self.value):
            return "none"
        digits = max(0, 1 - int(np.floor(np.log10(self.error)))) if self.error > 1e-12 else 4
        return f"{self.value:.{digits}f} ± {self.error:.{digits}f}"


def mean_of(samples: ndarray) -> Mean:
    """Mean and standard error over the first axis; the error is NaN for a single sample."""
    samples = np.asarray(samples, float)
    n = len(samples)
    error = float(samples.std(ddof=1) / n**0.5) if n > 1 else float("nan")
    return Mean(float(samples.mean()), error)


def standard_errors(a: Mean, b: Mean) -> float:
    """|a - b| in combined standard errors."""
    return abs(a.value - b.value) / float(np.hypot(a.error, b.error))


def slope_over(sizes: Sequence[float], samples: Sequence[ndarray], statistic: Statistic, seed: int = 0) -> Mean:
    """Slope of log statistic against log size; ``samples[i]`` has seeds first, ``statistic`` one value per size.

    ``statistic`` may return fewer values than sizes (differences of neighbours): they belong to the first ones.
    The error is the standard deviation over resampled seeds.
    """
    value = _slope(sizes, statistic(list(samples)))
    rng = np.random.default_rng(seed)
    again = []
    for _ in range(RESAMPLES):
        drawn = [s[rng.integers(0, len(s), len(s))] for s in samples]
        again.append(_slope(sizes, statistic(drawn)))
    return Mean(value, float(np.nanstd(again)))


def _slope(sizes: Sequence[float], values: ndarray) -> float:
    """Least squares through the logarithms; NaN where a value is not positive."""
    if not np.all(values > 0):
        return float("nan")
    return float(np.polyfit(np.log(np.asarray(sizes[: len(values)], float)), np.log(values), 1)[0])


def vertex(x: ndarray, y: ndarray) -> float:
    """Where the parabola through three points with the middle one lowest is lowest.

    >>> vertex(np.array([0.0, 1.0, 3.0]), np.array([1.0, 0.0, 4.0]))
    1.0
    """
    down, up = (y[1] - y[0]) / (x[1] - x[0]), (y[2] - y[1]) / (x[2] - x[1])
    bend = (up - down) / (x[2] - x[0])
    return float((x[0] + x[1]) / 2 - down / (2 * bend)) if bend > 0 else float(x[1])
