"""A population law as atoms: given as atoms, as a sample, as a density, or as another law."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from numpy.typing import ArrayLike

from .._arrays import real_array

LEAST_NODES, MOST_NODES = 128, 4096  # of an interval of a density
MASS = 1e-9  # relative; nodes double until the mass moves by less
MASS_REFUSED = 1e-3  # a density or weights this far from mass one is a mistake, not rounding

Intervals = Sequence[tuple[float, float]]


class Population(NamedTuple):
    """Atoms sorted by value, weights that sum to one, and where the bulk may have a gap.

    ``gaps[i]`` tells whether values i and i + 1 belong to different parts: true between atoms, false
    between nodes that stand for one interval of a density.
    """

    values: Float[ndarray, " m"]
    weights: Float[ndarray, " m"]
    gaps: Bool[ndarray, " m-1"]


def population_of(population: Any, intervals: Intervals, *, indefinite: bool = False) -> Population:
    """Read a population: (values, weights), a sample, a density on ``intervals``, or a law.

    ValueError for an empty one, for negative values (unless ``indefinite``) or weights, and for weights
    or a density whose mass is not one.
    """
    hulls = _check_intervals(intervals)
    if callable(getattr(population, "pdf", None)):
        hulls = hulls or _check_intervals(np.reshape(population.support, (-1, 2)).tolist())
        values, weights = _nodes(population.pdf, hulls, 1 - population.atom)
        values, weights = np.append(values, 0.0), np.append(weights, population.atom)
    elif callable(population):
        if not hulls:
            raise ValueError("`intervals` must name the density's support: one or more pairs (low, high).")
        values, weights = _nodes(population, hulls, 1.0)
    elif isinstance(population, tuple) and len(population) == 2:
        values, weights = _atoms(*population)
    else:
        values = real_array("population", population).ravel()
        weights = np.full(values.shape, 1 / max(values.size, 1))
    return _sorted(values, weights, hulls, indefinite)


def _atoms(values: ArrayLike, weights: ArrayLike) -> tuple[ndarray, ndarray]:
    values, weights = real_array("population values", values).ravel(), real_array("population weights", weights).ravel()
    if values.shape != weights.shape:
        raise ValueError(f"`population` must hold as many weights as values; got {weights.size} and {values.size}.")
    return values, weights


def _sorted(values: ndarray, weights: ndarray, hulls: Intervals, indefinite: bool) -> Population:
    if values.size == 0:
        raise ValueError("`population` must not be empty; give at least one value.")
    if not np.isfinite(values).all() or not np.isfinite(weights).all():
        raise ValueError("`population` must be finite.")
    if (weights < 0).any():
        raise ValueError(f"`population` weights must not be negative; got {weights.min():g}.")
    if values.min() < 0 and not indefinite:
        raise ValueError(
            f"`population` must not be negative; got {values.min():g} (say indefinite=True if X^T S X/n is meant)."
        )
    if abs(weights.sum() - 1) > MASS:
        raise ValueError(f"`population` weights must sum to one; they sum to {weights.sum():.12g}.")
    values, place = np.unique(values[weights > 0], return_inverse=True)
    summed = np.bincount(place, weights=weights[weights > 0])
    gaps = np.ones(len(values) - 1, dtype=bool)
    for low, high in hulls:
        gaps &= (values[:-1] < low) | (values[1:] > high)
    return Population(values, summed / summed.sum(), gaps)


def _check_intervals(intervals: Intervals) -> Intervals:
    pairs = [(float(low), float(high)) for low, high in intervals]
    for low, high in pairs:
        if not (np.isfinite([low, high]).all() and low < high):
            raise ValueError(f"`intervals` must hold pairs low < high of finite numbers; got ({low:g}, {high:g}).")
    return pairs


def _nodes(density: Callable[[ndarray], ArrayLike], hulls: Intervals, mass: float) -> tuple[ndarray, ndarray]:
    """Nodes and weights of a density: the midpoint rule in the angle of each interval.

    It takes the ends' square roots and inverse square roots without loss. Nodes double until the mass of
    the density stands still; what is then missing from ``mass`` is made up by scaling.
    """
    count, before = LEAST_NODES, np.inf
    while True:
        values, weights = np.concatenate([_interval(density, *hull, count) for hull in hulls], axis=1)
        total = float(weights.sum())
        if not np.isfinite(total):
            raise ValueError("`population` must be finite inside its intervals; the density is not.")
        if abs(total - before) <= MASS * mass or count >= MOST_NODES:
            break
        count, before = 2 * count, total
    if abs(total - mass) > MASS_REFUSED:
        raise ValueError(f"`population` must have mass {mass:g} on its intervals; its density has {total:.6g}.")
    return values, weights * (mass / total)


def _interval(density: Callable[[ndarray], ArrayLike], low: float, high: float, count: int) -> Float[ndarray, "2 n"]:
    angle = (np.arange(count) + 0.5) * np.pi / count
    half = (high - low) / 2
    values = low + 2 * half * np.sin(angle / 2) ** 2
    return np.stack([values, np.asarray(density(values), np.float64) * (half * np.sin(angle) * np.pi / count)])
