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

Variables = dict[str, tuple[tuple[str, ...], Any, dict[str, Any]]]  # dimensions, values, attributes
Described = tuple[dict[str, Any], Variables]  # coordinates, and what lies over them: one dataset is made of all at once


def dataset(state: State, order: Any, task: Task, records: Records, weights: str) -> xr.Dataset:
    """loss, outputs, ranks over steps; outliers and overlaps over records; NaN where nothing was reached."""
    hidden = matrices(state.parameters.hidden)
    coordinates, variables = history_variables(state, (), task, order, weights)
    if order is not None:
        kind, values, known = variables["loss"]
        variables["loss"] = kind, values, known | {"long_name": "loss of the batch before the step's update"}
        variables["batch_index"] = ("step", "sample"), np.asarray(order), {"long_name": "sample of each batch row"}
    more, spectra = spectra_variables(records, len(hidden))
    edges = [np.nan if isinstance(w, DecoupledMatrix) else bulk_edge(w)[0] for w in hidden]  # type: ignore[arg-type]
    variables["edge"] = ("layer",), np.array(edges, float), attributes("edge")
    return xr.Dataset(variables | spectra, coordinates | more)


def ensemble_dataset(state: State, seeds: Sequence[int], task: Task, order: Any, weights: str) -> xr.Dataset:
    """loss, outputs and ranks over seeds and steps."""
    coordinates, variables = history_variables(state, ("seed",), task, order, weights)
    return xr.Dataset(variables, coordinates | {"seed": list(seeds)})


def history_variables(state: State, lead: tuple[str, ...], task: Task, order: Any, weights: str) -> Described:
    """What the loop recorded at every step; ranks are 0 at steps that were not reached."""
    history = {name: np.asarray(value) for name, value in state.history._asdict().items()}
    steps = (*lead, "step")
    variables: Variables = {
        "loss": (steps, history["loss"], attributes("loss")),
        "outputs": ((*steps, "sample", "output"), history["outputs"], attributes("outputs")),
    }
    if task.is_classification:
        variables["accuracy"] = steps, accuracy(history["outputs"], task, order), attributes("accuracy")
    if weights == "conditioned":
        for name in ("rank_left", "rank_right", "discarded"):
            variables[name] = (*steps, "layer"), history[name], attributes(name)
    return {"step": np.arange(history["loss"].shape[-1])}, variables


def accuracy(outputs: ndarray, task: Task, order: Any = None) -> ndarray:
    """Fraction of samples classified right, from outputs (..., step, sample, output)."""
    y = task.y if order is None else task.y[np.asarray(order)]
    if y.shape[-1] == 1:
        right = np.sign(outputs[..., 0]) == np.sign(y[..., 0])
    else:
        right = outputs.argmax(-1) == y.argmax(-1)
    return np.where(np.isfinite(outputs).all((-1, -2)), right.mean(-1), np.nan)


def spectra_variables(records: Records, layers: int) -> Described:
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
    variables: Variables = {
        "singular_value": (dims, values, attributes("singular_value")),
        "overlap_left": (dims, left, attributes("overlap_left")),
        "overlap_right": (dims, right, attributes("overlap_right")),
        "record_edge": (dims[:2], edge, attributes("edge")),
        "edge_eigenvalue": (dims[:2], below, attributes("edge_eigenvalue")),
        "threshold": (dims[:2], threshold, attributes("threshold")),
    }
    return {"record": np.array(records.stops[:taken], int), "layer": np.arange(layers)}, variables
