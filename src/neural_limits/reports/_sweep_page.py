"""The page of a sweep: what was asked for, how it stands, best rates and their slopes, figures, trials."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import xarray as xr

from ..runs import atomic_write, versions
from ..sweeps import Request, Status, Sweep, SweepFolder, open_sweep
from ._common import mapping, show
from ._html import Html, element, image, join, page, section, table, text
from ._interactive import STYLE, interactive, numbers, plotly_script, scripts
from ._picture import Picture
from ._run_page import REPORT
from ._still import still
from ._style import MOST_PANELS, png
from ._sweep_optima import MEANING, Best, Slope, best_rows, optima_of, slope_rows, with_error
from ._sweep_rows import Rows
from ._sweep_rows import show as field
from ._sweep_views import CURVES, best_picture, curves_picture, loss_picture, outlier_picture

FIGURES = "figures"
MOST_TRIALS = 200  # in a table
MOST_PLACES = 120  # best rates and slopes in a table
INSTALL = "pip install 'neural-limits[report]'"


class SweepReport(NamedTuple):
    """What was written, and the numbers that a command tells."""

    page: Path
    best: list[Best]
    slopes: list[Slope]
    interactive: bool


def write_sweep_report(path: str | os.PathLike[str]) -> SweepReport:
    """Write ``report.html`` and ``figures/*.png`` into a sweep's folder, finished or not.

    The page needs no network: plotly.js stands in it, once. Without plotly its figures are still pictures, and
    ``interactive`` is false. OSError in one line where the folder holds no sweep or cannot be written to. Ten thousand
    trials take some twenty seconds.
    """
    sweep = open_sweep(path)
    data = sweep.data
    rows = Rows.of(data) if "final_loss" in data else None
    optima = optima_of(data) if rows else None
    best, slopes = (best_rows(data, optima), slope_rows(data, optima)) if rows else ([], [])
    pictures = _pictures(sweep, data, rows, best, slopes) if rows else []
    (sweep.path / FIGURES).mkdir(exist_ok=True)
    plotly = plotly_script()
    stills = {p.name: png(still(p)) for p in pictures if p.name != CURVES or not plotly}
    for name, content in stills.items():
        _write(sweep.path / FIGURES / f"{name}.png", content)
    drawn = [interactive(p) if plotly else _image(p, stills[p.name]) for p in pictures]
    now = sweep.status()
    parts = [
        element("h1", text(f"Sweep {sweep.path.resolve().name}")),
        _standing(now, data),
        *_optima(best, slopes),
        *([section("Figures", *drawn)] if drawn else []),
        section("Trials", _counts(now, rows), *(_trials(sweep.folder, rows) if rows else [])),
        section("What was asked for", *(_request(request) for request in sweep.folder.requests())),
        section("Versions", mapping({**versions(), "page written": _time()})),
    ]
    runs = scripts(plotly) if plotly and pictures else []
    if runs:
        parts.append(numbers(pictures))
    title = f"Sweep {sweep.path.resolve().name}"
    _write(sweep.path / REPORT, page(title, *parts, scripts=runs, style=STYLE).encode("utf-8", "replace"))
    return SweepReport(sweep.path / REPORT, best, slopes, plotly is not None)


def _pictures(
    sweep: Sweep, data: xr.Dataset, rows: Rows, best: Sequence[Best], slopes: Sequence[Slope]
) -> list[Picture]:
    roles = rows.roles()
    found = [
        loss_picture(rows, roles),
        best_picture(best, slopes),
        curves_picture(data, rows, roles),
        outlier_picture(rows, roles, sweep.trial),
    ]
    return [picture for picture in found if picture is not None]


def _image(picture: Picture, content: bytes) -> Html:
    more = f" The first {MOST_PANELS} of {len(picture.views)} panels." if len(picture.views) > MOST_PANELS else ""
    return image(content, f"{picture.title}. {picture.caption}{more}")


def _write(path: Path, content: bytes) -> None:
    with atomic_write(path) as file:
        file.write(content)


def _time() -> str:
    return datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")


# -- how it stands -----------------------------------------------------------------------------------------


def _standing(now: Status, data: xr.Dataset) -> Html:
    """Whether all is done, in one line; what cannot be read, below it."""
    bad = now.counts["failed"] + now.counts["damaged"]
    if not now.total:
        kind, word, rest = "", "not begun", "no trial is there yet"
    elif now.open:
        kind, word = "", "not finished"
        rest = f"{now.finished} of {now.total} trials have a result; this page shows what was there on {_time()}"
    else:
        kind, word = ("bad", "finished with failures") if bad else ("good", "finished")
        rest = f"{now.finished} of {now.total} trials have a result" + (f", {bad} failed or are damaged" if bad else "")
    line = element("p", element("b", text(word)), text(f": {rest}."), kind=f"status {kind}".strip())
    problems = data.attrs.get("problems", [])
    return join([line, *(element("p", text(f"Warning: {problem}"), kind="soft") for problem in problems[:20])])


def _counts(now: Status, rows: Rows | None) -> Html:
    counts = {state.replace("_", " "): count for state, count in now.counts.items() if count}
    absent = int((rows.status == "missing").sum()) if rows else 0
    if absent:
        counts["points of the grid without a trial"] = absent
    return table(("state", "trials"), [*counts.items(), ("all trials", now.total)], numbers=[1])


def _request(request: Request) -> Html:
    """A request as rows: a field, how it varies, its values."""
    rows: list[tuple[str, str, str]] = [(name, "fixed", show(value)) for name, value in request.base.items()]
    rows += [(name, "grid", ", ".join(field(v) if isinstance(v, float) else show(v) for v in values))
             for name, values in request.grid.items()]  # fmt: skip
    for kind, entries in (("random", request.random), ("halving", request.halving)):
        rows += [(name, kind, _spec(value)) for name, value in entries.items()]
    return table(("field", "", "values"), rows)


def _spec(value: Any) -> str:
    return ", ".join(f"{k} {show(v)}" for k, v in value.items()) if isinstance(value, dict) else show(value)


# -- optima ------------------------------------------------------------------------------------------------


class Listing(NamedTuple):
    """A table as text."""

    headers: tuple[str, ...]
    cells: list[tuple[str, ...]]
    right: list[int]


def best_listing(best: Sequence[Best]) -> Listing:
    """Best rates: where, the rate with its error, what to know."""
    names = tuple(best[0].place) if best else ()
    cells = [(*map(field, b.place.values()), with_error(b.rate, b.rate * b.error), b.remark) for b in best]
    return Listing((*names, "best rate", "remark"), cells, [len(names)])


def slope_listing(slopes: Sequence[Slope]) -> Listing:
    """Slopes: over what, where, the slope with its error, what to know."""
    names = tuple(dict.fromkeys(n for s in slopes for n in s.place))
    cells = [
        (s.of, s.over, *(field(s.place.get(n, "–")) for n in names), with_error(s.slope, s.error), s.remark)
        for s in slopes
    ]
    return Listing(("of", "over", *names, "slope", "remark"), cells, [2 + len(names)])


def _optima(best: Sequence[Best], slopes: Sequence[Slope]) -> list[Html]:
    parts = []
    if best:
        note = "Least geometric mean of the final loss over seeds; standard errors from resampled seeds. " + MEANING
        shown = _first(best_listing(best))
        parts.append(section("Best learning rates", element("p", text(note), kind="soft"), *shown))
    if slopes:
        note = "Of the logarithm in the logarithm of the size, by least squares; standard errors from resampled seeds."
        note += " A slope of zero of the best rate: rates transfer." if best else ""
        shown = _first(slope_listing(slopes))
        parts.append(section("Slopes", element("p", text(note), kind="soft"), *shown))
    return parts


def _first(listing: Listing) -> list[Html]:
    """A table of the first rows, and how many are left out."""
    parts = [table(listing.headers, listing.cells[:MOST_PLACES], numbers=listing.right)]
    if len(listing.cells) > MOST_PLACES:
        left = f"The first {MOST_PLACES} of {len(listing.cells)} rows; all are in nl.open_sweep(DIR).data."
        parts.append(element("p", text(left), kind="soft"))
    return parts


# -- trials ------------------------------------------------------------------------------------------------


def _trials(folder: SweepFolder, rows: Rows) -> list[Html]:
    """All of few trials, the best first; of many the best ten and those without a completed result, with reasons."""
    present = [i for i in range(len(rows.loss)) if rows.status[i] != "missing"]
    order = sorted(present, key=lambda i: (math.isnan(rows.loss[i]), rows.loss[i], i))
    if len(present) <= MOST_TRIALS:
        return [_listing(folder, rows, order)]
    odd = [i for i in present if rows.status[i] != "completed"]
    kinds = Counter(rows.status[odd].tolist())
    known = [i for i in order[:10] if rows.status[i] == "completed"]
    parts = [element("h3", text("The ten of least final loss")), _listing(folder, rows, known)]
    if odd:
        words = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in kinds.items())
        odd = sorted(odd, key=lambda i: rows.status[i] not in ("failed", "damaged"))
        left = f" The first {MOST_TRIALS} are shown." if len(odd) > MOST_TRIALS else ""
        parts += [
            element("h3", text("Without a completed result")),
            element("p", text(f"{words}.{left}"), kind="soft"),
            _listing(folder, rows, odd[:MOST_TRIALS]),
        ]
    return parts


def _listing(folder: SweepFolder, rows: Rows, chosen: Sequence[int]) -> Html:
    cells = []
    for i in chosen:
        values = (field(column[i].item()) for column in rows.columns.values())
        name, state = str(rows.name[i]), str(rows.status[i])
        cells.append((*values, state.replace("_", " "), _loss(rows.loss[i]), folder.reason(folder.find(name)), name))
    headers = (*rows.columns, "state", "final loss", "reason", "folder in trials/")
    return table(headers, cells, numbers=[len(rows.columns) + 1])


def _loss(value: float) -> str:
    return "–" if not abs(value) < float("inf") else f"{value:.5g}"
