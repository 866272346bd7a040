"""Pictures on a page, drawn by plotly: zoom, hover, native controls, and the same numbers as a table."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from ._html import Html, join, text
from ._picture import Axis, Picture, Series

DIGITS = 6
STYLE = """
.picks { display: flex; flex-wrap: wrap; gap: .5rem .9rem; align-items: end; margin: .4rem 0 .6rem; }
.picks label { display: grid; gap: .15rem; font-size: .85rem; color: var(--soft); max-width: 100%; }
.picks select, .picks button { font: inherit; font-size: .95rem; color: var(--ink); background: var(--panel);
  border: 1px solid var(--soft); border-radius: 4px; padding: .3rem .5rem; min-height: 2.2rem; max-width: 100%; }
.picks button { min-width: 2.2rem; cursor: pointer; }
.plot { background: #fff; color: #1b1f24; border: 1px solid var(--line); border-radius: 4px; height: 27rem;
  overflow: hidden; }
.key { display: flex; flex-wrap: wrap; gap: .1rem .4rem; list-style: none; margin: .4rem 0 0; padding: 0;
  font-size: .88rem; }
.key li { padding: .1rem .2rem; }
.key button { font: inherit; color: var(--ink); background: none; border: 0; padding: .15rem .3rem;
  margin: -.1rem -.2rem; cursor: pointer; border-radius: 4px; }
.key button[aria-pressed="false"] { opacity: .5; text-decoration: line-through; }
.said { min-height: 1.4rem; margin: .35rem 0 0; font-size: .9rem; }
:focus-visible { outline: 3px solid #0072B2; outline-offset: 2px; }
.reasons td:nth-last-child(2) { min-width: 13rem; }
figure .scroll { max-height: 24rem; overflow: auto; }
@media (max-width: 600px) { .plot { height: 24rem; } }
"""


def plotly_script() -> str | None:
    """The code of plotly.js; None where plotly is not installed."""
    try:
        from plotly.offline import get_plotlyjs
    except ModuleNotFoundError:
        return None
    return get_plotlyjs().replace("\r\n", "\n")


def scripts(plotly: str) -> list[str]:
    """What a page with interactive pictures runs: plotly.js, and what ties the controls to it."""
    return [plotly, (files(__package__) / "interactive.js").read_text(encoding="utf-8")]


def interactive(picture: Picture) -> Html:
    """A picture's controls, its place, its caption, and the place of its table."""
    name, title = text(picture.name), text(picture.title)
    selects = [
        f'<label>{text(field)}<select data-pick="{i}" aria-controls="plot-{name}">'
        + "".join(f'<option value="{j}">{text(label)}</option>' for j, label in enumerate(labels))
        + "</select></label>"
        for i, (field, labels) in enumerate(picture.picks.items())
    ]
    buttons = [
        f'<button type="button" data-zoom="{zoom}" aria-label="{label}: {title}">{sign}</button>'
        for zoom, label, sign in (("in", "Zoom in", "+"), ("out", "Zoom out", "−"), ("all", "Show all", "all"))
    ]
    hint = "Arrow keys read the points; the numbers are in a table below."
    return Html(
        f'<figure class="interactive" id="{name}"><h3>{title}</h3>\n'
        f'<div class="picks">{"".join(selects + buttons)}</div>\n'
        f'<div class="plot" id="plot-{name}" tabindex="0" role="group" aria-label="{title}. {hint}"></div>\n'
        f'<ul class="key" aria-label="Lines: {title}"></ul>\n<p class="said" aria-live="polite"></p>\n'
        f"<figcaption>{text(picture.caption)}</figcaption>\n"
        "<details><summary>The numbers in this figure</summary>"
        f'<div class="scroll" tabindex="0" role="region" aria-label="Numbers: {title}"></div></details></figure>'
    )


def numbers(pictures: Sequence[Picture]) -> Html:
    """What the figures show, as a block of JSON that nothing runs."""
    found = json.dumps([_plain(p) for p in pictures], separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    for sign in "<>&\u2028\u2029":
        found = found.replace(sign, f"\\u{ord(sign):04x}")
    return join([Html(f'<script type="application/json" id="numbers">{found}</script>')])


def _plain(picture: Picture) -> dict[str, Any]:
    views = {",".join(map(str, place)): [_series(s) for s in drawn] for place, drawn in picture.views.items()}
    x, y = _axis(picture.x), _axis(picture.y)
    return {"name": picture.name, "series": picture.series, "x": x, "y": y, "views": views}


def _axis(axis: Axis) -> dict[str, Any]:
    return {"label": axis.label, "log": axis.log, "ticks": list(axis.ticks)}


def _series(series: Series) -> dict[str, Any]:
    found: dict[str, Any] = {"name": series.name, "colour": series.colour, "look": series.look}
    found |= {"x": [_short(v) for v in series.x], "y": [_short(v) for v in series.y]}
    if any(series.notes):
        found["notes"] = series.notes
    if any(series.hollow):
        found["hollow"] = series.hollow
    if any(map(math.isfinite, series.low)):
        found |= {"low": [_short(v) for v in series.low], "high": [_short(v) for v in series.high]}
    return found


def _short(value: Any) -> Any:
    """A number to six digits, null where there is none."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
