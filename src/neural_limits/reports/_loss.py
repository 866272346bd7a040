"""Loss and accuracy over steps."""

from __future__ import annotations

from typing import Any

import xarray as xr
from matplotlib.figure import Figure

from ._sources import label_of
from ._style import LARGE, MEASURED, PREDICTED, canvas, legend, spans, symbol, whole_steps

LINES = ((PREDICTED, "-"), (MEASURED, "--"))


def loss_figure(runs: list[xr.Dataset]) -> Figure:
    """Loss of one or two runs, and their accuracy in a second panel where they have one."""
    with_accuracy = any("accuracy" in run for run in runs)
    figure, axes = canvas(2 if with_accuracy else 1, columns=2, share=False, height=3.2)
    for run, (colour, line) in zip(runs, LINES, strict=False):
        style: dict[str, Any] = {"color": colour, "linestyle": line, "linewidth": 1.6, "label": label_of(run)}
        axes[0].plot(run.step, run.loss, **style)
        if "accuracy" in run:
            axes[1].plot(run.step, run.accuracy, **style)
    if spans([float(v) for run in runs for v in run.loss.values]):
        axes[0].set_yscale("log")
    axes[0].set_ylabel(f"training loss {symbol('loss')}", fontsize=LARGE)
    if with_accuracy:
        axes[1].set_ylabel("training accuracy", fontsize=LARGE)
        axes[1].set_ylim(-0.03, 1.03)
    for axis in axes:
        axis.set_xlabel("step", fontsize=LARGE)
    whole_steps(axes)
    legend(figure, axes)
    return figure
