"""All trials of a sweep as one labelled dataset over the fields that vary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy import ndarray

from ._curves import curves
from ._folder import Found, SweepFolder, is_result
from ._request import Request, trial_name
from ._trial import Damaged

SPARSE = 20  # cells for a trial up to which the grid is laid out in full; beyond it trials stand in one row
ABSENT, UNASKED = "missing", "not asked"
FORMS = ("weights", "tolerance", "dtype")  # how a network is computed, not which: no dimension if another one fixes it


class Row(NamedTuple):
    """One trial: what it is and what came of it."""

    found: Found
    values: dict[str, Any]
    state: str
    summary: Mapping[str, Any]


def dataset(folder: SweepFolder, only: Request | None = None) -> xr.Dataset:
    """final_loss, status, seconds, trial_name over the fields that vary, and the curve loss with ``step`` besides.

    Dimensions: the fields of the grids, then any other in which trials differ; random samples are a dimension
    ``trial`` with the fields drawn along it. Where each width has one form of weights (dense up to some width, say),
    that is a coordinate along the widths. A diverged trial has final_loss inf; one that failed, is damaged, not
    finished, not there, or that no grid asked for, NaN, and `status` says which. Curves are read when they are used,
    shorter ones padded with NaN. ``attrs["problems"]``: a line for each trial that cannot be read. ``only``: the
    trials of one request without [halving] or Optuna.
    """
    rows, problems = _rows(folder, only)
    if not rows:
        return xr.Dataset(attrs={"problems": problems})
    requests = folder.requests() if only is None else [only]
    drawn = [name for name in dict.fromkeys(n for r in requests for n in r.sampled) if _varies(name, rows)]
    asked = [n for n in dict.fromkeys(n for r in requests for n in r.fields) if n in rows[0].values]
    others = [n for n in rows[0].values if n not in (*asked, *drawn) and _varies(n, rows)]
    fixed = _fixed(asked, others, rows)
    fields = [name for name in (*asked, *others) if name not in (*drawn, *fixed)]
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
    coordinates |= {
        name: (along, _told(name, along, axes[along], rows)) for name, along in fixed.items() if along in axes
    }
    return _laid_out(rows, at, axes, coordinates, _asked(requests, axes), problems)


def _rows(folder: SweepFolder, only: Request | None) -> tuple[list[Row], list[str]]:
    """Every trial that can be read, and a line for each that cannot."""
    rows, problems = [], []
    chosen = folder.scan() if only is None else map(folder.find, map(trial_name, only.required({})))
    for found in chosen:
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
    return folder.configuration(name).canonical()


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
    return [label for label in dict.fromkeys([*asked, *sorted(found, key=str)]) if label in found]


def _fixed(asked: Sequence[str], others: Sequence[str], rows: Sequence[Row]) -> dict[str, str]:
    """The forms that another field fixes in every trial, with that field."""
    fields, fixed = [*asked, *(name for name in others if name not in FORMS)], {}
    for name in (form for form in FORMS if form in others):
        for field in fields:
            values: dict[Any, Any] = {}
            if all(values.setdefault(row.values[field], row.values[name]) == row.values[name] for row in rows):
                fixed[name] = field
                break
        else:
            fields.append(name)
    return fixed


def _told(name: str, along: str, labels: Sequence[Any], rows: Sequence[Row]) -> ndarray:
    """The value of a field for each of another that fixes it."""
    values = {_label(row.values[along]): row.values[name] for row in rows}
    return _column([values[label] for label in labels])


def _asked(requests: Sequence[Request], axes: Mapping[str, Sequence[Any]]) -> ndarray:
    """The cells that a grid asked for; samples and rungs are asked for as they are made."""
    asked = np.zeros(tuple(map(len, axes.values())), bool)
    for request in (r for r in requests if not (r.random or r.halving)):
        fixed = request.configuration(next(request.points())).canonical()
        wanted = {name: {_label(v) for v in request.grid.get(name, [fixed.get(name)])} for name in axes}
        inside = [[label in wanted[name] for label in labels] for name, labels in axes.items()]
        asked[np.ix_(*inside)] = True
    return asked


def _column(values: Sequence[Any]) -> ndarray:
    return np.array([_label(value) for value in values])


def _laid_out(
    rows: Sequence[Row],
    at: Sequence[tuple[int, ...]],
    axes: Mapping[str, Sequence[Any]],
    coordinates: Mapping[str, Any],
    asked: ndarray,
    problems: list[str],
) -> xr.Dataset:
    """The rows in their cells."""
    shape, dims = tuple(map(len, axes.values())), tuple(axes)
    final, seconds = np.full(shape, np.nan), np.full(shape, np.nan)
    status, name = np.where(asked, ABSENT, UNASKED).astype("<U16"), np.full(shape, "", "<U20")
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
