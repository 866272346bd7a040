"""The bulk of a measured spectrum: its scale, how far its shape is from pure noise, gaps between tail and bulk.

Levels are those of the singular values of pure Gaussian noise, measured on matrices from 30 x 10 to 4096 x 4096
(benchmarks/diagnosis.py checks them): eigenvalues repel, so a spectrum of m values follows its law within about
log(m)/m, not the 1/sqrt(m) of independent draws, and one constant serves every size and shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.special import ndtri

from ..laws import QuarterCircle, TracyWidom, largest_singular_value

LEVELS = 0.1, 0.25, 0.5, 0.75, 0.9  # where quantile shifts are read
LEAST_VALUES = 30  # fewer singular values than this have no bulk to speak of
CENTRAL = 0.1, 0.9  # the quantiles that set the scale: outliers and the edges do not move them
SCALE_ERROR = 0.76  # relative error of the scale times sqrt(rows columns), measured .72-.77; 0.71 with every quantile
RIGIDITY_SLOPE, RIGIDITY, RIGIDITY_FITTED = 0.42, 0.47, 0.23  # of log m; constants for a known and a fitted scale
# Per log(1/false alarm): the maximum of a log-correlated field of variance log(m)/pi².
RIGIDITY_TAIL = 1 / (np.sqrt(2) * np.pi)
SPIKE_SHARE = 0.25  # ranks by which one outlier may move the rest: interlacing allows 1, planted spikes take 0.17
GAP_NEIGHBOURS = 10  # a gap is measured in units of the next ten
GAP, GAP_SLOPE, GAP_TAIL = 0.23, 0.008, 0.0585  # widest gap of noise: constant, per log m, per log(1/false alarm)


def ks_level(size: int, false_alarm: float, *, fitted: bool) -> float:
    """Distance from its law that noise of ``size`` values passes with probability ``false_alarm``."""
    constant = RIGIDITY_FITTED if fitted else RIGIDITY
    return float(RIGIDITY_SLOPE * np.log(size) + constant - RIGIDITY_TAIL * np.log(false_alarm)) / size


def ks_distance(descending: Float[ndarray, " m"], law: QuarterCircle) -> float:
    """Kolmogorov-Smirnov distance of m singular values from a law."""
    below, expected = np.arange(len(descending)) / len(descending), law.cdf(descending[::-1])
    return float(np.max(np.maximum(np.abs(expected - below), np.abs(expected - below - 1 / len(descending)))))


def last_gap(descending: Float[ndarray, " m"], false_alarm: float) -> int:
    """How many of the largest values lie above the lowest gap wider than soft edges show; 0 if none is.

    Gap K is (s_K − s_{K+1})/(s_{K+1} − s_{K+11}), K up to m/2. The values nearest a square-root edge look alike in
    every bulk, whatever its shape and scale, so the level is that of pure noise.
    """
    reach = min(len(descending) // 2, len(descending) - GAP_NEIGHBOURS - 1)
    following = descending[1 : reach + 1]
    room = following - descending[GAP_NEIGHBOURS + 1 : GAP_NEIGHBOURS + reach + 1]
    level = GAP + GAP_SLOPE * np.log(len(descending)) - GAP_TAIL * np.log(false_alarm)
    wide = descending[:reach] - following > level * room
    return int(np.flatnonzero(wide).max(initial=-1)) + 1


@dataclass(frozen=True)
class BulkFit:
    """A quarter circle fitted to all values but the ``outliers`` largest.

    ``std`` and its relative error; ``edge`` and the ``threshold`` of its top value; ``distance`` of the rest from the
    fitted law (Kolmogorov-Smirnov) and its ``level``, which contains the ``allowance``: how far the outliers may move
    the distribution function of the rest. ``law`` has unit scale.
    """

    outliers: int
    rest: Float[ndarray, " k"]
    law: QuarterCircle
    std: float
    relative_error: float
    edge: float
    threshold: float
    distance: float
    level: float
    allowance: float

    @property
    def holds(self) -> bool:
        """The rest follows the law, as far as noise and the outliers let it."""
        return self.distance <= self.level


def fit_bulk(descending: Float[ndarray, " m"], shape: tuple[int, int], false_alarm: float) -> BulkFit:
    """Scale and outliers together: values above the edge's level are taken out until the number stays.

    It starts from none; if the law does not hold then, from those above the lowest gap. If it still does not, there
    is no edge to count from: the fit is of all values, or of those below the gap if they are nearer to a law.
    """
    gap = last_gap(descending, false_alarm)
    for peeled in (0, gap):
        seen = set[int]()
        while peeled not in seen:
            seen.add(peeled)
            fit = fit_below(descending, shape, peeled, false_alarm)
            peeled = min(int(np.sum(descending > fit.threshold)), len(descending) // 2)
        if fit.holds:
            return fit
    return min((fit_below(descending, shape, k, false_alarm) for k in (0, gap)), key=lambda fit: fit.distance)


def fit_below(descending: Float[ndarray, " m"], shape: tuple[int, int], outliers: int, false_alarm: float) -> BulkFit:
    """The fit to all but a given number of outliers, which take as many rows and columns with them."""
    law, rest = QuarterCircle(shape[0] - outliers, shape[1] - outliers), descending[outliers:]
    first, expected = _central_quantiles(law.rows, law.columns, len(rest))
    std = float(rest[::-1][first : first + len(expected)] @ expected / (expected @ expected))
    error = SCALE_ERROR / float(np.sqrt(law.rows * law.columns))
    edge, threshold = _edge(shape, std, error, false_alarm)
    distance = ks_distance(rest / std, law) if std > 0 else 1.0
    noise = ks_level(len(rest), false_alarm, fitted=True)
    # No more than noise itself: a tail cut off a deformed bulk must not excuse the deformation.
    allowance = min(SPIKE_SHARE * outliers / len(rest), noise)
    return BulkFit(outliers, rest, law, std, error, edge, threshold, distance, noise + allowance, allowance)


def scale_level(fit: BulkFit, false_alarm: float) -> float:
    """Relative deviation of the scale that noise, and outliers that move the distribution function, do not pass."""
    _, here = _central_quantiles(fit.law.rows, fit.law.columns, len(fit.rest))
    moved = fit.allowance / fit.law.pdf(here)
    return float(moved @ here / (here @ here)) + fit.relative_error * float(ndtri(1 - false_alarm / 2))


def quantile_shifts(rest: Float[ndarray, " m"], law: QuarterCircle) -> tuple[float, ...]:
    """Quantiles at .1, .25, .5, .75, .9 over those of a law, less one."""
    expected = law.std * _unit_quantiles(law.rows, law.columns, LEVELS)
    return tuple((np.quantile(rest, LEVELS) / expected - 1).tolist())


@lru_cache(maxsize=64)  # a monitor asks for the same layers again and again, and each takes milliseconds
def _unit_quantiles(rows: int, columns: int, levels: tuple[float, ...]) -> Float[ndarray, " k"]:
    return QuarterCircle(rows, columns).quantile(levels)


@lru_cache(maxsize=64)
def _central_quantiles(rows: int, columns: int, size: int) -> tuple[int, Float[ndarray, " k"]]:
    """Rank from below of the first central value, and the law's quantiles from there, at (i − 1/2)/m."""
    levels = (np.arange(size) + 0.5) / size
    central = np.flatnonzero((levels >= CENTRAL[0]) & (levels <= CENTRAL[1]))
    return int(central[0]), QuarterCircle(rows, columns).quantile(levels[central])


def _edge(shape: tuple[int, int], std: float, error: float, false_alarm: float) -> tuple[float, float]:
    """Edge and its level at a fitted scale: the scale's error widens the Tracy-Widom scatter in quadrature."""
    if std == 0:
        return 0.0, 0.0
    law, tracy_widom = largest_singular_value(*shape, std, centring="finite"), TracyWidom()
    mean, variance = tracy_widom.mean(), tracy_widom.variance()
    widened = np.sqrt(1 + (error * law.edge / law.scale) ** 2 / variance)
    level = mean + (float(tracy_widom.isf(false_alarm)) - mean) * widened
    edge = std * float(np.sqrt(shape[0]) + np.sqrt(shape[1]))
    return edge, max(edge, float(np.sqrt(law.edge**2 + 2 * law.edge * law.scale * level)))
