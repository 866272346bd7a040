"""Final loss of a sweep against the rate, and the best rate against the size."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ._picture import Axis, Picture, Series, axis_of
from ._style import layer_colours
from ._sweep_choices import choices, label, picks, places
from ._sweep_optima import ZERO, Best, Slope, with_error
from ._sweep_rows import RATE, SIZES, Point, Points, Roles, Rows, show


def loss_picture(rows: Rows, roles: Roles, points: Points) -> Picture | None:
    """Final loss against the rate, one line a width."""
    if roles.x is None:
        return None
    known = [p.mean for line in points.values() for p in line if p.mean > 0]
    top, bottom = (2.0 * max(known), 0.5 * min(known)) if known else (2.0, 0.5)
    lines = rows.values(roles.line)
    colours = dict(zip(lines, layer_colours(len(lines)), strict=True))
    series = str(roles.line or "")
    views = {}
    for place, pick in choices(rows, roles.picks):
        drawn: list[Series] = []
        for i, line in enumerate(lines):
            here = points.get((pick, line), [])
            name = f"{series} {show(line)}" if roles.line else "all trials"
            apart = 1.4 ** min(i, 6)  # marks of several lines at one rate must not hide each other
            drawn += _line(name, here, colours[line], roles, (bottom / apart, top * apart))
        views[place] = drawn
    caption = (
        f"Loss after the last update over the {label(roles.x)}: geometric mean over seeds; the bars are the "
        "seeds' range, not an error. Crosses at the top: diverged for some seed. Open marks at the foot: no result."
    )
    x = axis_of(label(roles.x), rows.values(roles.x), log=True if roles.x == RATE else None)
    title = f"Final loss against the {label(roles.x)}"
    return Picture("final-loss", title, caption, x, Axis("final loss", True), series, picks(rows, roles.picks), views)


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
    series, chosen = (others[0] if others else None), others[1:]
    if any(len(varying[n]) > 40 for n in others):
        return None
    colours = layer_colours(len(varying[series])) if series else layer_colours(1)
    views = {}
    for place, pick in places([varying[n] for n in chosen]):
        drawn = []
        for value, colour in zip(varying[series] if series else [None], colours, strict=True):
            want = dict(zip(chosen, pick, strict=True)) | ({series: value} if series else {})
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
    labels = {n: [show(v) for v in varying[n]] for n in chosen}
    x, y = axis_of(over, varying[over], log=True), Axis("best learning rate", True)
    return Picture("best-rate", f"Best learning rate against {over}", caption, x, y, series or "", labels, views)


def _percent(error: float) -> str:
    return "" if not error > ZERO else f"± {100 * error:.2g} %"
