"""Loss over steps, one curve a rate."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy import ndarray

from ._picture import Axis, Picture, Series
from ._style import layer_colours
from ._sweep_choices import choices, picks
from ._sweep_rows import ABSENT, Point, Points, Roles, Rows, show

CURVES = "loss-over-steps"
MOST_CURVES = 12  # in one view
MOST_NUMBERS = 60_000  # in all views of the curves
GROWTH = 1e3  # a curve is cut where it stands so many times above its start

Read = Callable[[str, str], ndarray]  # the curve of a trial by its name and state, NaN beyond its end


def curves_picture(rows: Rows, roles: Roles, points: Points, last: int, read: Read) -> Picture | None:
    """Loss over the steps up to the last, one curve a rate; chosen by the width and the other fields."""
    fields = (*roles.picks, roles.line) if roles.line else roles.picks
    count = sum(min(len(p), MOST_CURVES) for p in points.values())
    steps = _thinned(last, max(MOST_NUMBERS // max(count, 1), 8))
    views: dict[tuple[int, ...], list[Series]] = {}
    left_out = 0
    for place, pick in choices(rows, fields):
        here = points.get((pick[:-1], pick[-1]) if roles.line else (pick, None), [])
        known = [p for p in here if p.states.total() > p.states[ABSENT]]
        chosen = [known[i] for i in _spread(len(known))]
        left_out += len(known) - len(chosen)
        drawn = []
        for point, colour in zip(chosen, layer_colours(len(chosen)) if chosen else [], strict=True):
            ended = [i for i in point.rows if np.isfinite(rows.loss[i]) or rows.status[i] == "diverged"]
            if ended:
                losses = np.stack([read(str(rows.name[i]), str(rows.status[i]))[steps] for i in ended])
                drawn.append(_curve(point, losses, steps, colour, roles))
        if drawn:
            views[place] = drawn
    if not views:
        return None
    caption = (
        "Training loss before each update: geometric mean over seeds, ended where a seed has no finite loss or stands "
        f"{GROWTH:g} times above its start."
        + (f" Every {(last + 1) / len(steps):.2g}th step is drawn." if len(steps) <= last else "")
        + (f" At most {MOST_CURVES} curves are drawn in a view; {left_out} of all views are not." if left_out else "")
    )
    title, y = "Loss over steps", Axis("training loss", True)
    return Picture(CURVES, title, caption, Axis("step"), y, str(roles.x or ""), picks(rows, fields), views)


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
