"""Outliers over training, one panel a layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ._sources import Sources, label_of
from ._style import (
    EDGE,
    MEASURED,
    PREDICTED,
    SMALL,
    SPAN,
    canvas,
    chosen_layers,
    label_outer,
    legend,
    spans,
    symbol,
    symlog,
    whole_steps,
)


def outlier_figure(found: Sources) -> Figure:
    """Singular values above the bulk, predicted and measured, and the edge of the bulk."""
    layers = found.known[0].layer.values
    chosen = chosen_layers(len(layers))
    figure, axes = canvas(len(chosen))
    for axis, l in zip(axes, chosen, strict=True):
        axis.set_title(f"layer {layers[l]}", fontsize=SMALL, loc="left")
        edge = found.known[0].record_edge.isel(layer=l)
        axis.plot(edge.record, edge, color=EDGE, linestyle="--", linewidth=1.2, label=f"bulk edge {symbol('edge')}")
        if found.predicted is not None:
            _draw(axis, found.predicted.isel(layer=l), PREDICTED, filled=True)
        if found.measured is not None:
            _draw(axis, found.measured.isel(layer=l), MEASURED, filled=False)
        if not any(np.isfinite(data.singular_value.isel(layer=l)).any() for data in found.known):
            axis.text(0.5, 0.6, "no outliers", transform=axis.transAxes, ha="center", fontsize=SMALL)
        axis.margins(y=0.12)
    values = [data.singular_value.isel(layer=chosen).values.ravel() for data in found.known]
    if spans([float(v) for v in np.concatenate(values)]):
        axes[0].set_yscale("log")
    _step_axis(axes, np.concatenate([data.record.values for data in found.known]))
    label_outer(axes, "step", f"singular value {symbol('singular_value')}")
    legend(figure, axes)
    return figure


def _draw(axis: Axes, data: xr.Dataset, colour: str, *, filled: bool) -> None:
    """One line a mode for what is predicted, open markers for what is measured."""
    kind = "predicted" if filled else "measured"
    style: dict[str, Any] = {"color": colour, "label": f"{kind} ({label_of(data)})", "marker": "o"}
    if filled:
        style |= {"markersize": 3.5, "linewidth": 1.3}
    else:
        style |= {"markersize": 7.5, "fillstyle": "none", "linestyle": "none", "markeredgewidth": 1.2}
    if not np.isfinite(data.singular_value.values).any():
        axis.plot([], [], **style)  # in the legend all the same
        return
    for mode in range(data.sizes["mode"]):
        axis.plot(data.record, data.singular_value.isel(mode=mode), **style)


def _step_axis(axes: list[Axes], steps: np.ndarray) -> None:
    """Records are spaced geometrically as a rule: a logarithmic axis, with a place for step 0."""
    if steps.max() > SPAN:
        for axis in axes:
            symlog(axis, linear=1.0, share=0.4)
            axis.set_xlim(left=0 if steps.min() == 0 else 0.7)
    else:
        whole_steps(axes)
