"""The page of a sweep: what was asked for, how it stands, best rates and their slopes, figures, trials."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ..runs import atomic_write, versions, writing_to
from ..sweeps import Sweep, open_sweep, read_curve
from ._common import REPORT, mapping
from ._html import Html, element, image, page, section, text
from ._interactive import STYLE, interactive, numbers, plotly_script, scripts
from ._picture import Picture
from ._still import still
from ._style import MOST_PANELS, png
from ._sweep_curves import CURVES, curves_picture
from ._sweep_listings import optima_sections
from ._sweep_losses import best_picture, loss_picture
from ._sweep_optima import Best, Slope, best_rows, optima_of, slope_rows
from ._sweep_outliers import outlier_picture
from ._sweep_rows import Rows
from ._sweep_standing import counts, request_tables, standing, time_now
from ._sweep_trials import trial_tables

FIGURES = "figures"
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
    trials take some five seconds.
    """
    sweep = open_sweep(path)
    data = sweep.data
    rows = Rows.of(data) if "final_loss" in data else None
    optima = optima_of(data) if rows else None
    best, slopes = (best_rows(data, optima), slope_rows(data, optima)) if rows else ([], [])
    pictures = _pictures(sweep, int(data.step[-1]), rows, best, slopes) if rows else []
    with writing_to(sweep.path):
        (sweep.path / FIGURES).mkdir(exist_ok=True)
    plotly = plotly_script()
    stills = {p.name: png(still(p)) for p in pictures if p.name != CURVES or not plotly}
    for name, content in stills.items():
        _write(sweep.path / FIGURES / f"{name}.png", content)
    drawn = [interactive(p) if plotly else _image(p, stills[p.name]) for p in pictures]
    now = sweep.status()
    parts = [
        element("h1", text(f"Sweep {sweep.path.resolve().name}")),
        standing(now, data),
        *optima_sections(best, slopes),
        *([section("Figures", *drawn)] if drawn else []),
        section("Trials", counts(now, rows), *(trial_tables(sweep.folder, rows) if rows else [])),
        section("What was asked for", *request_tables(sweep.folder.requests())),
        section("Versions", mapping({**versions(), "page written": time_now()})),
    ]
    runs = scripts(plotly) if plotly and pictures else []
    if runs:
        parts.append(numbers(pictures))
    title = f"Sweep {sweep.path.resolve().name}"
    _write(sweep.path / REPORT, page(title, *parts, scripts=runs, style=STYLE).encode("utf-8", "replace"))
    return SweepReport(sweep.path / REPORT, best, slopes, plotly is not None)


def _pictures(sweep: Sweep, last: int, rows: Rows, best: Sequence[Best], slopes: Sequence[Slope]) -> list[Picture]:
    roles = rows.roles()
    points = rows.points(roles)
    trials = sweep.folder.trials
    found = [
        loss_picture(rows, roles, points),
        best_picture(best, slopes),
        curves_picture(rows, roles, points, last, lambda name, state: read_curve(trials / name / state, last + 1)),
        outlier_picture(rows, roles, points, sweep.trial),
    ]
    return [picture for picture in found if picture is not None]


def _image(picture: Picture, content: bytes) -> Html:
    more = f" The first {MOST_PANELS} of {len(picture.views)} panels." if len(picture.views) > MOST_PANELS else ""
    return image(content, f"{picture.title}. {picture.caption}{more}")


def _write(path: Path, content: bytes) -> None:
    with atomic_write(path) as file:
        file.write(content)
