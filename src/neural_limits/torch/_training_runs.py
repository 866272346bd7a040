"""Train every model of a study for a few steps and lay out what was measured, size by size and seed by seed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import xarray as xr

from ._blocks import match
from ._coordinates import Probe, forward
from ._leading_mode import ModeProbe
from ._study import ModelSize, Study
from ._weight_changes import WeightProbe, shrinkage

LAYER = {
    "size": "root mean square of the module's output at initialisation",
    "change": "root mean square change of the module's output since initialisation",
    "own_change": "the same on the inputs that the module had at initialisation",
    "head_dim": "head dimension of attention logits",
}
PARAMETER = {
    "weight_change": "operator norm of W_t - W_0 over sqrt(fan_out / fan_in)",
    "relative_update": "operator norm of the last update over that of the weight",
    "outliers": "number of singular values above the edge of the initial bulk",
    "largest": "largest singular value over the edge of the initial bulk",
    "decay": "relative loss of the weight in one step with zero gradients",
}
LOSS = {"long_name": "loss before the update"}
MODE = {"long_name": "largest Gauss-Newton eigenvalue on the probe, in units of the rates"}
_AT_START = ("head_dim", "size", "decay")


@dataclass
class Trial:
    """Measurements of one model: name -> quantity -> values at the recorded steps."""

    losses: list[float] = field(default_factory=list)
    modes: list[float] = field(default_factory=list)
    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    diverged: bool = False

    def add(self, quantity: str, found: dict[str, float]) -> None:
        for name, value in found.items():
            self.values.setdefault(quantity, {}).setdefault(name, []).append(value)


def recorded(steps: int) -> list[int]:
    """1, 2, 4, ... and the last."""
    return [*(2**k for k in range(steps.bit_length()) if 2**k < steps), steps]


def run(made: Study, marks: list[int], weights: bool) -> xr.Dataset:
    """All trials, measured after the updates ``marks``; ``weights`` too, not the modules' outputs only."""
    rename = renaming(made)
    trials = {}
    for optimizer in made.optimizers:
        for size in made.sizes:
            for seed in made.seeds:
                with torch.random.fork_rng():
                    trials[optimizer, size, seed] = _train(made, optimizer, size, seed, marks, weights)
    return _dataset(made, trials, marks, rename)


def _train(made: Study, optimizer: str, size: ModelSize, seed: int, marks: list[int], weights: bool) -> Trial:
    trial = Trial()
    if weights:
        trial.add("decay", shrinkage(*made.trial(optimizer, size, seed, double=True)))
    model, optimizers = made.trial(optimizer, size, seed)
    probe, weight_probe = Probe(model, made.batches(0)[0]), WeightProbe(model, made.units(model, size))
    mode = ModeProbe(model, made.batches(0), made.loss, optimizers)
    trial.add("size", probe.sizes())
    trial.add("head_dim", probe.head_dims)
    for step in range(marks[-1]):
        inputs, targets = made.batches(step)
        loss = made.loss(forward(model, inputs), targets)
        trial.losses.append(float(loss.detach()))
        if not math.isfinite(trial.losses[-1]):
            trial.diverged = True
            return trial
        for each in optimizers:
            each.zero_grad()
        loss.backward()
        if step + 1 in marks:
            weight_probe.before_step()
        for each in optimizers:
            each.step()
        if step + 1 in marks:
            _measure(trial, probe, weight_probe if weights else None)
            if weights:  # Adam's first step divides by gradients that happen to be zero: no mode yet
                trial.modes.append(mode.value() if step > 0 and _last_finite(trial) else math.nan)
    trial.diverged = not _last_finite(trial)
    return trial


def _measure(trial: Trial, probe: Probe, weights: WeightProbe | None) -> None:
    trial.add("change", probe.changes())
    trial.add("own_change", probe.own_changes())
    if weights is not None:
        trial.add("weight_change", weights.changes())
        trial.add("relative_update", weights.updates())
        for quantity, found in zip(("outliers", "largest"), weights.outliers(), strict=True):
            trial.add(quantity, found)


