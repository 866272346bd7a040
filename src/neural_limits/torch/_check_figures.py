"""What a check found over sizes, as a figure: flat lines transfer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from ._size_slopes import axes, ladder

SHOWN = 12  # lines with a legend entry; the others are drawn thin and grey


def slopes_figure(data: xr.Dataset, quantities: Sequence[str], losses: bool = False) -> Figure:
    """One row per optimizer and axis; one panel per quantity, at the last recorded step, mean and range of seeds."""
    rows = [(optimizer, axis) for optimizer in data.optimizer.values for axis in axes(data)]
    modes = losses and bool(data.leading_mode.notnull().any())
    columns = len(quantities) + modes + losses
    figure = Figure(figsize=(4.6 * columns + 2.4, 3.4 * len(rows)), layout="constrained")
    panels = figure.subplots(len(rows), columns, squeeze=False)
    for (optimizer, axis), row in zip(rows, panels, strict=True):
        part = ladder(data.sel(optimizer=optimizer), axis)
        for quantity, panel in zip(quantities, row, strict=False):
            _lines(panel, part[quantity], part[axis])
            panel.set(xlabel=axis, title=f"{quantity.replace('_', ' ')} ({optimizer})")
        if modes:
            _modes(row[-2], part, axis)
        if losses:
            _losses(row[-1], part, axis)
    return figure


def _lines(panel: Axes, values: xr.DataArray, sizes: xr.DataArray) -> None:
    values = values.isel(step=-1) if "step" in values.dims else values
    kind = "layer" if "layer" in values.dims else "parameter"
    x = sizes.values
    order = np.argsort(x)
    for n, name in enumerate(values[kind].values):
        drawn = values.sel({kind: name}).transpose("size", "seed").values[order]
        if not (drawn > 0).any():
            continue
        style = {"label": name, "color": f"C{n % 10}", "linestyle": ("-", "--", ":")[n // 10 % 3]}
        line = style if n < 3 * SHOWN else {"color": "0.8"}
        panel.errorbar(
            x[order], drawn.mean(1), [drawn.mean(1) - drawn.min(1), drawn.max(1) - drawn.mean(1)], lw=1, **line
        )
    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    panel.set_xticks(x[order], [str(size) for size in x[order]])
    panel.xaxis.set_minor_locator(NullLocator())
    panel.legend(frameon=False, fontsize=6, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _modes(panel: Axes, part: xr.Dataset, axis: str) -> None:
    for n, size in enumerate(part[axis].values):
        mode = part["leading_mode"].isel(size=n).mean("seed")
        panel.plot(part["step"], mode, "o-", color=f"C{n}", lw=1, ms=3, label=f"{axis} {size}")
    panel.set(xlabel="step", title="leading mode, lr λ", xscale="log", yscale="log")
    panel.legend(frameon=False, fontsize=7)


def _losses(panel: Axes, part: xr.Dataset, axis: str) -> None:
    for n, size in enumerate(part[axis].values):
        panel.plot(
            part["iteration"], part["loss"].isel(size=n).mean("seed"), color=f"C{n}", lw=1, label=f"{axis} {size}"
        )
    panel.set(xlabel="iteration", title="loss")
    panel.legend(frameon=False, fontsize=7)
