"""All singular values of a dense weight, and the law of an untrained one."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..laws import QuarterCircle
from ._sources import Sources, label_of
from ._style import (
    EDGE,
    FILL,
    MEASURED,
    PREDICTED,
    SMALL,
    SPAN,
    canvas,
    chosen_layers,
    label_outer,
    legend,
    symbol,
    symlog,
)

BINS = 50  # from 0 to the edge
MARGIN = 1.3


def spectrum_figure(found: Sources) -> Figure | None:
    """Histograms of ``spectrum`` (layer, index) and the quarter-circle law; None without a spectrum."""
    measured = found.measured
    if measured is None or "spectrum" not in measured:
        return None
    chosen = chosen_layers(measured.sizes["layer"])
    figure, axes = canvas(len(chosen))
    for axis, l in zip(axes, chosen, strict=True):
        axis.set_title(f"layer {measured.layer.values[l]}", fontsize=SMALL, loc="left")
        _draw_bulk(axis, measured.isel(layer=l))
        _draw_outliers(axis, measured.isel(layer=l), found.predicted and found.predicted.isel(layer=l))
    edges = measured.edge.values
    if measured.spectrum.values.max() > SPAN * edges.max():  # a weight that blew up: the bulk stays visible
        for axis in axes:
            symlog(axis, linear=1.5 * edges.max(), share=2.0)
            axis.set_xlim(left=0)
    label_outer(axes, f"singular value {symbol('singular_value')}", "density")
    legend(figure, axes)
    return figure


def _draw_bulk(axis: Axes, data: xr.Dataset) -> None:
    values, edge = data.spectrum.values, float(data.edge)
    n = len(values)
    law = QuarterCircle(n, n, std=edge / (2 * np.sqrt(n)))
    width = edge / BINS
    bins = width * np.arange(int(MARGIN * BINS) + 1)  # farther out there are single values, drawn as markers
    inside = values[values <= bins[-1]]
    axis.hist(
        inside, bins=bins.tolist(), weights=np.full(inside.shape, 1 / (n * width)), color=FILL,
        edgecolor="white", linewidth=0.3, label=f"all values ({label_of(data)})",
    )  # fmt: skip
    grid = np.linspace(0, edge, 400)
    axis.plot(grid, law.pdf(grid), color=EDGE, linestyle="--", linewidth=1.5, label="quarter-circle law")


def _draw_outliers(axis: Axes, measured: xr.Dataset, predicted: xr.Dataset | None) -> None:
    """Single values hardly show in a histogram: ticks for those predicted, markers for those there."""
    values = measured.spectrum.values
    level = float(measured.threshold.isel(record=-1)) if measured.sizes["record"] else float(measured.edge)
    outside = values[values > level]
    foot = 0.05 * axis.get_ylim()[1]
    axis.plot(
        outside, np.full(outside.shape, foot), color=MEASURED, marker="o", fillstyle="none", linestyle="none",
        markersize=7, markeredgewidth=1.2, label="measured outliers",
    )  # fmt: skip
    if predicted is not None and predicted.sizes["record"]:
        last = predicted.singular_value.isel(record=-1).values
        last = last[np.isfinite(last)]
        axis.vlines(
            last,
            0,
            4 * foot,
            color=PREDICTED,
            linewidth=1.6,
            label=f"predicted outliers ({label_of(predicted)})",
        )
