"""Leading curvature eigenvalues over training, against the limit of stability."""

from __future__ import annotations

import xarray as xr
from matplotlib.figure import Figure

from ._style import EDGE, LARGE, LAYERS, canvas, legend, whole_steps


def curvature_figure(data: xr.Dataset) -> Figure | None:
    """2 λ/limit of each kind over the records, the limit 2 dashed; None where no curvature was recorded."""
    if "leading_curvature" not in data:
        return None
    figure, axes = canvas(1, height=3.2)
    for colour, kind in zip(LAYERS, data.kind.values, strict=False):
        values = 2 * data.leading_curvature.sel(kind=kind) / data.stability_limit
        axes[0].plot(data.record, values, color=colour, marker="o", markersize=4, label=str(kind))
    axes[0].axhline(2, color=EDGE, linestyle="--", linewidth=1.2, label="limit of stability")
    axes[0].set_xlabel("step", fontsize=LARGE)
    axes[0].set_ylabel("η λ/(1 + momentum)", fontsize=LARGE)
    whole_steps(axes)
    legend(figure, axes)
    return figure
