"""Figures of an audit: every matrix's histogram with its bulk law, and what stands out over depth."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..laws import QuarterCircle
from ._style import (
    EDGE,
    FILL,
    MEASURED,
    MOST_PANELS,
    PREDICTED,
    SMALL,
    SPAN,
    canvas,
    label_outer,
    layer_colours,
    legend,
    symbol,
    symlog,
    whole_steps,
)  # fmt: skip

MOST_PAGES = 8
BINS, LEAST_BINS = 40, 8
SUMMARY = {
    "relative_top": "top value / edge",
    "separated": "separated values",
    "bulk_shift": "shift of the bulk",
    "relative_rank": "stable rank / size",
}
MOST_KINDS = 12
LONGEST = 44  # letters of a name above a panel


def audit_figures(data: xr.Dataset) -> dict[str, Figure]:
    """``depth``: numbers of all matrices; ``spectra-1`` ...: a histogram of each with known values, 12 a figure."""
    known = [i for i in range(data.sizes["matrix"]) if data.known.values[i] > 0]
    drawn = {} if len(known) < 2 else {"depth": depth_figure(data.isel(matrix=known))}
    for number, page in enumerate(_pages(known), 1):
        drawn[f"spectra-{number}"] = spectra_figure(data.isel(matrix=page))
    return drawn


def _pages(known: list[int]) -> Iterator[list[int]]:
    """Twelve at a time; of very many, those spread evenly from the first to the last."""
    most = MOST_PAGES * MOST_PANELS
    if len(known) > most:
        known = [known[round(i * (len(known) - 1) / (most - 1))] for i in range(most)]
    for start in range(0, len(known), MOST_PANELS):
        yield known[start : start + MOST_PANELS]


def spectra_figure(data: xr.Dataset) -> Figure:
    """Histograms of singular values, the law of the bulk, the initial law where known, and single values beyond."""
    figure, axes = canvas(data.sizes["matrix"], share=False, height=2.4)
    for axis, i in zip(axes, range(len(axes)), strict=True):
        _draw(axis, data.isel(matrix=i))
    label_outer(axes, f"singular value {symbol('singular_value')}", "density")
    legend(figure, axes)
    return figure


def _draw(axis: Axes, one: xr.Dataset) -> None:
    axis.set_title(plain(str(one.matrix.values)), fontsize=SMALL, loc="left")
    values = one.singular_value.values[: int(one.known)]
    edges = [float(one[name]) for name in ("bulk_edge", "edge") if np.isfinite(one[name])]
    if len(values) < min(one.rows, one.columns):
        axis.vlines(values, 0, 1, color=FILL, linewidth=1.6, label="the largest values alone")
        axis.set_yticks([])
        _draw_single(axis, values[: _count(one.outliers)])
        for edge in edges[:1]:
            axis.axvline(edge, color=EDGE, linestyle="--", linewidth=1.5, label="edge of the untrained law")
        axis.set_xlim(left=0)
        return
    _draw_bulk(axis, one, values)
    _draw_single(axis, values[: _count(one.separated)])
    if edges and values[0] > SPAN / 4 * edges[0]:  # else the bulk is a line at the left
        symlog(axis, linear=1.5 * edges[0], share=2.0)
    axis.set_xlim(left=0)


def _draw_single(axis: Axes, outside: np.ndarray) -> None:
    """Single values hardly show in a histogram."""
    if len(outside):
        axis.plot(
            outside, np.full(outside.shape, 0.05 * axis.get_ylim()[1]), color=MEASURED, marker="o", fillstyle="none",
            linestyle="none", markersize=5, markeredgewidth=1.1, label="separated from the bulk",
        )  # fmt: skip


def _count(value: xr.DataArray) -> int:
    return int(value) if np.isfinite(value) else 0


def _draw_bulk(axis: Axes, one: xr.Dataset, values: np.ndarray) -> None:
    """The histogram up to the last value that is not separated, and the laws."""
    separated = _count(one.separated)
    rest, size = values[separated:], len(values)
    shape = int(one.rows), int(one.columns)
    laws = []
    if np.isfinite(one.init_std) and one.bulk != "unchanged":
        laws.append((QuarterCircle(*shape, float(one.init_std)), PREDICTED, ":", "untrained law"))
    if np.isfinite(one.bulk_std) and one.bulk_std > 0:
        shifted = one.bulk == "deformed"
        label = "law of the bulk's scale, not its shape" if shifted else "law of the bulk"
        laws.append((QuarterCircle(*shape, float(one.bulk_std)), EDGE, "-." if shifted else "--", label))
    top = max([float(rest[0]), *(law.edge for law, *_ in laws)])
    bins = min(BINS, max(LEAST_BINS, size // 5))
    width = top / bins
    axis.hist(
        rest, bins=(width * np.arange(bins + 1)).tolist(), weights=np.full(rest.shape, 1 / (size * width)), color=FILL,
        label="all values",
    )  # fmt: skip
    tallest = axis.get_ylim()[1]
    for law, colour, style, label in laws:
        grid = np.linspace(law.lower_edge, law.edge, 400)
        axis.plot(grid, law.pdf(grid) * len(rest) / size, color=colour, linestyle=style, linewidth=1.4, label=label)
    axis.set_ylim(0, min(axis.get_ylim()[1], 1.6 * tallest))


def depth_figure(data: xr.Dataset) -> Figure:
    """Top value over edge, separated values, shift of the bulk, stable rank; one line for each kind of matrix."""
    edge = data.bulk_edge.fillna(data.edge)
    values = {
        "relative_top": (data.top / edge).values,
        "separated": data.separated.fillna(data.outliers).values,
        "bulk_shift": data.bulk_shift.values,
        "relative_rank": (data.stable_rank / np.minimum(data.rows, data.columns)).values,
    }
    shown = {name: v for name, v in values.items() if np.isfinite(v).any()}
    names = [str(name) for name in data.matrix.values]
    kinds, label = by_kind(names)
    figure, axes = canvas(len(shown), columns=2, height=2.6, share=False)
    colours = layer_colours(len(kinds))
    for axis, (name, value) in zip(axes, shown.items(), strict=True):
        for (kind, places), colour in zip(kinds.items(), colours, strict=True):
            x, chosen = [place for place, _ in places], [i for _, i in places]
            line = "-" if len(set(x)) == len(x) else "none"
            axis.plot(x, value[chosen], color=colour, marker="o", markersize=4, linestyle=line, label=plain(kind))
        axis.set_ylabel(SUMMARY[name], fontsize=SMALL)
        axis.set_xlabel(label, fontsize=SMALL)
        if name == "separated":
            axis.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
            axis.set_ylim(-0.05 * max(1.0, np.nanmax(value)), 1.1 * max(1.0, np.nanmax(value)))
        finite = value[np.isfinite(value) & (value > 0)]
        if name == "relative_top" and finite.size:
            axis.axhline(1, color=EDGE, linestyle="--", linewidth=1)
            if finite.max() > SPAN / 4 * finite.min():
                axis.set_yscale("log")
    whole_steps(axes)
    legend(figure, axes, columns=2)
    return figure


def by_kind(names: list[str]) -> tuple[dict[str, list[tuple[int, int]]], str]:
    """Matrices of one kind differ in numbers alone, the first of which is the depth: kind to [(depth, place)].

    Single ones (an embedding) have no depth; where all are single they are one kind, by their order.

    >>> by_kind(["h.0.w", "h.1.w", "head"])
    ({'h.*.w': [(0, 0), (1, 1)]}, 'first number in the name')
    >>> by_kind(["a", "b"])
    ({'all': [(1, 0), (2, 1)]}, 'number in the table')
    """
    found: dict[str, list[tuple[int, int]]] = {}
    for place, name in enumerate(names):
        number = re.search(r"\d+", name)
        if number:
            found.setdefault(re.sub(r"\d+", "*", name), []).append((int(number[0]), place))
    several = {kind: places for kind, places in found.items() if len({depth for depth, _ in places}) > 1}
    if several:
        several = dict(sorted(several.items(), key=lambda kind: -len(kind[1]))[:MOST_KINDS])
        return several, "first number in the name"
    return {"all": [(place + 1, place) for place in range(len(names))]}, "number in the table"


def plain(name: str) -> str:
    r"""A name for a figure: its end where it is long, and no dollar sign, which would begin mathematics.

    >>> plain("a$")
    'a\\$'
    """
    short = name if len(name) <= LONGEST else "…" + name[1 - LONGEST :]
    return short.replace("$", r"\$")
