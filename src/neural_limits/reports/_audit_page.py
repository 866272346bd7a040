"""The page of an audit: a row for each matrix, and its spectrum."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from ..runs import RunFolder
from ._audit_figures import MOST_KINDS, MOST_PAGES, audit_figures
from ._common import REPORT, record_sections, status_line
from ._html import Html, element, image, page, section, table, text
from ._style import MOST_PANELS, png
from ._tables import MISSING

AUDIT_HEADERS = (
    "matrix", "shape", "type", "std", "top", "edge", "outliers", "separated", "bulk", "bulk shift", "stable rank",
    "energy", "status",
)  # fmt: skip
CHANGE_HEADERS = "matrix", "std at the start", "top of the change", "stable rank of the change", "next values"
AUDIT_NUMBERS = (3, 4, 5, 6, 7, 9, 10, 11)


def write_audit_report(folder: RunFolder) -> Path:
    """Draw an audit's figures from ``data.nc`` and write them and ``report.html``; the page's path.

    OSError in one line where the dataset is missing or damaged.
    """
    data = folder.read_dataset("data.nc")
    drawn = {name: png(figure) for name, figure in audit_figures(data).items()}
    for name, content in drawn.items():
        folder.write_bytes(f"{name}.png", content)
    info = folder.info()
    title = str(info.get("title") or folder.path.name)
    pictures = {name: image(content, _caption(name, data)) for name, content in drawn.items()}
    parts = [element("h1", text(title)), status_line(folder)]
    if "depth" in pictures:
        parts.append(section("Over depth", pictures.pop("depth")))
    parts.append(section("Matrices", *_matrices(data)))
    if np.isfinite(data.change_top).any():
        rows = audit_change_rows(data)
        parts.append(section("Change from the start", table(CHANGE_HEADERS, rows, numbers=range(1, 5), tight=True)))
    if pictures:
        parts.append(section("Spectra", *pictures.values()))
    return folder.write_text(REPORT, page(title, *parts, *record_sections(info)))


def _matrices(data: xr.Dataset) -> list[Html]:
    alarm = float(data.attrs["false_alarm"])
    note = (
        "edge: of the bulk as it is now, the initial one where that is unknown. outliers: singular values above the "
        "initial level; separated: above the present one, or beyond a wide gap of a deformed bulk. bulk shift: its "
        "scale over the initial one, less 1. energy: the share of the squared singular values in those separated. "
        f"Levels are passed by noise with probability {alarm:g} a matrix; of {data.sizes['matrix']} matrices of noise "
        f"{alarm * data.sizes['matrix']:.2g} would show an outlier."
    )
    parts = [
        table(AUDIT_HEADERS, audit_rows(data), numbers=AUDIT_NUMBERS, tight=True),
        element("p", text(note), kind="soft"),
    ]
    if data.attrs.get("left_out"):
        parts.append(element("p", text(f"Left out, not floating-point: {data.attrs['left_out']}."), kind="soft"))
    return parts


def audit_rows(data: xr.Dataset) -> list[tuple[str, ...]]:
    """The cells of `AUDIT_HEADERS`, a row a matrix in the file's order; – for what is unknown."""
    edge = data.bulk_edge.fillna(data.edge).values
    return [
        (
            str(name), *(cell.replace(" x ", "×") for cell in _texts(data, i, ("shape", "dtype"))),
            _cell(data["std"].values[i]), _cell(data.top.values[i]), _cell(edge[i]),
            _whole(data, "outliers", i), _whole(data, "separated", i),
            *_texts(data, i, ("bulk",)), _percent(data.bulk_shift.values[i], "+.1%"),
            _cell(data.stable_rank.values[i]), _percent(data.outlier_energy.values[i], ".1%"),
            *_texts(data, i, ("status",)),
        )
        for i, name in enumerate(data.matrix.values)
    ]  # fmt: skip


def audit_change_rows(data: xr.Dataset) -> list[tuple[str, ...]]:
    """The cells of `CHANGE_HEADERS` for the matrices whose start is known."""
    rows = []
    for i, name in enumerate(data.matrix.values):
        values = data.change_singular_value.values[i, 1:6]
        if np.isfinite(data.change_top.values[i]):
            cells = (_cell(data[field].values[i]) for field in ("init_std", "change_top", "change_stable_rank"))
            rows.append((str(name), *cells, ", ".join(_cell(v) for v in values if np.isfinite(v))))
    return rows


def _texts(data: xr.Dataset, i: int, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(data[name].values[i]) or MISSING for name in names)


def _cell(value: float) -> str:
    return f"{float(value):.4g}" if np.isfinite(value) else MISSING


def _percent(value: float, form: str) -> str:
    return format(float(value), form) if np.isfinite(value) else MISSING


def _whole(data: xr.Dataset, name: str, i: int) -> str:
    """A count; of a list cut short all of whose values lie above, at least so many."""
    value = data[name].values[i]
    if not np.isfinite(value):
        return "–"
    known = data.known.values[i]
    cut = known < min(data["rows"].values[i], data["columns"].values[i]) and value == known
    return f"{'≥ ' if cut else ''}{int(value)}"


def _caption(name: str, data: xr.Dataset) -> str:
    if name == "depth":
        return (
            f"Kinds of matrix over depth, the {MOST_KINDS} with the most matrices at most; the edge is that of the "
            "bulk, or of the start where that is unknown. Dashed: the edge itself."
        )
    shown, known = MOST_PAGES * MOST_PANELS, int(np.sum(data.known.values > 0))
    some = f" {shown} of {known} matrices are drawn, spread evenly." if known > shown else ""
    return (
        "Singular values, and the Marchenko-Pastur law of noise at the scale of the bulk (and at the initial scale, "
        f"where it is known and another). Open circles: values separated from the bulk.{some}"
    )
