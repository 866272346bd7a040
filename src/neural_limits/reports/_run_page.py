"""The page of a training run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from ..runs import RunFolder
from ._common import REPORT, record_sections, status_line
from ._figures import captions, figures
from ._html import Html, details, element, image, page, section, table, text
from ._style import png
from ._tables import OUTLIER_HEADERS, OutlierRow, outlier_rows, summary_rows

MOST_ROWS = 2000


def write_report(folder: RunFolder) -> Path:
    """Draw a run's figures from its datasets and write them and ``report.html``; the page's path.

    One file that needs no network and holds no script; every text in it is escaped. Reads ``data.nc``,
    ``dense.nc`` where there is one, and run.json. OSError in one line where a dataset is missing or damaged.
    """
    if not folder.has("data.nc"):
        end = ": ".join(filter(None, (folder.status, folder.message)))
        raise FileNotFoundError(f"there is no data.nc in {folder.path} to report on; the run is {end}")
    data = folder.read_dataset("data.nc")
    dense = folder.read_dataset("dense.nc") if folder.has("dense.nc") else None
    drawn = {name: png(figure) for name, figure in figures(data, dense).items()}
    for name, content in drawn.items():
        folder.write_bytes(f"{name}.png", content)
    info, said = folder.info(), captions(data, dense)
    title = _title(folder, info, data)
    return folder.write_text(
        REPORT,
        page(
            title,
            element("h1", text(title)),
            status_line(folder),
            section("Summary", _summary(info, data, dense)),
            section("Figures", *(image(content, said[name]) for name, content in drawn.items())),
            section("Outliers", *_comparison(data, dense)),
            *record_sections(info),
        ),
    )


def _title(folder: RunFolder, info: Mapping[str, Any], data: xr.Dataset) -> str:
    configuration = info.get("configuration", {})
    if "task" not in configuration or "width" not in data.attrs:
        return folder.path.name
    network = configuration.get("network", "network")
    layers = data.sizes.get("layer", 0)
    matrices = "matrix" if layers == 1 else "matrices"
    return f"{configuration['task']}: {network} of width {data.attrs['width']}, {layers} hidden weight {matrices}"


def _summary(info: Mapping[str, Any], data: xr.Dataset, dense: xr.Dataset | None) -> Html:
    rows = summary_rows(info, data, dense)
    if dense is None:
        return table(("", "this run"), [row[:2] for row in rows], numbers=[1])
    return table(("", "this run", "dense beside it"), rows, numbers=[1, 2])


def _comparison(data: xr.Dataset, dense: xr.Dataset | None) -> list[Html]:
    """The last record's outliers, those of all records folded away."""
    rows = outlier_rows(data, dense)
    if not rows:
        return [element("p", text("No singular value left the bulk at any record."))]
    last = outlier_rows(data, dense, last=True)
    note = "Singular values above the bulk at the last record."
    if dense is not None and data.attrs.get("weights") == "conditioned":
        width = int(dense.attrs["width"])
        note += (
            f" Values of a dense network of width {width} scatter from seed to seed by the order of "
            f"n^(-1/2) = {width**-0.5:.2g}, relative to their size."
        )
    parts = [element("p", text(note)), _outlier_table(last)]
    if len(rows) > len(last):
        shown = rows[:MOST_ROWS]
        left_out = f", the first {MOST_ROWS} of {len(rows)} rows" if len(rows) > len(shown) else ""
        parts.append(details(f"All records{left_out}", _outlier_table(shown)))
    return parts


def _outlier_table(rows: list[OutlierRow]) -> Html:
    return table(OUTLIER_HEADERS, [row.cells() for row in rows], numbers=range(len(OUTLIER_HEADERS)))
