"""Figures of the bulk's restructuring."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy import ndarray

from ..limits.extensive_outputs import ManyOutputs
from ._bulk_beyond import Found, Student
from ._bulk_edge import Ladder
from ._bulk_gap import SEEN, TEACHERS, WIDTH_RATIOS, Diagram
from ._bulk_laws import UNTRAINED, WIDTH, Crossing
from ._slopes import label_sizes

SMALL = 8
APART = (0.005, 0.01, 0.02, 0.05, 0.1)
COLOURS = {"linear": "#0072B2", "tanh": "#D55E00", "relu": "#009E73"}
LEAST = 3e-4  # density: a value in a hundred networks shows


def crossover_figure(found: list[Crossing]) -> Figure:
    """Histogram and law for every number of outputs."""
    figure = Figure(figsize=(13, 3.4), layout="constrained")
    axes = figure.subplots(1, len(found), sharex=True, sharey=True)
    right = 1.04 * max(f.values.max() for f in found)
    for axis, one in zip(axes, found, strict=True):
        x = np.linspace(1e-3, right, 1500)
        bins = np.linspace(0, right, 90)
        axis.hist(one.values.ravel(), list(bins), density=True, color="0.8", label="dense networks")
        _curve(axis, x, UNTRAINED.pdf(x), "0.45", label="before training", ls="--")
        _curve(axis, x, one.law.pdf(x), "#D55E00", label="law")
        axis.set_title(f"C = {one.outputs}, κ = {one.outputs / WIDTH:.3g}", fontsize=10)
        axis.set_xlabel("singular value (operator norm)")
    axes[0].set(yscale="log", ylim=(LEAST, 2), xlim=(0, right), ylabel="density per unit singular value")
    _legend(figure, axes[0])
    return figure


def gap_figure(found: Diagram) -> Figure:
    """Closing curves and the spacing that networks have below their C-th singular value."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    axes = figure.subplots(1, len(WIDTH_RATIOS), sharex=True, sharey=True)
    scatter = None
    for axis, ratio, curve in zip(axes, WIDTH_RATIOS, found.closing, strict=True):
        known = np.isfinite(curve)
        axis.plot(np.array(TEACHERS)[known], curve[known], color="black", label="the law's gap closes")
        points = [p for p in found.points if p.width_ratio == ratio]
        scatter = axis.scatter(
            [p.teacher for p in points], [p.output_ratio for p in points], c=[p.relative.value for p in points],
            norm="log", cmap="viridis", vmin=1, vmax=max(p.relative.value for p in found.points),
            edgecolors="black", linewidths=0.5, s=40, label=f"dense networks, N = {WIDTH}",
        )  # fmt: skip
        axis.set(yscale="log", xlabel="teacher strength a", title=f"N/D = {ratio:g}")
        axis.text(0.93, 0.12, "gap", transform=axis.transAxes, ha="right")
        axis.text(0.07, 0.88, "one bulk", transform=axis.transAxes)
    axes[0].set_ylabel("output ratio κ = C/N")
    axes[0].set_yticks([0.01, 0.03, 0.1, 0.3, 1], ["0.01", "0.03", "0.1", "0.3", "1"])
    if scatter is not None:
        bar = figure.colorbar(scatter, ax=axes, label="spacing below the C-th singular value\nover its neighbours'")
        ticks = [t for t in (1, SEEN, 5, 10, 20, 50) if t <= scatter.get_clim()[1]]
        bar.set_ticks(ticks, labels=[f"{t:g}" for t in ticks])
        bar.ax.yaxis.set_minor_locator(NullLocator())
    _legend(figure, axes[0])
    return figure


def edge_figure(found: dict[str, Ladder]) -> Figure:
    """Mean top singular value over width, a panel a case, and the distance to the edge of all."""
    figure = Figure(figsize=(13, 3.8), layout="constrained")
    axes = figure.subplots(1, len(found) + 1)
    for i, (axis, (name, one)) in enumerate(zip(axes, found.items(), strict=False)):
        widths, means = np.array(list(one.values)), list(one.means.values())
        value, error = np.array([m.value for m in means]), np.array([m.error for m in means])
        axis.errorbar(widths, value, error, fmt="o", ms=4, capsize=2, color=f"C{i}", label="dense networks")
        axis.plot(widths, list(one.expected.values()), color="black", lw=1, label="Tracy-Widom mean")
        axis.axhline(one.edge, color="0.45", ls="--", lw=1, label="edge of the law")
        axis.set(title=name, xlabel="width N", ylabel="top singular value (operator norm)" if i == 0 else "")
        label_sizes(axis, list(one.values))
        apart = (one.edge - value) / one.edge
        axes[-1].errorbar(widths, apart, error / one.edge, fmt="o-", ms=4, lw=1, capsize=2, color=f"C{i}", label=name)
    widths = np.array(list(next(iter(found.values())).values))
    axes[-1].plot(widths, 0.08 * (widths / widths[0]) ** (-2 / 3), color="black", ls=":", label="slope −2/3")
    axes[-1].set(yscale="log", title="approach to the edge", xlabel="width N", ylabel="1 − top singular value/edge")
    label_sizes(axes[-1], list(widths))
    axes[-1].set_yticks(APART, [f"{y:g}" for y in APART])
    axes[-1].yaxis.set_minor_locator(NullLocator())
    axes[-1].legend(frameon=False, fontsize=SMALL - 1)
    _legend(figure, axes[0])
    return figure


def beyond_figure(found: Found, laws: dict[int, ManyOutputs]) -> Figure:
    """Densities of nonlinear and fully trained networks beside the linear law; a row a readout, a column a C."""
    counts = sorted(laws)
    figure = Figure(figsize=(13, 6.6), layout="constrained")
    axes = figure.subplots(2, len(counts), sharex=True, sharey=True)
    right = 1.04 * max(s.values.max() for s in found.values())
    right = min(right, 1.5 * max(laws[c].edge for c in counts))
    x = np.linspace(1e-3, right, 400)
    densities = {c: laws[c].pdf(x) for c in counts}
    for row, trained in zip(axes, (False, True), strict=True):
        for axis, count in zip(row, counts, strict=True):
            _curve(axis, x, UNTRAINED.pdf(x), "0.45", label="before training", ls="--")
            _curve(axis, x, densities[count], "black", label="law: linear, readout fixed")
            for student in dict.fromkeys(s for s, c in found if s.trained == trained and c == count):
                _steps(axis, student, found[student, count].values, right)
            axis.set_title(f"{'both layers trained' if trained else 'readout fixed'}, C = {count}", fontsize=10)
    axes[0, 0].set(yscale="log", ylim=(1e-3, 2), xlim=(0, right))
    for axis in axes[:, 0]:
        axis.set_ylabel("density per unit singular value")
    for axis in axes[-1]:
        axis.set_xlabel("singular value (operator norm)")
    _legend(figure, axes[1, 0])
    return figure


def _steps(axis: Axes, student: Student, values: ndarray, right: float) -> None:
    network = student.teacher == "network"
    label = f"{student.activation}{', teacher with a hidden layer' if network else ''}"
    axis.hist(
        values.ravel(), list(np.linspace(0, right, 60)), density=True, histtype="step", lw=1.2,
        color=COLOURS[student.activation], ls=":" if network else "-", label=label,
    )  # fmt: skip


def _curve(axis: Axes, x: ndarray, density: ndarray, colour: str, **more: str) -> None:
    axis.plot(x, np.where(density > 0, density, LEAST / 10), color=colour, lw=1.2, **more)  # type: ignore[arg-type]


def _legend(figure: Figure, axis: Axes) -> None:
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False, fontsize=SMALL)
