"""Outliers of hidden weights under Muon and under gradient descent, over width, at equal loss and over time."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy import ndarray

from ._experiment import Experiment, Result, Say
from ._muon_figures import time_figure, widths_figure
from ._muon_runs import FULL, LEVEL, MARKS, MODES, OPTIMIZERS, QUICK, STEPS, Found, Watched, run_all
from ._muon_verdicts import MUON, verdicts

LABELS = {
    "largest": "largest singular value, where it is an outlier",
    "count": f"outliers above {LEVEL:g} edge",
    "independent": "largest outlier, were the learned part independent of the bulk",
    "spikes": f"outliers above {LEVEL:g} edge, were the learned part independent of the bulk",
    "stable_rank": "stable rank of the learned part",
    "middle": "median of all singular values",
    "learned": "singular value of the learned part",
}


def run(quick: bool, say: Say) -> Result:
    """Two hidden tanh weights, four samples, two outputs: conditioned and dense, and more samples."""
    found = run_all(QUICK if quick else FULL, say)
    widest, middle = max(found.plan.conditioned), found.plan.middle
    captions = {
        "widths": "Second hidden weight under SGD with Nesterov's momentum and under Muon, which differ in the steps "
        "of the hidden weights alone: number of outliers, the largest, stable rank of the learned part; lines "
        "conditioned, crosses dense, errors over seeds. Circles: where the loss has fallen to a tenth, squares: after "
        f"{STEPS} updates.",
        "time": f"Loss and number of outliers over updates at width {middle}; singular values of the learned part at "
        f"width {widest} where the loss has fallen to a tenth (circles) and after {STEPS} updates (squares; dashed: "
        f"where a spike independent of the bulk leaves it); outliers after {STEPS} updates against samples, width "
        f"{middle}.",
    }
    figures = {"widths": widths_figure(found), "time": time_figure(found)}
    return Result(dataset(found), verdicts(found), figures, captions)


def dataset(found: Found) -> xr.Dataset:
    """Every quantity by optimizer, width (conditioned, dense) or samples, seed, mark and layer; losses by step."""
    end = {name: {"end": marks["end"]} for name, marks in found.marks.items()}
    parts = [
        _table(found.conditioned, found.marks, "width").rename(seed="conditioned_seed"),
        _table(found.dense, found.marks, "dense_width").rename(seed="dense_seed"),
        _table(found.samples, end, "samples").isel(mark=0, drop=True).rename(seed="samples_seed"),
    ]
    named = [
        part.rename({name: f"{form}_{name}" for name in part.data_vars})
        for form, part in zip(("conditioned", "dense", "samples"), parts, strict=True)
    ]
    data = xr.merge(named, join="outer", compat="no_conflicts")
    steps = [[found.marks[name][mark] for mark in MARKS] for name in OPTIMIZERS]
    data["mark_step"] = (("optimizer", "mark"), steps, {"long_name": "updates made at the mark"})
    return data


def _table(runs: dict[tuple[str, int, int], Watched], marks: dict[str, dict[str, int]], size: str) -> xr.Dataset:
    """All runs on one grid, NaN where there is none."""
    sizes, seeds = sorted({key[1] for key in runs}), sorted({key[2] for key in runs})
    names = list(OPTIMIZERS)
    lead = (len(names), len(sizes), len(seeds))
    at = list(next(iter(marks.values())))
    steps = len(next(iter(runs.values())).loss)
    values: dict[str, ndarray] = {q: np.full((*lead, len(at), 2), np.nan) for q in LABELS if q != "learned"}
    values["learned"] = np.full((*lead, len(at), 2, MODES), np.nan)
    losses = np.full((*lead, steps), np.nan)
    for (name, number, seed), run in runs.items():
        cell = names.index(name), sizes.index(number), seeds.index(seed)
        losses[cell] = run.loss
        for quantity, into in values.items():
            into[cell] = [[getattr(l, quantity) for l in run.looks[marks[name][mark]]] for mark in at]
    dims = ("optimizer", size, "seed")
    data = xr.Dataset(coords={"optimizer": names, size: sizes, "seed": seeds, "mark": at, "layer": [0, 1]})
    for quantity, found in values.items():
        more = ("mark", "layer", "mode")[: found.ndim - 3]
        data[quantity] = ((*dims, *more), found, {"long_name": LABELS[quantity], "units": "1"})
    data["loss"] = ((*dims, "step"), losses, {"long_name": "training loss", "units": "1"})
    return data


MUON_OUTLIERS = Experiment(
    "muon-outliers",
    "Under Muon the learned part has many equal singular values, which become many outliers, as many at any width; "
    "under gradient descent it has one outlier for each output.",
    MUON,
    1,
    10,
    run,
)
