"""What a run recorded, as one labelled dataset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy import ndarray

from .._notation import attributes
from ..spectra import bulk_edge
from ..tasks import Task
from ..weights import DecoupledMatrix, matrices
from ._loop import State
from ._record import Records


def dataset(state: State, order: Any, task: Task, records: Records, weights: str) -> xr.Dataset:
    """loss, outputs, ranks over steps; outliers and overlaps over records; NaN where nothing was reached."""
    data = history_dataset(state, (), task, order, weights)
    if order is not None:
        data["batch_index"] = (
            ("step", "sample"),
            np.asarray(order),
            {"long_name": "sample of each batch row"},
        )
        data.loss.attrs["long_name"] = "loss of the batch before the step's update"
    hidden = matrices(state.parameters.hidden)
    data = data.merge(spectra_dataset(records, len(hidden)))
    edges = [np.nan if isinstance(w, DecoupledMatrix) else bulk_edge(w)[0] for w in hidden]  # type: ignore[arg-type]
    data["edge"] = ("layer", np.array(edges, float), attributes("edge"))
    return data


def ensemble_dataset(state: State, seeds: Sequence[int], task: Task, order: Any, weights: str) -> xr.Dataset:
    """loss, outputs and ranks over seeds and steps."""
    data = history_dataset(state, ("seed",), task, order, weights)
    return data.assign_coords(seed=list(seeds))


def history_dataset(state: State, lead: tuple[str, ...], task: Task, order: Any, weights: str) -> xr.Dataset:
    """What the loop recorded at every step; ranks are 0 at steps that were not reached."""
    history = {name: np.asarray(value) for name, value in state.history._asdict().items()}
    data = xr.Dataset(coords={"step": np.arange(history["loss"].shape[-1])})
    data["loss"] = ((*lead, "step"), history["loss"], attributes("loss"))
    data["outputs"] = ((*lead, "step", "sample", "output"), history["outputs"], attributes("outputs"))
    if task.is_classification:
        values = accuracy(history["outputs"], task, order)
        data["accuracy"] = ((*lead, "step"), values, attributes("accuracy"))
    if weights == "conditioned":
        for name in ("rank_left", "rank_right", "discarded"):
            data[name] = ((*lead, "step", "layer"), history[name], attributes(name))
    return data


def accuracy(outputs: ndarray, task: Task, order: Any = None) -> ndarray:
    """Fraction of samples classified right, from outputs (..., step, sample, output)."""
    y = task.y if order is None else task.y[np.asarray(order)]
    if y.shape[-1] == 1:
        right = np.sign(outputs[..., 0]) == np.sign(y[..., 0])
    else:
        right = outputs.argmax(-1) == y.argmax(-1)
    return np.where(np.isfinite(outputs).all((-1, -2)), right.mean(-1), np.nan)


def spectra_dataset(records: Records, layers: int) -> xr.Dataset:
    """singular_value, overlaps (record, layer, mode), padded with NaN; edge and threshold at each record."""
    taken = len(records.taken)
    modes = max([len(o.values) for found in records.taken for o in found], default=0)
    values, left, right = (np.full((taken, layers, modes), np.nan) for _ in range(3))
    edge, threshold, below = (np.full((taken, layers), np.nan) for _ in range(3))
    for r, found in enumerate(records.taken):
        for l, o in enumerate(found):
            k = len(o.values)
            values[r, l, :k], left[r, l, :k], right[r, l, :k] = o.values, o.left, o.right
            edge[r, l], threshold[r, l], below[r, l] = o.edge, o.threshold, o.edge_eigenvalue
    dims = ("record", "layer", "mode")
    data = xr.Dataset(coords={"record": np.array(records.stops[:taken], int), "layer": np.arange(layers)})
    data["singular_value"] = (dims, values, attributes("singular_value"))
    data["overlap_left"] = (dims, left, attributes("overlap_left"))
    data["overlap_right"] = (dims, right, attributes("overlap_right"))
    data["record_edge"] = (dims[:2], edge, attributes("edge"))
    data["edge_eigenvalue"] = (dims[:2], below, attributes("edge_eigenvalue"))
    data["threshold"] = (dims[:2], threshold, attributes("threshold"))
    return data
