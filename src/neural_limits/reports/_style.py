"""One look for all figures: plain, safe for colour-blind readers, without matplotlib's global state."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence

from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, SymmetricalLogLocator

from .._notation import NOTATION

PREDICTED, MEASURED, EDGE = "#0072B2", "#D55E00", "#595959"  # Okabe and Ito (2008); grey for the edge
LAYERS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
FILL = "#C9D6DF"
DPI = 150
LARGE, SMALL = 10.5, 9.0
COLUMNS = 3
WIDTH = 9.3  # inches; all figures of a page share it
MOST_PANELS = 12
SPAN = 20.0  # a range of values this wide is drawn on a logarithmic axis


def canvas(
    panels: int, *, columns: int = COLUMNS, height: float = 2.9, share: bool = True
) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels in rows, and their axes."""
    columns = min(columns, panels)
    rows = -(-panels // columns)
    figure = Figure(figsize=(WIDTH if columns > 1 else 0.66 * WIDTH, height * rows), dpi=DPI)
    figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.06)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=share, sharey=share)
    axes = list(grid.ravel())
    for axis in axes[panels:]:
        axis.set_visible(False)
    for axis in axes[:panels]:
        tidy(axis)
    if share:  # the panel above a hidden one is the last of its column
        for axis in axes[max(panels - columns, 0) : panels]:
            axis.tick_params(labelbottom=True)
    return figure, axes[:panels]


def tidy(axis: Axes) -> None:
    """Few lines, small labels."""
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axis.spines[side].set_color("#7F7F7F")
    axis.tick_params(labelsize=SMALL, color="#7F7F7F")
    axis.grid(color="#E6E6E6", linewidth=0.6)
    axis.set_axisbelow(True)


def label_outer(axes: Sequence[Axes], x: str, y: str) -> None:
    """Axis labels at the foot of each column and the start of each row."""
    for axis in axes:
        place = axis.get_subplotspec()
        if place is None:
            continue
        if place.is_first_col():
            axis.set_ylabel(y, fontsize=LARGE)
        below = place.rowspan.stop * place.get_gridspec().ncols + place.colspan.start
        if below >= len(axes):
            axis.set_xlabel(x, fontsize=LARGE)


def legend(figure: Figure, axes: Sequence[Axes], columns: int = 4) -> None:
    """One legend above all panels, each label once."""
    entries: dict[str, Artist] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if entries:
        figure.legend(
            list(entries.values()), list(entries), loc="outside upper center",
            ncols=min(columns if figure.get_figwidth() >= WIDTH else 2, len(entries)), frameon=False, fontsize=SMALL,
        )  # fmt: skip


def whole_steps(axes: Sequence[Axes]) -> None:
    """Ticks at whole steps only."""
    for axis in axes:
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))


def symlog(axis: Axes, *, linear: float, share: float) -> None:
    """A logarithmic x axis beyond ``linear`` with few plain ticks, linear below it."""
    axis.set_xscale("symlog", linthresh=linear, linscale=share)
    axis.xaxis.set_major_locator(SymmetricalLogLocator(linthresh=linear, base=10))
    axis.xaxis.get_major_locator().set_params(numticks=6)  # type: ignore[call-arg]
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0e}" if value >= 1e5 else f"{value:g}"))


def layer_colours(layers: int) -> list[str]:
    """A colour a layer: distinct ones for a few, else from dark to light with depth."""
    if layers <= len(LAYERS):
        return list(LAYERS[:layers])
    return [to_hex(colormaps["viridis"](0.9 * l / (layers - 1))) for l in range(layers)]


def chosen_layers(layers: int) -> list[int]:
    """All layers, or twelve spread evenly from the first to the last.

    >>> chosen_layers(3), len(chosen_layers(100)), chosen_layers(100)[-1]
    ([0, 1, 2], 12, 99)
    """
    if layers <= MOST_PANELS:
        return list(range(layers))
    return [round(i * (layers - 1) / (MOST_PANELS - 1)) for i in range(MOST_PANELS)]


def symbol(name: str) -> str:
    """The symbol of a quantity, subscripts as mathematics.

    >>> symbol("edge"), symbol("singular_value")
    ('σ$_{\\\\mathrm{edge}}$', 'σ')
    """
    return re.sub(r"_(\w+)", r"$_{\\mathrm{\1}}$", NOTATION[name].symbol)


def spans(values: Sequence[float]) -> bool:
    """Whether positive values spread so far that a logarithmic axis shows them better."""
    known = [v for v in values if math.isfinite(v)]
    return bool(known) and min(known) > 0 and max(known) > SPAN * min(known)


def png(figure: Figure) -> bytes:
    """The figure as a PNG file of 150 dots per inch, on white."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, facecolor="white")
    return buffer.getvalue()
