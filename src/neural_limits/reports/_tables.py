"""The numbers of a run's page and of the command's output, as rows of text."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from ._sources import last_step, sources

MISSING = "–"


class OutlierRow(NamedTuple):
    """One outlier at one record; NaN where one side has none."""

    layer: int
    step: int
    mode: int
    predicted: float
    measured: float

    @property
    def difference(self) -> float:
        """predicted - measured."""
        return self.predicted - self.measured

    def cells(self) -> tuple[str, ...]:
        """As text: layer, step, mode (from 1), predicted, measured, difference and its percentage."""
        relative = f"{100 * self.difference / self.measured:+.2f} %" if math.isfinite(self.difference) else MISSING
        numbers = (
            number(self.predicted),
            number(self.measured),
            number(self.difference, sign=True),
            relative,
        )
        return (str(self.layer), str(self.step), str(self.mode + 1), *numbers)


OUTLIER_HEADERS = ("layer", "step", "outlier", "predicted", "dense, measured", "difference", "relative")


def outlier_rows(data: xr.Dataset, dense: xr.Dataset | None = None, *, last: bool = False) -> list[OutlierRow]:
    """Outliers of every layer and record, predicted beside measured; only the last record if ``last``."""
    found = sources(data, dense)
    tables = [_by_place(run) for run in found]
    steps = sorted({step for table in tables for _, step in table})
    rows = []
    for layer, step in sorted({place for table in tables for place in table}):
        if last and step != steps[-1]:
            continue
        predicted, measured = (table.get((layer, step), np.zeros(0)) for table in tables)
        for mode in range(max(len(predicted), len(measured))):
            rows.append(OutlierRow(layer, step, mode, _at(predicted, mode), _at(measured, mode)))
    return rows


def summary_rows(
    info: Mapping[str, Any], data: xr.Dataset, dense: xr.Dataset | None = None
) -> list[tuple[str, str, str]]:
    """What a run came to, as (quantity, this run, dense network beside it).

    ``info`` is the run's record (run.json): its ``memory`` and ``timing`` are shown where they are kept.
    """
    timing, memory = info.get("timing", {}), info.get("memory", {})
    rows = [
        (
            "weights",
            str(data.attrs.get("weights", MISSING)),
            _of(dense, lambda d: str(d.attrs.get("weights", MISSING))),
        ),
        ("width n", _width(data), _of(dense, _width)),
        ("hidden weight matrices", _layers(data), _of(dense, _layers)),
        ("steps made", str(last_step(data)), _of(dense, lambda d: str(last_step(d)))),
        ("final loss", _last_value(data, "loss"), _of(dense, lambda d: _last_value(d, "loss"))),
        (
            "final training accuracy",
            _last_value(data, "accuracy"),
            _of(dense, lambda d: _last_value(d, "accuracy")),
        ),
        ("touched rank, left + right", _touched_rank(data), MISSING),
        ("memory of hidden weights", size(memory.get("held_bytes")), size(memory.get("dense_bytes"))),
        ("the same width in dense weights", size(memory.get("same_width_bytes")), MISSING),
        ("seconds", number(timing.get("seconds")), number(timing.get("dense_seconds"))),
    ]
    return [row for row in rows if row[1:] != (MISSING, MISSING)]


def number(value: Any, *, sign: bool = False) -> str:
    """Five digits, or a dash for nothing.

    >>> number(2.0640791), number(None), number(-0.5, sign=True)
    ('2.0641', '–', '-0.5')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return MISSING
    return f"{value:+.3g}" if sign else f"{value:.5g}"


def size(count: Any) -> str:
    """Bytes in the unit that suits them.

    >>> size(3 * 2**20), size(None)
    ('3 MiB', '–')
    """
    if not isinstance(count, int | float):
        return MISSING
    power = max(0, min(4, int(math.log2(max(count, 1)) // 10)))
    return f"{count / 2 ** (10 * power):.3g} {('bytes', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"


def _by_place(data: xr.Dataset | None) -> dict[tuple[int, int], np.ndarray]:
    """The outliers at each (layer, step)."""
    if data is None or "singular_value" not in data:
        return {}
    values = data.singular_value.transpose("record", "layer", "mode").values
    return {
        (int(layer), int(step)): values[r, l][np.isfinite(values[r, l])]
        for r, step in enumerate(data.record.values)
        for l, layer in enumerate(data.layer.values)
    }


def _at(values: np.ndarray, mode: int) -> float:
    return float(values[mode]) if mode < len(values) else math.nan


def _of(data: xr.Dataset | None, row: Callable[[xr.Dataset], str]) -> str:
    return MISSING if data is None else row(data)


def _width(data: xr.Dataset) -> str:
    return str(data.attrs.get("width", MISSING))


def _layers(data: xr.Dataset) -> str:
    return str(data.sizes.get("layer", MISSING))


def _last_value(data: xr.Dataset, name: str) -> str:
    return number(float(data[name][last_step(data)])) if name in data else MISSING


def _touched_rank(data: xr.Dataset) -> str:
    """The layer with the largest touched rank."""
    if "rank_left" not in data or not data.sizes["layer"]:
        return MISSING
    left, right = data.rank_left.max("step").values, data.rank_right.max("step").values
    l = int(np.argmax(left + right))
    return f"{left[l]} + {right[l]} (layer {data.layer.values[l]})"
