"""Squared overlaps of outliers with what was learned, at the last record."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ._sources import Sources
from ._style import EDGE, LARGE, canvas, layer_colours, legend, symbol

SIDES = (("overlap_left", "left"), ("overlap_right", "right"))
MOST_MODES = 20
SPREAD = 0.5  # of a mode's place that its layers take


def overlap_figure(found: Sources) -> Figure | None:
    """Overlaps over modes, a colour a layer: predicted filled, measured open; None without outliers."""
    last = [_last(data) for data in found]
    if not any(data is not None and np.isfinite(data.overlap_left.values).any() for data in last):
        return None
    figure, axes = canvas(2, columns=2, height=3.4)
    for axis, (name, side) in zip(axes, SIDES, strict=True):
        for data, filled in zip(last, (True, False), strict=True):
            if data is not None:
                _draw(axis, data[name], filled=filled)
        axis.set_ylabel(f"{side}, {symbol(name)}", fontsize=LARGE)
        axis.set_xlabel("outlier, largest first", fontsize=LARGE)
        axis.set_ylim(-0.03, 1.05)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    for data, label, filled in zip(last, ("predicted", "measured"), (True, False), strict=True):
        if data is None:
            continue
        axes[0].plot([], [], color=EDGE, label=label, **_marker(filled))
    most = max(data.sizes["mode"] for data in last if data is not None)
    axes[0].set_xlim(0.5, min(most, MOST_MODES) + 0.5)
    legend(figure, axes, columns=8)
    return figure


def _last(data: xr.Dataset | None) -> xr.Dataset | None:
    return data.isel(record=-1) if data is not None and data.sizes["record"] else None


def _marker(filled: bool) -> dict[str, Any]:
    size, style = (4, "full") if filled else (9, "none")
    return {
        "linestyle": "none",
        "marker": "o",
        "markersize": size,
        "fillstyle": style,
        "markeredgewidth": 1.3,
    }


def _draw(axis: Axes, values: xr.DataArray, *, filled: bool) -> None:
    layers, modes = values.sizes["layer"], min(values.sizes["mode"], MOST_MODES)
    offsets = SPREAD * (np.arange(layers) / max(layers - 1, 1) - 0.5)
    for l, colour in enumerate(layer_colours(layers)):
        axis.plot(
            np.arange(1, modes + 1) + offsets[l], values.isel(layer=l)[:modes], color=colour,
            label=f"layer {values.layer.values[l]}", **_marker(filled),
        )  # fmt: skip
