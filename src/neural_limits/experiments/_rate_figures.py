"""Figures of learning-rate transfer."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy import ndarray

from ..reports._style import LARGE, MEASURED, PREDICTED, SMALL, canvas, layer_colours
from ._rate_ladders import BASE, Rung, rate
from ._rate_theory import LOG_RATES, RATIOS, Networks, Optimum

PANELS = {
    "muP": "muP, σ = 0.5, γ = 2",
    "NTK": "NTK, the same network at ν = 1",
    "muP, σ = 1, γ = 1": "muP, σ = 1, γ = 1",
}
COLOURS = {"muP": PREDICTED, "NTK": MEASURED}


def theory_figure(
    curves: dict[str, ndarray], optima: dict[str, list[Optimum]], measured: dict[tuple[str, float], Networks]
) -> Figure:
    """Loss against rate for every width ratio, with the best rates and the networks' losses."""
    figure, axes = canvas(len(PANELS), height=3.4, share=False)
    colours = layer_colours(len(RATIOS))
    for axis, (name, title) in zip(axes, PANELS.items(), strict=True):
        for losses, found, ratio, colour in zip(curves[name], optima[name], RATIOS, colours, strict=True):
            x, y = _with_best(losses, found)
            axis.loglog(x, y, color=colour, lw=1.2, label=f"ν = {ratio:g}")
            axis.plot(found.best.rate, found.best.loss, "v", color=colour, ms=6, mec="white", mew=0.5)
            if (name, ratio) in measured:
                networks = measured[name, ratio]
                axis.plot(networks.rates, _middle(networks.losses), "o", color=colour, ms=3, alpha=0.8)
        axis.set_title(title, fontsize=LARGE)
        axis.set_ylim(1e-6, 2)
        axis.set_xlabel("learning rate", fontsize=LARGE)
    axes[0].set_ylabel("train loss after 49 steps", fontsize=LARGE)
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
    figure, axes = canvas(3 * len(activations), height=3.1, share=False)
    for row, activation in enumerate(activations):
        left, middle, right = axes[3 * row : 3 * row + 3]
        for axis, name in ((left, "muP"), (middle, "NTK")):
            _curves(axis, ladders[activation, name])
            axis.set_title(f"{activation}, {name}", fontsize=LARGE)
            axis.set_xlabel("learning rate", fontsize=LARGE)
            _best(right, ladders[activation, name], name)
        middle.sharey(left)
        left.set_ylabel("training loss", fontsize=LARGE)
        right.set_title(f"{activation}, best rate", fontsize=LARGE)
        right.set_xlabel("width", fontsize=LARGE)
        right.legend(frameon=False, fontsize=SMALL, loc="upper left")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False, fontsize=SMALL)
    return figure


def _curves(axis: Axes, rungs: list[Rung]) -> None:
    shades = colormaps["viridis"](np.linspace(0, 0.9, len(rungs)))
    for rung, shade in zip(rungs, shades, strict=True):
        losses = _middle(rung.losses)
        losses = np.where(losses < 3 * losses[0], losses, np.nan)  # past the edge only where it still says something
        axis.loglog([rate(int(k)) for k in rung.points], losses, "o-", ms=2.5, lw=1, color=shade, label=f"{rung.width}")


def _best(axis: Axes, rungs: list[Rung], name: str) -> None:
    widths = [r.width for r in rungs]
    mean = np.array([r.optima.mean() for r in rungs])
    error = np.array([r.optima.std(ddof=1) / len(r.optima) ** 0.5 for r in rungs])
    bars = [2**mean - 2 ** (mean - error), 2 ** (mean + error) - 2**mean]
    axis.errorbar(widths, 2**mean, bars, fmt="o-", ms=4, lw=1, capsize=2, color=COLOURS[name], label=name)
    axis.plot(widths, [r.stable for r in rungs], ":", lw=1.2, color=COLOURS[name])
    axis.set(xscale="log", yscale="log")
    ticks = [w for w in widths if np.log2(w / BASE) % 3 == 0]
    axis.set_xticks(ticks, [str(w) for w in ticks])
    axis.xaxis.set_minor_locator(NullLocator())


def _middle(losses: ndarray) -> ndarray:
    """Geometric mean over seeds; NaN where one diverged."""
    with np.errstate(divide="ignore"):
        mean = np.exp(np.mean(np.log(losses), axis=-1))
    return np.where(np.isfinite(mean), mean, np.nan)
