"""Figures of Muon's outliers."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray

from ._experiment import mean_of
from ._muon_runs import LEVEL, MODES, OPTIMIZERS, Found, at_mark
from ._muon_verdicts import NAMES, WORDS, by_samples
from ._slopes import label_sizes

COLOURS = {"sgd": "#0072B2", "muon": "#D55E00"}
MARKERS = {"tenth": "o", "end": "s"}
SMALL = 8
LAYER = 1  # the figures show the second hidden weight; tables have both


def widths_figure(found: Found) -> Figure:
    """Number of outliers, largest, and stable rank of what was learned, over width."""
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    axes = figure.subplots(1, 3)
    sizes = sorted({*found.plan.conditioned, *found.plan.dense})
    for axis, quantity in zip(axes, ("count", "largest", "stable_rank"), strict=True):
        for name in OPTIMIZERS:
            for mark in MARKERS:
                _over_width(axis, found, name, mark, quantity)
        label_sizes(axis, sizes)
        axis.tick_params(axis="x", labelsize=SMALL)
        axis.set(xlabel="width", ylabel=WORDS[quantity].removeprefix("the "))
    axes[0].set_ylim(bottom=0)
    axes[1].axhline(2.0, color="0.4", lw=1, ls="--")
    axes[2].set_yscale("log")
    axes[2].set_yticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])
    axes[2].minorticks_off()
    label_sizes(axes[2], sizes)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False, fontsize=SMALL)
    return figure


def _over_width(axis: Axes, found: Found, name: str, mark: str, quantity: str) -> None:
    when = {"tenth": "a tenth of the loss", "end": "the end"}[mark]
    for form, widths in (("conditioned", found.plan.conditioned), ("dense", found.plan.dense)):
        means = [mean_of(at_mark(found, form, name, w, mark, quantity)[:, LAYER]) for w in widths]
        style: dict[str, Any] = (
            {"fmt": f"-{MARKERS[mark]}", "ms": 5, "mfc": "white"} if form == "conditioned" else {"fmt": "x", "ms": 7}
        )
        axis.errorbar(
            list(widths), [m.value for m in means], [m.error for m in means], lw=1, capsize=2, color=COLOURS[name],
            label=f"{NAMES[name]}, {when}{', dense' * (form == 'dense')}", **style,
        )  # fmt: skip


def time_figure(found: Found) -> Figure:
    """Loss and number of outliers over updates; singular values of what was learned; outliers against samples."""
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    loss, count, learned, samples = figure.subplots(1, 4)
    for name in OPTIMIZERS:
        colour, width = COLOURS[name], found.plan.middle
        runs = [found.conditioned[name, width, seed] for seed in range(found.plan.conditioned[width])]
        curves = np.array([run.loss for run in runs])
        loss.semilogy(np.exp(np.log(curves).mean(0)), color=colour, label=NAMES[name])
        steps = sorted(runs[0].looks)
        series = np.array([[run.looks[s][LAYER].count for s in steps] for run in runs])
        _line(count, steps, series, colour, NAMES[name])
        for mark, marker in MARKERS.items():
            step = found.marks[name][mark]
            loss.plot(step, np.exp(np.log(curves[:, step]).mean()), marker, color=colour, mfc="white")
            values = at_mark(found, "conditioned", name, max(found.plan.conditioned), mark, "learned")[:, LAYER].mean(0)
            learned.semilogy(np.arange(1, MODES + 1), values, f"-{marker}", ms=3, lw=1, color=colour, mfc="white")
        counts = by_samples(found, name)
        _line(samples, list(counts), np.array([c.mean(1) for c in counts.values()]).T, colour, NAMES[name])
    learned.axhline(1.0, color="0.4", lw=1, ls="--")
    learned.set(xlabel="mode", ylabel="singular value of the learned part", ylim=(0.03, 5))
    loss.set(xlabel="updates made", ylabel="loss")
    count.set(xlabel="updates made", ylabel=f"outliers above {LEVEL:g} edge")
    samples.set(xlabel="samples", ylabel="the same at the end, mean of the layers", ylim=(0, None))
    label_sizes(samples, list(found.plan.samples))
    loss.legend(frameon=False, fontsize=SMALL)
    return figure


def _line(axis: Axes, x: list[int], values: ndarray, colour: str, label: str) -> None:
    means = [mean_of(v) for v in values.T]
    axis.errorbar(
        x, [m.value for m in means], [m.error for m in means], fmt="-o", ms=3, lw=1, capsize=2, color=colour,
        mfc="white", label=label,
    )  # fmt: skip
