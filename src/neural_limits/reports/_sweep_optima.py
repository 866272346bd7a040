"""Best learning rates of a sweep and their slopes over sizes, as rows."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from ..sweeps import best_rate, rate_slope, slope
from ._sweep_rows import RATE, SEED, SIZES

BORDER = "at the border"
BESIDE = "beside divergence"
STILL = "grid point"
MEANING = (
    "At the border: the lowest point is the smallest or largest rate or beside a missing one, so the optimum may lie "
    "beyond. Beside divergence: the next rate diverged for a seed, and the best is a point of the grid. Grid point: "
    "the same one for all resampled seeds, known to the grid's spacing only."
)
ZERO = 1e-9  # errors and slopes below it are rounding


@dataclass(frozen=True)
class Best:
    """The best rate at a place; ``error`` is relative, NaN for fewer than two seeds."""

    place: Mapping[str, Any]
    rate: float
    error: float
    remark: str
    bound: bool  # at the border


@dataclass(frozen=True)
class Slope:
    """A slope over a size at a place."""

    place: Mapping[str, Any]
    of: str
    over: str
    slope: float
    error: float
    remark: str


def optima_of(data: xr.Dataset) -> xr.Dataset | None:
    """`best_rate` of a dataset; None where the rate is not a field of the grid."""
    return best_rate(data) if data.final_loss.sizes.get(RATE, 0) > 1 else None


def best_rows(data: xr.Dataset, optima: xr.Dataset | None) -> list[Best]:
    """The best rate for every combination of the other fields."""
    if optima is None:
        return []
    rows = []
    for place, at in _places(data, {RATE, SEED}):
        cell = optima.isel(at)
        border, beside = bool(cell.at_border), bool(cell.beside_divergence)
        rate, error = float(cell.best), float(cell.best_error)
        remark = "; ".join([BORDER] * border + [BESIDE] * beside + [STILL] * (error < ZERO))
        remark = "every rate diverged or has no result" if math.isnan(rate) else remark
        rows.append(Best(place, rate, error, remark, border))
    return rows


def slope_rows(data: xr.Dataset, optima: xr.Dataset | None) -> list[Slope]:
    """Slopes over every size that varies: of the best rate, or of the final loss where all have one rate."""
    rows = []
    for over in (n for n in SIZES if data.final_loss.sizes.get(n, 0) > 1):
        for place, at in _places(data, {over, SEED} if optima is None else {over, RATE, SEED}):
            cell = data[["final_loss"]].isel(at)
            if optima is None:
                rows.append(Slope(place, "final loss", over, *_loss(cell, over)))
            else:
                rows.append(Slope(place, "best rate", over, *_rate(cell, optima.isel(at), over)))
    return rows


def _rate(cell: xr.Dataset, optima: xr.Dataset, over: str) -> tuple[float, float, str]:
    if np.isnan(optima.best).any():
        return math.nan, math.nan, "not every size has a best rate"
    found = rate_slope(cell, over)
    counts = {BORDER: int(optima.at_border.sum()), BESIDE: int(optima.beside_divergence.sum())}
    total = optima.sizes[over]
    remark = ", ".join(f"{count} of {total} best rates {where}" for where, count in counts.items() if count)
    value, error = float(found.slope), float(found.slope_error)
    return 0.0 if abs(value) < ZERO else value, error, remark


def _loss(cell: xr.Dataset, over: str) -> tuple[float, float, str]:
    if not (np.isfinite(cell.final_loss) & (cell.final_loss > 0)).all():
        return math.nan, math.nan, "not every trial has a final loss"
    found = slope(cell.final_loss, over)
    return float(found.slope), float(found.slope_error), ""


def _places(data: xr.Dataset, inner: set[str]) -> Iterator[tuple[dict[str, Any], dict[Hashable, int]]]:
    """Every combination of the fields beside ``inner``: as fields and values, and as indices."""
    dims = [d for d in data.final_loss.dims if d not in inner]
    drawn = [n for n in data.coords if data[n].dims == ("trial",) and n != "trial"]
    for index in itertools.product(*(range(data.sizes[d]) for d in dims)):
        at = dict(zip(dims, index, strict=True))
        place = {str(d): data[d].values[i].item() for d, i in at.items() if d != "trial" and data.sizes[d] > 1}
        place |= {str(n): data[n].values[at["trial"]].item() for n in drawn if "trial" in at}
        yield place, at


def with_error(value: float, error: float, digits: int = 2) -> str:
    """A value and its standard error, cut where the error says; the value alone where no error is known.

    >>> with_error(0.31234, 0.0123), with_error(-1.5, 0.0), with_error(float("nan"), 1.0)
    ('0.312 ± 0.012', '-1.5', '–')
    """
    if not math.isfinite(value):
        return "–"
    if not error > ZERO or math.isinf(error):  # one seed, or the same for all
        return f"{value:.4g}"
    places = digits - 1 - math.floor(math.log10(error))
    if places > 6 or places < 0:
        return f"{value:.4g} ± {error:.{digits}g}"
    return f"{value:.{places}f} ± {error:.{places}f}"
