"""The numbers beside the figures, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

MOST_ROWS = 8


def numbers(data: xr.Dataset, lr: float) -> list[tuple[str, str]]:
    """Label and value: losses, the largest outlier of each matrix, the leading mode times the rate.

    >>> import xarray as xr
    >>> numbers(xr.Dataset({"loss": ("step", [1.0, 0.25])}), lr=0.1)
    [('loss at the start', '1'), ('loss after 1 update', '0.25')]
    """
    rows = [("loss at the start", _text(data.loss[0])), *_last("loss", data.loss)]
    if "test_loss" in data:
        rows += _last("test loss", data.test_loss)
    rows += _outliers(data) if "singular_value" in data and data.sizes["record"] else []
    if "eigenvalue" in data and data.sizes["record"]:
        ends = {int(data.record[i]): lr * float(data.eigenvalue[i]) for i in (0, -1)}
        rows += [(f"η λ {_when(step)}", _text(value)) for step, value in ends.items()]
    return rows


def _last(name: str, values: xr.DataArray) -> list[tuple[str, str]]:
    """The last value that is known."""
    known = np.flatnonzero(np.isfinite(values.values))
    return [(f"{name} {_when(int(known[-1]))}", _text(values[known[-1]]))] if len(known) and known[-1] else []


def _outliers(data: xr.Dataset) -> list[tuple[str, str]]:
    last = data.isel(record=-1)
    rows = []
    for layer in range(data.sizes["layer"])[:MOST_ROWS]:
        values = last.singular_value[layer].values
        known = values[np.isfinite(values)]
        edge = f"edge {_text(last.record_edge[layer])}"
        rows.append((f"outliers, layer {layer}", f"{', '.join(map(_text, known[:5])) or 'none'} ({edge})"))
    return rows


def _when(step: int) -> str:
    return f"after {step} update{'' if step == 1 else 's'}" if step else "at the start"


def _text(value: Any) -> str:
    return f"{float(value):.5g}"
