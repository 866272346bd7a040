"""Figures of the small models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ._experiment import mean_of
from ._real_runs import CLASSES, Found
from ._real_verdicts import NAMES, WEIGHTS, counts, means_over_width
from ._slopes import label_sizes

if TYPE_CHECKING:
    from ..torch._real_models import Watched

COLOURS = {"sgd": "#0072B2", "adamw": "#D55E00", "muon": "#009E73"}
SMALL = 8


def classes_figure(found: Found) -> Figure:
    """Singular values over training for each number of classes, and outliers against classes."""
    figure = Figure(figsize=(13, 3.8), layout="constrained")
    *panels, counted = figure.subplots(1, len(CLASSES) + 1)
    width = found.plan.classes_width
    for axis, classes in zip(panels, CLASSES, strict=True):
        for optimizer in ("sgd", "adamw"):
            _trajectories(axis, found.mlp[optimizer, classes, width, 0], COLOURS[optimizer], NAMES[optimizer])
        axis.set(title=f"{classes} classes", xlabel="updates made", ylim=(0.8, None))
    panels[0].set_ylabel("hidden weight: singular value / initial edge")
    panels[0].legend(frameon=False, fontsize=SMALL)
    for optimizer in ("sgd", "adamw"):
        for weight, marker in zip(WEIGHTS, "so", strict=True):
            means = [mean_of(n) for n in counts(found, optimizer, weight).values()]
            counted.errorbar(
                CLASSES, [m.value for m in means], [m.error for m in means], fmt=f"-{marker}", ms=5, lw=1, capsize=2,
                color=COLOURS[optimizer], mfc="white", label=f"{NAMES[optimizer]}, {WEIGHTS[weight]}",
            )  # fmt: skip
    counted.fill_between(CLASSES, np.array(CLASSES) - 1, CLASSES, color="0.85", label="C - 1 to C")
    counted.set(xlabel="classes C", ylabel="outliers after training", yscale="log")
    counted.legend(frameon=False, fontsize=SMALL)
    return figure


def _trajectories(axis: Axes, run: Watched, colour: str, label: str) -> None:
    rows = run.rows[run.rows.matrix == "layers.1.weight"]
    modes = [c for c in rows if c[0] == "s" and c[1:].isdigit()]
    values = rows[modes].to_numpy(float) / rows.edge.to_numpy(float)[:, None]
    axis.plot(rows.step, values[:, 0], ".-", color=colour, lw=1, ms=4, label=label)
    axis.plot(rows.step, values[:, 1:], ".-", color=colour, lw=0.7, ms=3, alpha=0.6)
    axis.axhline(1.0, ls="--", color="0.4", lw=1)
    axis.set_xscale("symlog", linthresh=3)
    axis.set_xticks([0, 10, 100], ["0", "10", "100"])


def widths_figure(found: Found) -> Figure:
    """Largest value, shift of the median and rank of the change at the end, over width."""
    figure = Figure(figsize=(13, 6.6), layout="constrained")
    names = {
        "s1": "largest singular value / initial edge",
        "middle": "shift of the median singular value",
        "change_rank": "stable rank of the change",
    }
    for row, model in zip(figure.subplots(2, 3), ("MLP", "GPT"), strict=True):
        widths = found.plan.mlp_widths if model == "MLP" else found.plan.gpt_widths
        for axis, (name, label) in zip(row, names.items(), strict=True):
            for optimizer in widths:
                sizes, means = means_over_width(model, found, optimizer, name)
                axis.errorbar(
                    sizes, [m.value for m in means], [m.error for m in means], fmt="-o", ms=5, lw=1, capsize=2,
                    color=COLOURS[optimizer], mfc="white", label=NAMES[optimizer],
                )  # fmt: skip
            label_sizes(axis, sorted({size for all_ in widths.values() for size in all_}))
            axis.set(xlabel="width", ylabel=label)
            if name == "s1":
                axis.axhline(1, color="0.4", lw=1, ls="--")
            elif name == "middle":
                axis.set_yscale("symlog", linthresh=0.01)
                axis.axhline(0, color="0.4", lw=1, ls="--")
                axis.set_yticks([0, 0.01, 0.1, 1], ["0", "1 %", "10 %", "100 %"])
                axis.set_ylim(min(-0.005, axis.get_ylim()[0] / 3), 3)
            else:
                axis.set_yscale("log")
                axis.set_yticks([1, 3, 10, 30, 100], ["1", "3", "10", "30", "100"])
        row[0].set_title(f"{model}, {'hidden weight' if model == 'MLP' else 'mean over matrices of the blocks'}")
        row[0].legend(frameon=False, fontsize=SMALL)
    return figure


def spectra_figure(found: Found) -> Figure:
    """All singular values of one weight before and after training, by optimizer."""
    figure = Figure(figsize=(13, 6), layout="constrained")
    cases = (
        ("MLP", found.mlp, CLASSES[-1], found.plan.mlp_widths, "layers.1.weight"),
        ("GPT", found.gpt, 0, found.plan.gpt_widths, "blocks.0.fc1.weight"),
    )
    for row, (model, runs, classes, widths, weight) in zip(figure.subplots(2, 3), cases, strict=True):
        common = max(set.intersection(*(set(w) for w in widths.values())))
        for axis, optimizer in zip(row, COLOURS, strict=True):
            if optimizer not in widths:
                axis.set_visible(False)
                continue
            before, after = runs[optimizer, classes, common, 0].spectra[weight]
            bins = np.linspace(0, max(1.2, 1.02 * float(after.max())), 45)
            axis.hist(before, bins, color="0.8", label="before")
            axis.hist(after, bins, histtype="step", color=COLOURS[optimizer], lw=1.4, label="after")
            axis.axvline(1.0, color="0.4", ls="--", lw=1)
            axis.set(xlabel="singular value / initial edge", ylabel="count")
            axis.set_title(f"{model} of width {common}, {weight.removesuffix('.weight')}, {NAMES[optimizer]}")
            axis.legend(frameon=False, fontsize=SMALL)
    return figure
