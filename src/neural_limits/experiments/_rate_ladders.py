"""Best rates of nonlinear networks over widths, from a hundred to tens of thousands of neurons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy import ndarray

from ..sweeps import Session
from ._experiment import Context
from ._rate_optima import OCTAVES, best_rates, bracket, rate
from ._trials import ended, trials

BASE = 128  # the width at which the two parametrizations are one network
GAMMA = 4.0
PARAMETRIZATIONS: dict[str, dict[str, Any]] = {
    "muP": {"parametrization": "mup", "gamma": GAMMA},
    "NTK": {"parametrization": "ntk", "gamma": GAMMA * BASE**0.5},
}
STEPS = 20
TASK: dict[str, Any] = {"task": "digits", "classes": (0, 1), "samples": 24, "hidden": 2, "steps": STEPS}
START = {"tanh": 3, "relu": -11}  # where on the grid the first width's best rate is looked for
TOLERANCE = 3e-2  # of conditioned weights: a third of the rank of 1e-2, the loss moves by less than 0.5 %
MOST_ABOVE = 12  # points of the grid above a best rate up to which the edge of stability is looked for


class Width(NamedTuple):
    """How one width is measured."""

    width: int
    weights: str
    seeds: int
    reach: int  # points of the grid on either side of where the best rate is expected


WIDTHS = (
    *(Width(n, "dense", 8, 5) for n in (128, 256, 512)),
    Width(1024, "dense", 6, 4), Width(2048, "dense", 4, 2), Width(4096, "dense", 3, 1),
    Width(16384, "conditioned", 2, 1), Width(65536, "conditioned", 2, 1),
)  # fmt: skip
QUICK = tuple(Width(n, "dense", 4, 2) for n in (128, 256, 512, 1024))


class Rung(NamedTuple):
    """What was measured at one width."""

    width: int
    points: ndarray  # of the grid of rates
    losses: ndarray  # (rate, seed) after the last step
    optima: ndarray  # log2 of the best rate of each seed
    stable: float  # the largest rate up to which a run ends below its start; NaN where not looked for


def ladder(activation: str, name: str, widths: Sequence[Width], context: Context) -> list[Rung]:
    """Best rates at all widths; each is looked for where those before it point."""
    found: list[Rung] = []
    start = START[activation]
    with trials(context, f"{activation}-{name.lower()}") as session:
        for width in widths:
            context(f"{activation}, {name}: width {width.width}, {width.weights}, {width.seeds} seeds")
            found.append(rung(session, activation, name, width, start))
            start = _expected(found, widths[min(len(found), len(widths) - 1)].width)
    return found


def _expected(found: Sequence[Rung], width: int) -> int:
    """Point of the grid: the last two best rates continued as a power of the width."""
    at = [float(r.optima.mean()) / OCTAVES for r in found[-2:]]
    if len(at) == 1:
        return round(at[0])
    slope = (at[1] - at[0]) / np.log2(found[-1].width / found[-2].width)
    return round(at[1] + slope * np.log2(width / found[-1].width))


def rung(session: Session, activation: str, name: str, width: Width, start: int) -> Rung:
    """The best rate of each seed at one width, and on dense weights the edge of stability above it."""
    dense = width.weights == "dense"
    base = TASK | PARAMETRIZATIONS[name] | {"activation": activation, "weights": width.weights}
    base |= {} if dense else {"tolerance": TOLERANCE}

    def train(points: Sequence[int], seeds: int) -> xr.Dataset:
        rates = [rate(k) for k in points]
        found = ended(session, base, {"width": [width.width], "lr": rates, "seed": range(seeds)})
        return found.isel(width=0).transpose("lr", "seed", ...)

    def losses_at(points: Sequence[int]) -> dict[int, ndarray]:
        losses = train(points, width.seeds).final_loss.values
        return dict(zip(points, losses, strict=True))

    found = bracket(losses_at, start, width.reach)
    points, losses = np.array(list(found)), np.stack(list(found.values()))
    optima = best_rates(losses, [rate(k) for k in found])
    stable = float("nan")
    if dense:
        first = best = int(points[np.argmin(losses[:, 0])])
        while best - first < MOST_ABOVE and _trains(train([best + 1], 1)):
            best += 1
        stable = rate(best)
    return Rung(width.width, points, losses, optima, stable)


def _trains(data: xr.Dataset) -> bool:
    """Whether a single run ends below its start."""
    return float(data.final_loss.item()) < float(data.loss.isel(lr=0, seed=0, step=0))
