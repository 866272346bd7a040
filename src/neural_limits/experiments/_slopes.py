"""Rates of convergence: log-log slopes over a ladder of sizes, with bootstrap errors over seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator
from numpy import ndarray

from ._experiment import Mean, Verdict, decide

RESAMPLES = 300
RESOLVED = 0.1  # a slope with a larger error decides nothing

Statistic = Callable[[list[ndarray]], ndarray]


def slope_over(sizes: Sequence[int], samples: Sequence[ndarray], statistic: Statistic, seed: int = 0) -> Mean:
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


def _slope(sizes: Sequence[int], values: ndarray) -> float:
    """Least squares through the logarithms; NaN where a value is not positive."""
    if not np.all(values > 0):
        return float("nan")
    return float(np.polyfit(np.log(np.asarray(sizes[: len(values)], float)), np.log(values), 1)[0])


def signed(differences: list[ndarray]) -> ndarray:
    """Root mean square of differences (seed, ...) averaged over seeds with their sign, the noise left subtracted."""
    squares = [np.mean(d.mean(0) ** 2 - d.var(0, ddof=1) / len(d)) for d in differences]
    return np.sqrt(np.maximum(squares, 0))


def label_sizes(axis: Axes, sizes: Sequence[float]) -> None:
    """A logarithmic axis with the sizes themselves as its ticks."""
    axis.set_xscale("log")
    axis.set_xticks(list(sizes), [f"{size:g}" for size in sizes])
    axis.xaxis.set_minor_locator(NullLocator())


def slope_verdict(
    claim: str, source: str, slope: Mean, expected: float, tolerance: float = 0.15, *, bound: bool = False
) -> Verdict:
    """Holds where the slope is the expected one within the tolerance and two errors, if the error resolves it.

    ``bound``: a steeper slope holds too.
    """
    excess = slope.value - expected
    near = (excess if bound else abs(excess)) < max(tolerance, 2 * slope.error)
    steeper = " or steeper" if bound else ""
    return Verdict(
        claim, source, f"slope {slope}", f"{expected:g}{steeper} within {tolerance:g}, error below {RESOLVED:g}",
        decide(near, resolved=bool(np.isfinite(slope.value)) and slope.error < RESOLVED),
    )  # fmt: skip
