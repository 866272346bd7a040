"""Best rates: on a grid by a parabola through its smallest loss, of a function by zooming in, and over sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from .._fits import Mean, slope_over, vertex
from ..networks import Network
from ..parametrizations import Parametrization
from ..tasks import Task
from ..training import SGD, train_ensemble
from ._experiment import Verdict, decide

OCTAVES = 0.25  # between neighbouring rates of a grid
ROUNDING = OCTAVES / 12**0.5  # octaves: of a best rate that stands beside one that diverges
ABOVE = 3  # points of the grid: a lower minimum past the first oscillation was seen two and three points above it
MOST_STEPS = 40  # a minimum further from where it was looked for is none


def loss_series(
    network: Network, task: Task, parametrization: Parametrization, lr: float, *, seeds: Sequence[int], **options: Any
) -> ndarray:
    """Training loss (seed, step) of dense networks under SGD, float32; inf from divergence on."""
    found, _ = train_ensemble(
        network, task, parametrization, SGD(lr), seeds=seeds, weights="dense", dtype="float32", **options
    )
    return np.nan_to_num(found.loss.values, nan=np.inf)


# -- on a grid of rates --------------------------------------------------------------------------------------------


def best_rates(losses: ndarray, rates: Sequence[float]) -> ndarray:
    """log2 of the best rate of each seed, by a parabola through the smallest log loss and its neighbours.

    ``losses`` (rate, seed) over rates `OCTAVES` apart, inf where training diverged.
    """
    found = []
    for one in losses.T:
        i = int(np.argmin(one))
        near = one[max(i - 1, 0) : i + 2]
        if len(near) < 3 or not np.all(np.isfinite(near) & (near > 0)):  # at an end, beside a diverged one, or zero
            found.append(np.log2(rates[i]))
            continue
        found.append(vertex(np.log2(rates[i - 1 : i + 2]), np.log(near)))
    return np.array(found)


def at_ends(optima: Sequence[ndarray], sizes: Sequence[int], rates: Sequence[float]) -> list[int]:
    """The sizes with a best rate at an end of the grid."""
    return [size for size, o in zip(sizes, optima, strict=True) if np.any(np.isin(o, np.log2([rates[0], rates[-1]])))]


def bracket(losses_at: Callable[[list[int]], dict[int, ndarray]], start: int, reach: int) -> dict[int, ndarray]:
    """Losses (seed,) at neighbouring points of the grid: ``start`` ± ``reach``, and on until no minimum is at an end.

    ``losses_at(points)`` gives those at all points that are wanted next; point k is the rate 2^(k · `OCTAVES`). A
    minimum counts once `ABOVE` points beyond it, or a rate where all seeds diverge, have been seen: past the first
    oscillation a lower one may follow. ValueError if it runs away.
    """
    found = losses_at(list(range(start - reach, start + reach + 1)))
    while len(found) < MOST_STEPS:
        low, high = min(found), max(found)
        minima = low + np.argmin(np.stack([found[k] for k in range(low, high + 1)]), axis=0)
        goes_on = high < minima.max() + ABOVE and not np.all(np.isinf(found[high]))
        beyond = [low - 1] * bool(np.any(minima == low)) + [high + 1] * bool(goes_on or np.any(minima == high))
        if not beyond:
            return dict(sorted(found.items()))
        found |= losses_at(beyond)
    raise ValueError(f"`start` must be within {MOST_STEPS // 2} points of a minimum; got {start}.")


def rate(k: int) -> float:
    """The rate at point k of the grid."""
    return float(2.0 ** (k * OCTAVES))


# -- of a function -------------------------------------------------------------------------------------------------


class Minimum(NamedTuple):
    """A local minimum of the loss over the rate."""

    rate: float
    loss: float


def minima(
    losses_at: Callable[[ndarray], ndarray],
    log_rates: ndarray,
    most: int = 2,
    *,
    octaves: float = 1e-4,
    points: int = 17,
) -> list[Minimum]:
    """The lowest local minima inside a range of log2 rates, lowest first, located between points ``octaves`` apart.

    ``losses_at(log2 rates)``: a vector of losses, inf where training diverged. All local minima of the coarse grid
    are candidates (a smaller one than its spacing is missed); each is refined on ever finer grids of so
    many ``points``, the last step a parabola in the logarithms.
    """
    losses = losses_at(log_rates)
    inside = losses[1:-1]
    lowest = np.isfinite(inside) & (inside < losses[:-2]) & (inside <= losses[2:])
    candidates = sorted(1 + np.flatnonzero(lowest), key=lambda i: float(losses[i]))[: most + 1]
    found = [_zoom(losses_at, log_rates[i - 1], log_rates[i + 1], octaves, points) for i in candidates]
    return sorted(found, key=lambda m: m.loss)[:most]


def _zoom(losses_at: Callable[[ndarray], ndarray], low: float, high: float, octaves: float, points: int) -> Minimum:
    while True:
        x = np.linspace(low, high, points)
        losses = losses_at(x)
        i = int(np.clip(np.argmin(losses), 1, points - 2))
        low, high = x[i - 1], x[i + 1]
        if x[1] - x[0] <= octaves:
            break
    with np.errstate(divide="ignore", invalid="ignore"):
        left, middle, right = np.log(losses[i - 1 : i + 2])
        bend = left - 2 * middle + right
        shift = 0.5 * (left - right) / bend
    shift = float(np.clip(shift, -1, 1)) if np.isfinite(shift) and bend > 0 else 0.0
    return Minimum(float(2 ** (x[i] + shift * (x[1] - x[0]))), float(losses[i]))


# -- over sizes ----------------------------------------------------------------------------------------------------


def rate_slope(sizes: Sequence[int], optima: Sequence[ndarray]) -> Mean:
    """Slope of the mean log best rate in the log size; ``optima[i]`` log2 of the best rate of each seed.

    Error over seeds, and of the grid: each size's mean may be off by `ROUNDING`.
    """
    slope = slope_over(sizes, optima, lambda all_: 2.0 ** np.array([s.mean() for s in all_]))
    rounding = ROUNDING / (np.var(np.log2(sizes)) * len(sizes)) ** 0.5
    return Mean(slope.value, float(np.hypot(slope.error, rounding)))


def transfer_verdict(
    claim: str, source: str, symbol: str, sizes: Sequence[int], optima: Sequence[ndarray], bound: float,
    edges: Sequence[int] = (), *, moves: bool = False, more: str = "",
) -> Verdict:  # fmt: skip
    """Holds where the best rate's slope over sizes is below ``bound``; undecided where its error is above half of it.

    ``moves``: the claim is the opposite. ``edges``: sizes with a best rate at the grid's end, which decide nothing.
    """
    slope = rate_slope(sizes, optima)
    best = ", ".join(f"{2 ** o.mean():.3g}" for o in optima)
    measured = f"best rates {best} at {symbol} = {tuple(sizes)}: slope {slope}" + more
    measured += f"; at the grid's end for {symbol} = {list(edges)}" if edges else ""
    resolved = slope.error < bound / 2 and not edges
    holds = (abs(slope.value) < bound) != moves
    return Verdict(
        claim, source, measured, f"|slope| {'above' if moves else 'below'} {bound:g}", decide(holds, resolved)
    )
