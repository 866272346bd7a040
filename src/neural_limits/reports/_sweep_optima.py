"""Best learning rates of a sweep and their slopes over sizes, as rows."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
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


@dataclass(frozen=True)
class Slope:
    """A slope over a size at a place."""

    place: Mapping[str, Any]
    of: str
    over: str
    slope: float
    error: float
    remark: str


def best_rows(data: xr.Dataset) -> list[Best]:
    """The best rate for every combination of the other fields; none where the rate is not a field of the grid."""
    if not _has_rates(data):
        return []
    found = best_rate(data)
    rows = []
    for place, cell in _cells(data, found):
        border, beside = bool(cell.at_border), bool(cell.beside_divergence)
        rate = float(cell.best)
        error = float(cell.best_error)
        remark = "; ".join([BORDER] * border + [BESIDE] * beside + [STILL] * (error < ZERO))
        rows.append(Best(place, rate, error, "every rate diverged or has no result" if math.isnan(rate) else remark))
    return rows


def slope_rows(data: xr.Dataset) -> list[Slope]:
    """Slopes over every size that varies: of the best rate, or of the final loss where all have one rate."""
    sizes = [n for n in SIZES if data.final_loss.sizes.get(n, 0) > 1]
    of = "best rate" if _has_rates(data) else "final loss"
    rows = []
    for over in sizes:
        inner = {over, RATE, SEED} if _has_rates(data) else {over, SEED}
        for place, cell in _cells(data, data[["final_loss"]], inner):
            rows.append(Slope(place, of, over, *(_rate if _has_rates(data) else _loss)(cell, over)))
    return rows


def _rate(cell: xr.Dataset, over: str) -> tuple[float, float, str]:
    best = best_rate(cell)
    if np.isnan(best.best).any():
        return math.nan, math.nan, "not every size has a best rate"
    found = rate_slope(cell, over)
    counts = {"at the border": int(best.at_border.sum()), "beside divergence": int(best.beside_divergence.sum())}
    total = best.sizes[over]
    remark = ", ".join(f"{count} of {total} best rates {where}" for where, count in counts.items() if count)
    value, error = float(found.slope), float(found.slope_error)
    return 0.0 if abs(value) < ZERO else value, error, remark


def _loss(cell: xr.Dataset, over: str) -> tuple[float, float, str]:
    if not (np.isfinite(cell.final_loss) & (cell.final_loss > 0)).all():
        return math.nan, math.nan, "not every trial has a final loss"
    found = slope(cell.final_loss, over)
    return float(found.slope), float(found.slope_error), ""


def _has_rates(data: xr.Dataset) -> bool:
    return data.final_loss.sizes.get(RATE, 0) > 1


def _cells(
    data: xr.Dataset, values: xr.Dataset, inner: set[str] | frozenset[str] = frozenset({RATE, SEED})
) -> Iterator[tuple[dict[str, Any], xr.Dataset]]:
    """Every combination of the fields beside ``inner``: where it is in words, and what stands there."""
    dims = [d for d in data.final_loss.dims if d not in inner]
    for index in itertools.product(*(range(data.sizes[d]) for d in dims)):
        at = dict(zip(dims, index, strict=True))
        place = {str(d): data[d].values[i].item() for d, i in at.items() if d != "trial" and data.sizes[d] > 1}
        if "trial" in at:
            drawn = [n for n in data.coords if data[n].dims == ("trial",) and n != "trial"]
            place |= {str(n): data[n].values[at["trial"]].item() for n in drawn}
        yield place, values.isel(at)


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
