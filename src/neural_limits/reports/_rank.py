"""Touched rank over steps."""

from __future__ import annotations

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ._sources import Sources, last_step
from ._style import LARGE, canvas, layer_colours, legend, symbol, whole_steps

SIDES = (("rank_left", "left"), ("rank_right", "right"))


def rank_figure(found: Sources) -> Figure | None:
    """Directions that training has touched, a line a layer; None for dense weights."""
    data = found.predicted
    if data is None or "rank_left" not in data or not data.sizes["layer"]:
        return None
    data = data.isel(step=slice(last_step(data) + 1))
    figure, axes = canvas(2, columns=2, height=3.2)
    for axis, (name, side) in zip(axes, SIDES, strict=True):
        _draw(axis, data[name])
        axis.set_xlabel("step", fontsize=LARGE)
        axis.set_ylabel(f"directions touched {side}, {symbol(name)}", fontsize=LARGE)
        axis.tick_params(labelleft=True)
        axis.set_ylim(bottom=0)
        axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    whole_steps(axes)
    legend(figure, axes, columns=6)
    return figure


def _draw(axis: Axes, values: xr.DataArray) -> None:
    """Later layers on top and thinner, so that lines which coincide all show."""
    layers = values.sizes["layer"]
    for l, colour in enumerate(layer_colours(layers)):
        width = 1.4 + 1.6 * (layers - 1 - l) / max(layers - 1, 1)
        label = f"layer {values.layer.values[l]}"
        axis.plot(values.step, values.isel(layer=l), color=colour, linewidth=width, label=label)
