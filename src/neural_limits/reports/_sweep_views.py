"""The figures of a sweep, as numbers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from ._picture import Axis, Picture, Series, axis_of
from ._style import EDGE, layer_colours
from ._sweep_optima import ZERO, Best, Slope, with_error
from ._sweep_rows import RATE, SIZES, Point, Roles, Rows, show

CURVES = "loss-over-steps"
MOST_CURVES = 12  # in one view
MOST_NUMBERS = 60_000  # in all views of the curves
MOST_READ = 240  # trials opened for their outliers
MODES = 3
GROWTH = 1e3  # a curve is cut where it stands so many times above its start
LABELS = {"lr": "learning rate"}

Read = Callable[[str], xr.Dataset]


def loss_picture(rows: Rows, roles: Roles) -> Picture | None:
    """Final loss against the rate, one line a width."""
    if roles.x is None:
        return None
    points = rows.points(roles)
    known = [p.mean for line in points.values() for p in line if p.mean > 0]
    top, bottom = (2.0 * max(known), 0.5 * min(known)) if known else (2.0, 0.5)
    lines = rows.values(roles.line)
    colours = dict(zip(lines, layer_colours(len(lines)), strict=True))
    label = str(roles.line or "")
    views = {}
    for place, pick in _choices(rows, roles.picks):
        drawn: list[Series] = []
        for i, line in enumerate(lines):
            here = points.get((pick, line), [])
            name = f"{label} {show(line)}" if roles.line else "all trials"
            apart = 1.4 ** min(i, 6)  # marks of several lines at one rate must not hide each other
            drawn += _line(name, here, colours[line], roles, (bottom / apart, top * apart))
        views[place] = drawn
    caption = (
        f"Loss after the last update over the {_label(roles.x)}: geometric mean over seeds; the bars are the "
        "seeds' range, not an error. Crosses at the top: diverged for some seed. Open marks at the foot: no result."
    )
    x = axis_of(_label(roles.x), rows.values(roles.x), log=True if roles.x == RATE else None)
    title = f"Final loss against the {_label(roles.x)}"
    return Picture("final-loss", title, caption, x, Axis("final loss", True), label, _picks(rows, roles.picks), views)


def _line(name: str, points: list[Point], colour: str, roles: Roles, ends: tuple[float, float]) -> list[Series]:
    """The line of what is known, broken where a seed diverged, and the marks of what is not."""
    good = [not p.diverged and p.mean > 0 for p in points]
    y = [p.mean if ok else math.nan for p, ok in zip(points, good, strict=True)]
    notes = [p.words(roles.free) for p in points]
    low = [p.low if ok else math.nan for p, ok in zip(points, good, strict=True)]
    high = [p.high if ok else math.nan for p, ok in zip(points, good, strict=True)]
    scattered = bool(roles.free) or len({p.x for p in points}) < len(points)
    text = any(isinstance(p.x, str) for p in points)
    drawn = [
        Series(name, [p.x for p in points], y, colour, notes, low, high, "points" if scattered or text else "line")
    ]
    for look, at, which in (
        ("diverged", ends[1], [p for p in points if p.diverged]),
        ("absent", ends[0], [p for p, ok in zip(points, good, strict=True) if not ok and not p.diverged]),
    ):
        if which:
            words = [p.words(roles.free) for p in which]
            drawn.append(Series(name, [p.x for p in which], [at] * len(which), colour, words, look=look))  # type: ignore[arg-type]
    return drawn


def best_picture(best: Sequence[Best], slopes: Sequence[Slope]) -> Picture | None:
    """The best rate against the first size that varies, with its errors; slopes in the names."""
    varying = {n: list(dict.fromkeys(b.place[n] for b in best)) for n in (best[0].place if best else ())}
    over = next((n for n in SIZES if len(varying.get(n, ())) > 1), None)
    if over is None:
        return None
    others = [n for n in varying if n != over]
    series, picks = (others[0] if others else None), others[1:]
    if any(len(varying[n]) > 40 for n in others):
        return None
    colours = layer_colours(len(varying[series])) if series else layer_colours(1)
    views = {}
    for place, pick in _places([varying[n] for n in picks]):
        drawn = []
        for value, colour in zip(varying[series] if series else [None], colours, strict=True):
            want = dict(zip(picks, pick, strict=True)) | ({series: value} if series else {})
            here = [b for b in best if {n: b.place[n] for n in want} == want and math.isfinite(b.rate)]
            found = [s for s in slopes if s.over == over and s.place == want]
            name = f"{series} {show(value)}" if series else "best rate"
            if found and math.isfinite(found[0].slope):
                name += f": slope {with_error(found[0].slope, found[0].error)}"
            drawn.append(
                Series(
                    name, [b.place[over] for b in here], [b.rate for b in here], colour,
                    ["; ".join(filter(None, (_percent(b.error), b.remark))) for b in here],
                    [b.rate * math.exp(-b.error) for b in here], [b.rate * math.exp(b.error) for b in here],
                    hollow=[b.bound for b in here],
                )
            )  # fmt: skip
        views[place] = drawn
    caption = (
        f"Learning rate of least final loss against {over}, with bootstrap errors over seeds. A slope of zero, a level "
        "line: the rate transfers. Open circles: at the border of the rates, where the best may lie beyond."
    )
    labels = {n: [show(v) for v in varying[n]] for n in picks}
    x, y = axis_of(over, varying[over], log=True), Axis("best learning rate", True)
    return Picture("best-rate", f"Best learning rate against {over}", caption, x, y, series or "", labels, views)


def _percent(error: float) -> str:
    return "" if not error > ZERO else f"± {100 * error:.2g} %"


def curves_picture(data: xr.Dataset, rows: Rows, roles: Roles) -> Picture | None:
    """Loss over steps, one curve a rate; chosen by the width and the other fields."""
    points = rows.points(roles)
    picks = (*roles.picks, roles.line) if roles.line else roles.picks
    views: dict[tuple[int, ...], list[Series]] = {}
    count = sum(min(len(p), MOST_CURVES) for p in points.values())
    steps = _thinned(int(data.step[-1]), max(MOST_NUMBERS // max(count, 1), 8))
    curves = data.loss.variable  # without coordinates, which cost more than reading a file
    shape, left_out = data.final_loss.shape, 0
    for place, pick in _choices(rows, picks):
        key = (pick[:-1], pick[-1]) if roles.line else (pick, None)
        known = [p for p in points.get(key, []) if p.states.total() > p.states["missing"]]
        chosen = [known[i] for i in _spread(len(known))]
        left_out += len(known) - len(chosen)
        drawn = []
        for point, colour in zip(chosen, layer_colours(len(chosen)) if chosen else [], strict=True):
            series = []
            for i in point.rows:
                if np.isfinite(rows.loss[i]) or rows.status[i] == "diverged":
                    at = dict(zip(data.final_loss.dims, map(int, np.unravel_index(i, shape)), strict=True))
                    series.append(np.asarray(curves.isel(at).values, float)[steps])
            if series:
                drawn.append(_curve(point, np.stack(series), steps, colour, roles))
        if drawn:
            views[place] = drawn
    if not views:
        return None
    caption = (
        "Training loss before each update: geometric mean over seeds, ended where a seed has no finite loss or stands "
        f"{GROWTH:g} times above its start."
        + (f" Every {data.sizes['step'] / len(steps):.2g}th step is drawn." if len(steps) < data.sizes["step"] else "")
        + (f" At most {MOST_CURVES} curves are drawn in a view; {left_out} of all views are not." if left_out else "")
    )
    series_name = str(roles.x or "")
    return Picture(CURVES, "Loss over steps", caption, Axis("step"), Axis("training loss", True), series_name,
                   _picks(rows, picks), views)  # fmt: skip


def _curve(point: Point, losses: np.ndarray, steps: np.ndarray, colour: str, roles: Roles) -> Series:
    usable = (np.isfinite(losses) & (losses > 0) & (losses <= GROWTH * losses[:, :1])).all(0)
    mean = np.full(len(steps), math.nan)
    mean[usable] = np.exp(np.log(losses[:, usable]).mean(0))
    name = f"{roles.x} {show(point.x)}" if roles.x else "loss"
    name += "".join(f", {n} {show(v)}" for n, v in zip(roles.free, point.free, strict=True))
    name += " (diverged)" if point.diverged else ""
    return Series(name, steps.tolist(), mean.tolist(), colour)


def _spread(count: int) -> list[int]:
    """All of few; of many, those spread evenly."""
    if count <= MOST_CURVES:
        return list(range(count))
    return [round(i * (count - 1) / (MOST_CURVES - 1)) for i in range(MOST_CURVES)]


def _thinned(last: int, most: int) -> np.ndarray:
    """So many steps at most, the first and the last among them."""
    return np.unique(np.linspace(0, last, min(last + 1, most)).round().astype(int))


def outlier_picture(rows: Rows, roles: Roles, read: Read) -> Picture | None:
    """Outliers at the last record against the size, at the rate of least loss; None where none were recorded."""
    along = roles.line if roles.line in SIZES else roles.x if roles.x in SIZES else None
    found: dict[tuple[Any, Any], list[xr.Dataset]] = {}
    rates: dict[tuple[Any, Any], str] = {}
    for key, (note, names) in list(_least(rows, roles, along).items()):
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
    for place, pick in _choices(rows, roles.picks):
        for layer in range(layers):
            here = {size: found[pick, size] for size in sizes if (pick, size) in found}
            notes = {size: rates[pick, size] for size in here}
            drawn = [s for m in range(MODES) if (s := _mode(here, notes, layer, m, colours[m], along)) is not None]
            drawn += [_edge(here, layer, along)] if here else []
            if drawn:
                views[*place, layer] = drawn
    picks = {**_picks(rows, roles.picks), "layer": [str(l) for l in range(layers)]}
    over = along or "trial"
    caption = (
        f"Largest singular values of a hidden weight matrix above its bulk at the last record, against {over}: mean "
        "over seeds and its standard error, at the best rate of the grid. Dashed: the edge of the bulk."
    )
    x = axis_of(over, sizes if along else ["best"], log=True)
    return Picture("outliers", f"Outliers against {over}", caption, x, Axis("singular value"), "", picks, views)


def _least(rows: Rows, roles: Roles, along: str | None) -> dict[tuple[Any, Any], tuple[str, list[str]]]:
    """The trials of least mean loss for each choice and size, and where along the rates they stand."""
    least: dict[tuple[Any, Any], Point] = {}
    for (pick, line), points in rows.points(roles).items():
        for p in points:
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


def _choices(rows: Rows, names: Sequence[str]) -> Iterable[tuple[tuple[int, ...], tuple[Any, ...]]]:
    return _places([rows.values(n) for n in names])


def _places(values: Sequence[Sequence[Any]]) -> Iterable[tuple[tuple[int, ...], tuple[Any, ...]]]:
    """Every combination of values, with the numbers of them."""
    numbered = itertools.product(*(list(enumerate(v)) for v in values))
    return [(tuple(i for i, _ in one), tuple(v for _, v in one)) for one in numbered]


def _picks(rows: Rows, names: Sequence[str]) -> dict[str, list[str]]:
    return {n: [show(v) for v in rows.values(n)] for n in names}


def _label(name: str) -> str:
    return LABELS.get(name, name.replace("_", " "))
