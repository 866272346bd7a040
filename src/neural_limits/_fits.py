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
    value = log_slope(sizes, statistic(list(samples)))
    rng = np.random.default_rng(seed)
    again = []
    for _ in range(RESAMPLES):
        drawn = [s[rng.integers(0, len(s), len(s))] for s in samples]
        again.append(log_slope(sizes, statistic(drawn)))
    return Mean(float(value), float(np.nanstd(again)))


def log_slope(sizes: Sequence[float], values: ndarray) -> ndarray:
    """Slope of log ``values`` (..., size) in the log of the first sizes; NaN where one is not positive.

    >>> log_slope([1, 2, 4], np.array([[1.0, 4.0, 16.0], [1.0, 0.0, 1.0]]))
    array([ 2., nan])
    """
    x = np.log(np.asarray(sizes[: values.shape[-1]], float))
    x -= x.mean()
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.log(values) @ x / (x @ x)
    return np.where((values > 0).all(-1), found, np.nan)


def vertex(x: ndarray, y: ndarray) -> ndarray:
    """Where the parabola through three points, the last axis, with the middle one lowest is lowest.

    >>> float(vertex(np.array([0.0, 1.0, 3.0]), np.array([1.0, 0.0, 4.0])))
    1.0
    """
    (x0, x1, x2), (y0, y1, y2) = np.moveaxis(x, -1, 0), np.moveaxis(y, -1, 0)
    down, up = (y1 - y0) / (x1 - x0), (y2 - y1) / (x2 - x1)
    bend = (up - down) / (x2 - x0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(bend > 0, (x0 + x1) / 2 - down / (2 * bend), x1)
