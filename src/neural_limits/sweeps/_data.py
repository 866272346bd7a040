"""All trials of a sweep as one labelled dataset over the fields that vary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy import ndarray

from ._axes import Axes, asked_for, axes_of
from ._configuration import LATER
from ._curves import curves
from ._folder import Found, SweepFolder, is_result
from ._request import Request, trial_name
from ._trial import Damaged, read_canonical

ABSENT, UNASKED = "missing", "not asked"


class Row(NamedTuple):
    """One trial: what it is and what came of it."""

    found: Found
    values: dict[str, Any]
    state: str
    summary: Mapping[str, Any]


def dataset(folder: SweepFolder, only: Request | None = None) -> xr.Dataset:
    """final_loss, status, seconds, trial_name over the fields that vary, and the curve loss with ``step`` besides.

    Dimensions: the fields of the grids, then any other of a base in which trials differ (defaults that follow from
    these, as momentum does from the optimizer, are none); random samples are a dimension ``trial`` with the fields
    drawn along it. Where each width has one form of weights (dense up to some width, say), that is a coordinate along
    the widths. A diverged trial has final_loss inf; one that failed, is damaged, not finished, not there, or that no
    grid asked for, NaN, and `status` says which. Curves are read when they are used, shorter ones padded with NaN.
    ``attrs["problems"]``: a line for each trial that cannot be read. ``only``: the trials of one request without
    [halving] or Optuna.
    """
    rows, problems = _rows(folder, only)
    if not rows:
        return xr.Dataset(attrs={"problems": problems})
    requests = folder.requests() if only is None else [only]
    axes = axes_of([row.values for row in rows], requests)
    return _laid_out(rows, axes, asked_for(requests, axes.labels), problems)


def _rows(folder: SweepFolder, only: Request | None) -> tuple[list[Row], list[str]]:
    """Every trial that can be read, and a line for each that cannot."""
    rows, problems = [], []
    chosen = folder.scan() if only is None else map(folder.find, map(trial_name, only.required({})))
    for found in chosen:
        state, summary = found.state, {}
        try:
            canonical = read_canonical(folder.trials / found.name)
            values = {k: tuple(v) if isinstance(v, list) else v for k, v in (LATER | canonical).items()}
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


def _laid_out(rows: Sequence[Row], axes: Axes, asked: ndarray, problems: list[str]) -> xr.Dataset:
    """The rows in their cells."""
    shape, dims = asked.shape, tuple(axes.labels)
    final, seconds = np.full(shape, np.nan), np.full(shape, np.nan)
    status, name = np.where(asked, ABSENT, UNASKED).astype("<U16"), np.full(shape, "", "<U20")
    paths = np.full(shape, None, object)
    for row, cell in zip(rows, axes.cells, strict=True):
        status[cell], name[cell] = row.state, row.found.name
        if row.summary:
            final[cell], seconds[cell] = float(row.summary["loss"]), float(row.summary["seconds"])
            paths[cell] = row.found.folder
    steps = max(int(row.values["steps"]) for row in rows)
    single = all(row.values["dtype"] == "float32" for row in rows)
    data = xr.Dataset(coords={**axes.coordinates, "step": np.arange(steps + 1)})
    data["loss"] = xr.Variable(
        (*dims, "step"), curves(paths, steps + 1, np.dtype("float32" if single else "float64")),
        {"long_name": "training loss", "units": "1"},
    )  # fmt: skip
    data["final_loss"] = (dims, final, {"long_name": "training loss at the end; inf: diverged", "units": "1"})
    data["status"] = (dims, status, {"long_name": "how the trial stands"})
    data["seconds"] = (dims, seconds, {"long_name": "time the trial took", "units": "s"})
    data["trial_name"] = (dims, name, {"long_name": "name of the trial's folder"})
    return data.assign_attrs(problems=problems)
