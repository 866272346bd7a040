"""Figures of learning-rate transfer."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy import ndarray

from ._rate_ladders import BASE, Rung, rate
from ._rate_theory import LOG_RATES, RATIOS, Networks, Optimum

PANELS = {"muP": "muP, σ = 0.5, γ = 2", "NTK": "NTK, σ = 0.5, γ = 2", "muP, σ = 1, γ = 1": "muP, σ = 1, γ = 1"}
COLOURS = {"muP": "#0072B2", "NTK": "#D55E00"}
SMALL = 8


def theory_figure(
    curves: dict[str, ndarray], optima: dict[str, list[Optimum]], measured: dict[tuple[str, float], Networks]
) -> Figure:
    """Loss against rate for every width ratio, with the best rates and the networks' losses."""
    figure = Figure(figsize=(12, 4), layout="constrained")
    axes = figure.subplots(1, len(PANELS), sharey=True)
    colours = colormaps["viridis"](np.linspace(0, 0.9, len(RATIOS)))
    for axis, (name, title) in zip(axes, PANELS.items(), strict=True):
        for losses, found, ratio, colour in zip(curves[name], optima[name], RATIOS, colours, strict=True):
            x, y = _with_best(losses, found)
            axis.loglog(x, y, color=colour, lw=1.2, label=f"ν = {ratio:g}")
            axis.plot(found.best.rate, found.best.loss, "v", color=colour, ms=6, mec="white", mew=0.5)
            if (name, ratio) in measured:
                networks = measured[name, ratio]
                axis.plot(networks.rates, _middle(networks.losses), "o", color=colour, ms=3, alpha=0.8)
        axis.set_title(title)
        axis.set_ylim(1e-6, 2)
        axis.set_xlabel("learning rate")
        _plain(axis.xaxis, axis.get_xlim())
    axes[0].set_ylabel("train loss after 49 steps")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(RATIOS), frameon=False, fontsize=SMALL)
    return figure


def _with_best(losses: ndarray, found: Optimum) -> tuple[ndarray, ndarray]:
    """The curve with its minimum, which is narrower than the grid, put in."""
    x, y = np.append(2.0**LOG_RATES, found.best.rate), np.append(losses, found.best.loss)
    order = np.argsort(x)
    return x[order], np.where(np.isfinite(y), y, np.nan)[order]


def ladder_figure(ladders: dict[tuple[str, str], list[Rung]]) -> Figure:
    """Loss against rate for every width, and the best rate against width, one row an activation."""
    activations = list(dict.fromkeys(a for a, _ in ladders))
    figure = Figure(figsize=(12, 3.6 * len(activations)), layout="constrained")
    axes = figure.subplots(len(activations), 3, squeeze=False)
    for activation, (left, middle, right) in zip(activations, axes, strict=True):
        middle.sharex(left)
        middle.sharey(left)
        for axis, name in ((left, "muP"), (middle, "NTK")):
            _curves(axis, ladders[activation, name])
            axis.set_title(f"{activation}, {name}")
            axis.set_xlabel("learning rate")
            _best(right, ladders[activation, name], name)
        _plain(left.xaxis, left.get_xlim())
        left.set_ylabel("training loss")
        right.set_title(f"{activation}, best rate")
        right.set_xlabel("width")
        right.set_ylim(top=2 * right.get_ylim()[1])  # room for the legend
        _plain(right.yaxis, right.get_ylim())
        right.legend(frameon=False, fontsize=SMALL, loc="upper left", ncols=2)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False, fontsize=SMALL)
    return figure


def _curves(axis: Axes, rungs: list[Rung]) -> None:
    shades = colormaps["viridis"](np.linspace(0, 0.9, len(rungs)))
    for rung, shade in zip(rungs, shades, strict=True):
        losses = _middle(rung.losses)
        losses = np.where(losses < 1, losses, np.nan)  # it begins at 1/2
        axis.loglog(
            [rate(int(k)) for k in rung.points], losses, "o-", ms=2.5, lw=1, color=shade, label=f"n = {rung.width}"
        )


def _best(axis: Axes, rungs: list[Rung], name: str) -> None:
    widths = [r.width for r in rungs]
    mean = np.array([r.optima.mean() for r in rungs])
    error = np.array([r.optima.std(ddof=1) / len(r.optima) ** 0.5 for r in rungs])
    bars = [2**mean - 2 ** (mean - error), 2 ** (mean + error) - 2**mean]
    axis.errorbar(widths, 2**mean, bars, fmt="o-", ms=4, lw=1, capsize=2, color=COLOURS[name], label=name)
    axis.plot(widths, [r.stable for r in rungs], ":", lw=1.2, color=COLOURS[name], label=f"{name}, largest that trains")
    axis.set(xscale="log", yscale="log")
    ticks = [w for w in widths if np.log2(w / BASE) % 3 == 0]
    axis.set_xticks(ticks, [str(w) for w in ticks])
    axis.xaxis.set_minor_locator(NullLocator())


def _plain(axis: Axis, limits: tuple[float, float]) -> None:
    """Few ticks of a logarithmic axis, as plain numbers."""
    decades = np.log10(limits[1] / limits[0])
    steps = (1, 1.5, 2, 3, 5, 7) if decades < 0.8 else (1, 2, 5) if decades < 2.5 else (1,)
    axis.set_major_locator(FixedLocator([s * 10.0**d for d in range(-4, 4) for s in steps]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def _middle(losses: ndarray) -> ndarray:
    """Geometric mean over seeds; NaN where one diverged."""
    with np.errstate(divide="ignore"):
        mean = np.exp(np.mean(np.log(losses), axis=-1))
    return np.where(np.isfinite(mean), mean, np.nan)
