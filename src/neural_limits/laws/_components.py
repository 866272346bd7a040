"""The support of a law given by its Dyson equation: every component found, its edges as extrapolated roots."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ._dyson import DysonEquation

LEAST, BEYOND = 1e-7, 1.01  # ends of the scan; the upper edge is at most 1
BULK = 1e-9  # −Im m above this share of 1 + |m| is a density; outside the bulk it is rounding
ANGLES, OCTAVES = 128, 23  # of the scan: equal steps in an angle, and one point an octave down to its start
ZOOMS, POINTS = 4, 9  # a local extremum is looked at on 9 points, four times over: 1/4⁴ of the scan's spacing
HALVINGS = 16
FIT = np.arange(1, 5)  # distances from an edge, in units of the last bracket, of the points it is extrapolated from


class Edge(NamedTuple):
    """Where it is, and B: m leaves the bulk as m₊ − B √(z − edge)."""

    position: float
    rise: float


def components(equation: DysonEquation, hints: Float[ndarray, " h"]) -> list[tuple[Edge, Edge]]:
    """(lower, upper) of every component on (0, 1]; a lower edge at 0 stands for a bulk that reaches zero.

    A scan over (0, 1] and ``hints`` (where a narrow component may hide) finds intervals of either kind; between
    its points, local minima of the density are searched for gaps and local maxima of the spectral radius for
    bulk. The changes are bisected, then extrapolated: (Im m)² is linear at an edge.
    """
    angles = np.pi / ANGLES * np.arange(1, ANGLES + 1)
    octaves = LEAST * 2.0 ** np.arange(OCTAVES + 1)
    grid = np.unique(np.concatenate([BEYOND * np.sin(angles / 2), octaves, hints]))
    grid = grid[(grid >= LEAST) & (grid <= BEYOND)]
    signal = _signal(equation, grid)
    for _ in range(ZOOMS):
        grid, signal = _closer(equation, grid, signal)
    changes = np.nonzero((signal[1:] > 0) != (signal[:-1] > 0))[0]
    rising = signal[changes] <= 0
    inside = np.where(rising, grid[changes + 1], grid[changes])
    outside = np.where(rising, grid[changes], grid[changes + 1])
    edges = _refined(equation, inside, outside)
    if signal[0] > 0:
        edges = [Edge(0.0, 0.0), *edges]
    return list(zip(edges[::2], edges[1::2], strict=True))


def _signal(equation: DysonEquation, x: Float[ndarray, " p"]) -> Float[ndarray, " p"]:
    """−Im m in the bulk, ρ − 1 < 0 outside."""
    mean, radius = equation.solve(x + 0j)
    bulk = -mean.imag > BULK * (1 + np.abs(mean))
    return np.where(bulk, -mean.imag, np.minimum(radius - 1, -np.finfo(float).tiny))


def _closer(
    equation: DysonEquation, grid: Float[ndarray, " p"], signal: Float[ndarray, " p"]
) -> tuple[Float[ndarray, " q"], Float[ndarray, " q"]]:
    """More points around interior minima of the density, and maxima of the radius outside the bulk."""
    before, here, after = signal[:-2], signal[1:-1], signal[2:]
    valley = (here > 0) & (before > here) & (after >= here)
    peak = (here < 0) & (before < here) & (after <= here)
    centres = np.nonzero(valley | peak)[0] + 1
    if not centres.size:
        return grid, signal
    shares = np.linspace(-1, 1, POINTS)[1:-1]
    low, middle, high = grid[centres - 1, None], grid[centres, None], grid[centres + 1, None]
    extra = np.where(shares < 0, middle + shares * (middle - low), middle + shares * (high - middle))
    extra = np.setdiff1d(extra, grid)
    points, order = np.unique(np.concatenate([grid, extra]), return_index=True)
    return points, np.concatenate([signal, _signal(equation, extra)])[order]


def _refined(equation: DysonEquation, inside: Float[ndarray, " e"], outside: Float[ndarray, " e"]) -> list[Edge]:
    """The edges between points inside and outside the bulk."""
    if not inside.size:
        return []
    first = inside
    for _ in range(HALVINGS):
        middle = (inside + outside) / 2
        bulk = _signal(equation, middle) > 0
        inside, outside = np.where(bulk, middle, inside), np.where(bulk, outside, middle)
    # The unit is well below a component's width, yet far above rounding.
    bracket, width = np.abs(inside - outside), np.abs(first - inside)
    unit = np.sign(inside - outside) * np.maximum(4 * bracket, np.minimum(1e-6, width / 8))
    points = inside[:, None] + unit[:, None] * FIT
    heights = equation.solve(points.ravel() + 0j).mean.imag.reshape(points.shape) ** 2
    edges = []
    for origin, scale, x, y in zip(inside, unit, points, heights, strict=True):
        series = np.linalg.solve(np.vander(y / y[0], increasing=True), (x - origin) / scale)
        edges.append(Edge(float(origin + scale * series[0]), float(np.sqrt(y[0] / abs(series[1] * scale)))))
    return edges
