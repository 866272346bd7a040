"""Rates of convergence: log-log slopes over a ladder of sizes, with bootstrap errors over seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
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


def doublings(samples: list[ndarray]) -> ndarray:
    """Root mean square of the seed-averaged signed difference of neighbours, its noise subtracted."""
    rows = []
    for coarse, fine in pairwise(samples):
        gap = coarse.mean(0) - fine.mean(0)
        noise = coarse.var(0, ddof=1) / len(coarse) + fine.var(0, ddof=1) / len(fine)
        rows.append(np.mean(gap**2 - noise))
    return np.sqrt(np.maximum(rows, 0))


def means(samples: list[ndarray]) -> ndarray:
    """The mean over seeds and everything else."""
    return np.array([s.mean() for s in samples])


def without_noise_of(values: ndarray, controls: ndarray) -> ndarray:
    """Values (seed, ...) less their regression on controls (seed, c) of known mean zero: same mean, less noise."""
    flat = values.reshape(len(values), -1)
    centred = controls - controls.mean(0)
    beta = np.linalg.lstsq(centred, flat - flat.mean(0), rcond=None)[0]
    return (flat - controls @ beta).reshape(values.shape)


def slope_verdict(claim: str, source: str, slope: Mean, expected: float, tolerance: float = 0.15) -> Verdict:
    """Holds where the slope is the expected one within the tolerance and two errors, if the error resolves it."""
    near = abs(slope.value - expected) < max(tolerance, 2 * slope.error)
    return Verdict(
        claim, source, f"slope {slope}", f"{expected:g} within {tolerance:g}, error below {RESOLVED:g}",
        decide(near, resolved=bool(np.isfinite(slope.value)) and slope.error < RESOLVED),
    )  # fmt: skip
