"""The page of an experiment: a claim, and the verdict on it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..runs import RunFolder
from ._common import REPORT, mood, pictures, record_sections, status_line
from ._html import Html, element, join, page, section, table, text
from ._tables import number

VERDICT = ("claim", "source", "measured", "criterion", "verdict")
MOST_ROWS = 40


def write_experiment_report(folder: RunFolder) -> Path:
    """Write an experiment's ``report.html`` from its folder; the page's path.

    Shows what run.json holds (``name``, ``claim``, ``source``, ``verdict``: a list of mappings with the
    fields claim, source, measured, criterion, verdict; ``captions``: by figure), the PNG files listed there,
    and the values in ``data.nc``. OSError in one line where the dataset is missing or damaged.
    """
    info = folder.info()
    title = info.get("title") or f"Experiment {info.get('name', folder.path.name)}"
    parts = [element("h1", text(title)), element("p", text(info.get("claim", "")))]
    if info.get("source"):
        parts.append(element("p", text(f"Source: {info['source']}"), kind="soft"))
    parts.append(status_line(folder))
    if info.get("verdict"):
        parts.append(section("Verdict", _count(info["verdict"]), verdict_table(info["verdict"])))
    figures = pictures(folder, info.get("captions", {}))
    if figures:
        parts.append(section("Figures", *figures))
    if folder.has("data.nc"):
        parts.append(section("Data", *dataset_tables(folder.read_dataset("data.nc"))))
    return folder.write_text(REPORT, page(title, *parts, *record_sections(info)))


def _count(rows: list[Mapping[str, Any]]) -> Html:
    """How many claims hold, fail, or stay undecided."""
    words = [str(row.get("verdict", "")) for row in rows]
    counts = [f"{word}: {words.count(word)}" for word in dict.fromkeys(words)]
    return element("p", text(f"{len(rows)} claims; {', '.join(counts)}."))


def verdict_table(rows: list[Mapping[str, Any]]) -> Html:
    """The verdict rows, holds and fails in colour."""
    head = element("thead", element("tr", *(element("th", text(name)) for name in VERDICT)))
    body = []
    for row in rows:
        cells = [element("td", text(row.get(name, ""))) for name in VERDICT[:-1]]
        word = str(row.get("verdict", ""))
        last = element("td", element("b", text(word)), kind=f"verdict {mood(word)}".strip())
        body.append(element("tr", *cells, last))
    return element("div", element("table", head, element("tbody", *body)), kind="scroll wide")


def dataset_tables(data: xr.Dataset) -> list[Html]:
    """Single values; one table for the variables along each dimension; an overview of the rest."""
    single = [name for name in data.data_vars if data[name].ndim == 0]
    lines: dict[str, list[str]] = {}
    for name in data.data_vars:
        if data[name].ndim == 1:
            lines.setdefault(str(data[name].dims[0]), []).append(str(name))
    parts = []
    if single:
        parts.append(table(("value", "", "meaning"), [(n, _cell(data[n].values), _meaning(data[n])) for n in single]))
    parts += [_along(data, dimension, names) for dimension, names in lines.items()]
    rest = [_overview(str(name), data[name]) for name in data.data_vars if data[name].ndim > 1]
    if rest:
        columns = 5 if any(row[-1] for row in rest) else 4  # no meanings, no column for them
        headers = ("array", "dimensions", "smallest", "largest", "meaning")
        parts.append(table(headers[:columns], [row[:columns] for row in rest], numbers=[2, 3]))
    return parts


def _along(data: xr.Dataset, dimension: str, names: list[str]) -> Html:
    """Variables over one dimension, side by side."""
    count = data.sizes[dimension]
    columns = [data[dimension].values, *(data[name].values for name in names)]
    rows = [[_cell(column[i]) for column in columns] for i in range(min(count, MOST_ROWS))]
    listing = table((dimension, *names), rows, numbers=range(len(columns)))
    if count > MOST_ROWS:
        note = text(f"The first {MOST_ROWS} of {count} rows; all are in data.nc.")
        return join([listing, element("p", note, kind="soft")])
    return listing


def _overview(name: str, values: xr.DataArray) -> tuple[str, ...]:
    sizes = " × ".join(f"{dim} {size}" for dim, size in values.sizes.items())
    if values.dtype.kind not in "biuf" or not np.isfinite(values.values).any():
        return name, sizes, "–", "–", _meaning(values)
    return name, sizes, number(float(values.min())), number(float(values.max())), _meaning(values)


def _meaning(values: xr.DataArray) -> str:
    unit = values.attrs.get("units", "")
    return f"{values.attrs.get('long_name', '')}{f' [{unit}]' if unit not in ('', '1') else ''}"


def _cell(value: Any) -> str:
    value = value.item() if isinstance(value, np.generic | np.ndarray) and np.ndim(value) == 0 else value
    return number(value) if isinstance(value, float) else str(value)
