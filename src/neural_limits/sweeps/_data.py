"""All trials of a sweep as one labelled dataset over the fields that vary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy import ndarray

from ._curves import curves
from ._folder import Found, SweepFolder, is_result
from ._trial import Damaged

SPARSE = 20  # cells for a trial up to which the grid is laid out in full; beyond it trials stand in one row
ABSENT = "missing"


class Row(NamedTuple):
    """One trial: what it is and what came of it."""

    found: Found
    values: dict[str, Any]
    state: str
    summary: Mapping[str, Any]


def dataset(folder: SweepFolder) -> xr.Dataset:
    """final_loss, status, seconds, trial_name over the fields that vary, and the curve loss with ``step`` besides.

    Dimensions: the fields of the grids, then any other of a base in which trials differ (defaults that follow from
    these, as momentum does from the optimizer, are none); random samples are a dimension ``trial`` with the fields
    drawn along it. A diverged trial has final_loss inf; one that failed, is damaged, not
    finished or not there NaN, and `status` says which. Curves are read when they are used, shorter ones padded
    with NaN. ``attrs["problems"]``: a line for each trial that cannot be read.
    """
    rows, problems = _rows(folder)
    if not rows:
        return xr.Dataset(attrs={"problems": problems})
    requests = folder.requests()
    drawn = [name for name in dict.fromkeys(n for r in requests for n in r.sampled) if _varies(name, rows)]
    asked = [n for n in dict.fromkeys(n for r in requests for n in r.fields) if n in rows[0].values]
    given = {name for request in requests for name in request.base}
    others = [n for n in rows[0].values if n in given and n not in (*asked, *drawn) and _varies(n, rows)]
    fields = [name for name in (*asked, *others) if name not in drawn]
    axes = {name: _labels(name, rows, requests) for name in fields}
    if np.prod([len(labels) for labels in axes.values()], dtype=float) > SPARSE * len(rows):
        drawn, fields, axes = [*fields, *drawn], [], {}
    samples = list(dict.fromkeys(tuple(row.values[n] for n in drawn) for row in rows)) if drawn else []
    coordinates: dict[str, Any] = dict(axes)
    if drawn:
        axes["trial"] = list(range(len(samples)))
        for i, name in enumerate(drawn):
            coordinates[name] = ("trial", _column([sample[i] for sample in samples]))
    place = {name: {label: i for i, label in enumerate(labels)} for name, labels in axes.items()}
    at = [
        tuple(place[n][_label(row.values[n])] for n in fields)
        + ((samples.index(tuple(row.values[n] for n in drawn)),) if drawn else ())
        for row in rows
    ]
    return _laid_out(rows, at, axes, coordinates, problems)


def _rows(folder: SweepFolder) -> tuple[list[Row], list[str]]:
    """Every trial that can be read, and a line for each that cannot."""
    rows, problems = [], []
    for found in folder.scan():
        state, summary = found.state, {}
        try:
            values = {k: tuple(v) if isinstance(v, list) else v for k, v in _canonical(folder, found.name).items()}
        except (Damaged, OSError) as error:
            problems.append(str(error))
            continue
        if is_result(state):
            try:
                summary = folder.summary(found)
            except Damaged as error:
                state = "damaged"
                problems.append(str(error))
        rows.append(Row(found, values, state, summary))
    return rows, problems


def _canonical(folder: SweepFolder, name: str) -> dict[str, Any]:
    return folder.configuration(name).plain()


def _varies(name: str, rows: Sequence[Row]) -> bool:
    return any(row.values.get(name) != rows[0].values.get(name) for row in rows)


def _label(value: Any) -> Any:
    """A value as a coordinate: numbers and text as they are, the rest as text."""
    if isinstance(value, int | float | str):
        return value
    return "none" if value is None else ",".join(map(str, value)) or "none"


def _labels(name: str, rows: Sequence[Row], requests: Sequence[Any]) -> list[Any]:
    """The values of a field: numbers in their order, others in the order of the grids."""
    found = {_label(row.values.get(name)) for row in rows}
    if all(isinstance(label, int | float) for label in found):
        return sorted(found)
    asked = [_label(value) for r in requests for value in r.grid.get(name, ())]
    return [label for label in dict.fromkeys([*asked, *sorted(map(str, found))]) if label in found]


def _column(values: Sequence[Any]) -> ndarray:
    return np.array([_label(value) for value in values])


def _laid_out(
    rows: Sequence[Row],
    at: Sequence[tuple[int, ...]],
    axes: Mapping[str, Sequence[Any]],
    coordinates: Mapping[str, Any],
    problems: list[str],
) -> xr.Dataset:
    """The rows in their cells."""
    shape, dims = tuple(map(len, axes.values())), tuple(axes)
    final, seconds = np.full(shape, np.nan), np.full(shape, np.nan)
    status, name = np.full(shape, ABSENT, "<U16"), np.full(shape, "", "<U20")
    paths = np.full(shape, None, object)
    for row, cell in zip(rows, at, strict=True):
        status[cell], name[cell] = row.state, row.found.name
        if row.summary:
            final[cell], seconds[cell] = float(row.summary["loss"]), float(row.summary["seconds"])
            paths[cell] = row.found.folder
    steps = max(int(row.values["steps"]) for row in rows)
    single = all(row.values["dtype"] == "float32" for row in rows)
    data = xr.Dataset(coords={**coordinates, "step": np.arange(steps + 1)})
    data["loss"] = xr.Variable(
        (*dims, "step"), curves(paths, steps + 1, np.dtype("float32" if single else "float64")),
        {"long_name": "training loss", "units": "1"},
    )  # fmt: skip
    data["final_loss"] = (dims, final, {"long_name": "training loss at the end; inf: diverged", "units": "1"})
    data["status"] = (dims, status, {"long_name": "how the trial stands"})
    data["seconds"] = (dims, seconds, {"long_name": "time the trial took", "units": "s"})
    data["trial_name"] = (dims, name, {"long_name": "name of the trial's folder"})
    return data.assign_attrs(problems=problems)