def _last_finite(trial: Trial) -> bool:
    return all(math.isfinite(values[-1]) for values in trial.values["change"].values())


def renaming(made: Study) -> Callable[[str], str]:
    """Where depths differ, blocks of one container share a name: blocks.3.fc1 becomes blocks.*.fc1."""
    depths = sorted({size.depth for size in made.sizes if size.depth is not None})
    if len(depths) < 2:
        return lambda name: name
    with torch.random.fork_rng():
        shallow, deep = (made.model(made.sizes[0]._replace(depth=d), made.seeds[0]) for d in (depths[0], depths[-1]))
    stretched = match(deep, shallow).stretched

    def rename(name: str) -> str:
        for container in stretched:
            start = f"{container}." if container else ""
            if name.startswith(start):
                head, _, rest = name[len(start) :].partition(".")
                number, mark, kind = head.partition(":")
                if number.isdigit():
                    return f"{start}*{mark}{kind}" + (f".{rest}" if rest else "")
        return name

    return rename


def _dataset(made: Study, trials: dict[Any, Trial], steps: list[int], rename: Callable[[str], str]) -> xr.Dataset:
    outer = ("optimizer", "size", "seed")
    lead = (len(made.optimizers), len(made.sizes), len(made.seeds))
    data: dict[str, Any] = {}
    names: dict[str, list[str]] = {}
    for kind, quantities in (("layer", LAYER), ("parameter", PARAMETER)):
        held = [t.values[q] for t in trials.values() for q in quantities if q in t.values]
        names[kind] = list(dict.fromkeys(rename(name) for found in held for name in found))
        for quantity, meaning in quantities.items():
            if not names[kind]:  # weights were not asked for
                continue
            at = 1 if quantity in _AT_START else len(steps)
            rows = [_grouped(t.values.get(quantity, {}), names[kind], at, rename) for t in trials.values()]
            values = np.array(rows).reshape(*lead, len(names[kind]), at)
            dims = (*outer, kind) if quantity in _AT_START else (*outer, kind, "step")
            data[quantity] = (dims, values[..., 0] if quantity in _AT_START else values, {"long_name": meaning})
    data["loss"] = ((*outer, "iteration"), _padded([t.losses for t in trials.values()], lead, steps[-1]), LOSS)
    if names["parameter"]:
        data["leading_mode"] = ((*outer, "step"), _padded([t.modes for t in trials.values()], lead, len(steps)), MODE)
    status = np.array(["diverged" if t.diverged else "completed" for t in trials.values()]).reshape(lead)
    data["status"] = (outer, status)
    coordinates = {
        "optimizer": list(made.optimizers), "seed": list(made.seeds), "step": steps, **names,
        "width": ("size", [size.width for size in made.sizes]),
        "iteration": np.arange(steps[-1]),
    }  # fmt: skip
    if made.base.depth is not None:
        coordinates["depth"] = ("size", [size.depth for size in made.sizes])
    return xr.Dataset(data, coordinates)


def _padded(rows: list[list[float]], lead: tuple[int, ...], length: int) -> np.ndarray:
    """Rows as one array (*lead, length), NaN where a run ended early."""
    return np.array([row + [math.nan] * (length - len(row)) for row in rows]).reshape(*lead, length)


def _grouped(found: dict[str, list[float]], names: list[str], steps: int, rename: Callable[[str], str]) -> np.ndarray:
    """Values (name, step): the root mean square over what shares a name, NaN where there is none."""
    groups: dict[str, list[list[float]]] = {}
    for name, values in found.items():
        groups.setdefault(rename(name), []).append(values + [math.nan] * (steps - len(values)))
    empty = np.full(steps, np.nan)
    return np.array([np.sqrt(np.mean(np.square(groups[n]), 0)) if n in groups else empty for n in names])
