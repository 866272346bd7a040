"""A picture as a file: its views side by side as panels."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from ._picture import Axis, Picture, Series
from ._style import MOST_PANELS, SMALL, canvas, label_outer, legend

MARKS = {"diverged": ("x", "diverged"), "absent": ("o", "no result")}


def still(picture: Picture) -> Figure:
    """The first twelve views as panels of one figure."""
    shown = list(picture.views.items())[:MOST_PANELS]
    figure, axes = canvas(len(shown), columns=2 if len(shown) in (2, 4) else 3, height=3.4 if len(shown) < 3 else 2.9)
    for axis, (place, drawn) in zip(axes, shown, strict=True):
        axis.set_title(picture.label(place), fontsize=SMALL, loc="left")
        for series in drawn:
            _draw(axis, series)
        _scale(axis, picture.x, picture.y)
    label_outer(axes, picture.x.label, picture.y.label)
    legend(figure, axes)
    return figure


def _draw(axis: Axes, series: Series) -> None:
    if series.look in MARKS:
        marker, label = MARKS[series.look]
        axis.scatter(
            series.x, series.y, marker=marker, s=30, zorder=3, linewidths=1.3,
            edgecolors=None if marker == "x" else series.colour, facecolors=series.colour if marker == "x" else "none",
        )  # fmt: skip
        axis.scatter([], [], marker=marker, label=label, edgecolors=None if marker == "x" else "#595959",
                     facecolors="#595959" if marker == "x" else "none")  # fmt: skip
        return
    y = np.array(series.y, float)
    style = {"line": "-", "dashed": "--", "points": ""}[series.look]
    many = len(y) > 25
    axis.plot(
        series.x, y, color=series.colour, linestyle=style, linewidth=1.4,
        marker="" if series.look == "dashed" or (many and series.look == "line") else "o", markersize=3.5,
        label=series.name,
    )  # fmt: skip
    bounds = [i for i, open_ in enumerate(series.hollow) if open_]
    x = [series.x[i] for i in bounds]
    axis.plot(x, y[bounds], "o", color=series.colour, markersize=4.5, markerfacecolor="white", zorder=3)
    if series.low and np.isfinite(series.low).any():
        ends = np.nan_to_num(np.stack([y - np.array(series.low), np.array(series.high) - y]))
        axis.errorbar(series.x, y, np.maximum(ends, 0), color=series.colour, linestyle="", elinewidth=1, capsize=2)


def _scale(axis: Axes, x: Axis, y: Axis) -> None:
    """Logarithmic axes; minor ticks, which take most of the time of drawing, only within two decades."""
    if x.log:
        axis.set_xscale("log")
        _few(axis.get_xlim(), axis.xaxis)
    if y.log:
        axis.set_yscale("log")
        _few(axis.get_ylim(), axis.yaxis)
    if x.ticks:
        axis.set_xticks(list(x.ticks), [str(tick) for tick in x.ticks])
        axis.xaxis.set_minor_locator(NullLocator())


def _few(ends: tuple[float, float], axis: XAxis | YAxis) -> None:
    if ends[1] > 100 * ends[0]:
        axis.set_minor_locator(NullLocator())
