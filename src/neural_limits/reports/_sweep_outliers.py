"""Outliers of trained weights against the size, where trials recorded any."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from ._picture import Axis, Picture, Series, axis_of
from ._style import EDGE, layer_colours
from ._sweep_choices import choices, picks
from ._sweep_rows import SIZES, Point, Points, Roles, Rows, show

MOST_READ = 240  # trials opened
MODES = 3

Read = Callable[[str], xr.Dataset]


def outlier_picture(rows: Rows, roles: Roles, points: Points, read: Read) -> Picture | None:
    """Outliers at the last record against the size, at the rate of least loss; None where none were recorded."""
    along = roles.line if roles.line in SIZES else roles.x if roles.x in SIZES else None
    found: dict[tuple[Any, Any], list[xr.Dataset]] = {}
    rates: dict[tuple[Any, Any], str] = {}
    for key, (note, names) in list(_least(rows, roles, points, along).items()):
        if sum(map(len, found.values())) >= MOST_READ:
            break
        runs = [run for name in names if (run := _outliers(read, name)) is not None]
        if not runs:
            if not found:  # the first that was opened recorded none
                return None
            continue
        found[key], rates[key] = runs, note
    if not found:
        return None
    layers = max(run.sizes["layer"] for runs in found.values() for run in runs)
    sizes, colours = rows.values(along), layer_colours(MODES)
    views = {}
    for place, pick in choices(rows, roles.picks):
        for layer in range(layers):
            here = {size: found[pick, size] for size in sizes if (pick, size) in found}
            notes = {size: rates[pick, size] for size in here}
            drawn = [s for m in range(MODES) if (s := _mode(here, notes, layer, m, colours[m], along)) is not None]
            drawn += [_edge(here, layer, along)] if here else []
            if drawn:
                views[*place, layer] = drawn
    chosen = {**picks(rows, roles.picks), "layer": [str(l) for l in range(layers)]}
    over = along or "trial"
    caption = (
        f"Largest singular values of a hidden weight matrix above its bulk at the last record, against {over}: mean "
        "over seeds and its standard error, at the best rate of the grid. Dashed: the edge of the bulk."
    )
    x = axis_of(over, sizes if along else ["best"], log=True)
    return Picture("outliers", f"Outliers against {over}", caption, x, Axis("singular value"), "", chosen, views)


def _least(rows: Rows, roles: Roles, points: Points, along: str | None) -> dict[tuple[Any, Any], tuple[str, list[str]]]:
    """The trials of least mean loss for each choice and size, and where along the rates they stand."""
    least: dict[tuple[Any, Any], Point] = {}
    for (pick, line), here in points.items():
        for p in here:
            key = (pick, p.x if along == roles.x else line if along else None)
            if math.isfinite(p.mean) and not p.diverged and (key not in least or p.mean < least[key].mean):
                least[key] = p
    return {
        key: ("" if along == roles.x else f"{roles.x} {show(p.x)}", [str(rows.name[i]) for i in p.rows if rows.name[i]])
        for key, p in least.items()
    }


def _outliers(read: Read, name: str) -> xr.Dataset | None:
    try:
        run = read(name)
    except OSError:
        return None
    if "singular_value" not in run or not run.sizes.get("record", 0) or not run.sizes.get("layer", 0):
        return None
    return run[["singular_value", "record_edge"]].isel(record=-1)


def _mode(
    here: Mapping[Any, list[xr.Dataset]],
    rates: Mapping[Any, str],
    layer: int,
    mode: int,
    colour: str,
    along: str | None,
) -> Series | None:
    """One outlier over the sizes: mean over the seeds that have it."""
    x, y, errors, notes = [], [], [], []
    for size, runs in here.items():
        values = np.array([_value(run, layer, mode) for run in runs])
        known = values[np.isfinite(values)]
        if len(known):
            x.append(size if along else "best")
            y.append(float(known.mean()))
            errors.append(float(known.std(ddof=1) / math.sqrt(len(known))) if len(known) > 1 else math.nan)
            notes.append(", ".join(filter(None, (f"in {len(known)} of {len(runs)} trials", rates[size]))))
    if not x:
        return None
    low, high = ([v + sign * e for v, e in zip(y, errors, strict=True)] for sign in (-1, 1))
    return Series(f"outlier {mode + 1}", x, y, colour, notes, low, high)


def _value(run: xr.Dataset, layer: int, mode: int) -> float:
    values = run.singular_value.transpose("layer", "mode").values
    return float(values[layer, mode]) if layer < values.shape[0] and mode < values.shape[1] else math.nan


def _edge(here: Mapping[Any, list[xr.Dataset]], layer: int, along: str | None) -> Series:
    known = {size: [run for run in runs if layer < run.sizes["layer"]] for size, runs in here.items()}
    known = {size: runs for size, runs in known.items() if runs}
    y = [float(np.mean([run.record_edge.values[layer] for run in runs])) for runs in known.values()]
    return Series("edge of the bulk", [s if along else "best" for s in known], y, EDGE, look="dashed")
