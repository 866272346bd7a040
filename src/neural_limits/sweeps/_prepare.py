"""From a configuration to the objects of a run; everything that can be refused is refused here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import MLP, NTK, SGD, Adam, DepthMuP, Muon, MuP, ResNet, Schedule, Standard, Task, tasks
from .._checks import one_of, positive_float, positive_int
from ..networks import Network
from ..parametrizations import Parametrization
from ..training import Optimizer
from ..weights import check_tolerance
from ._configuration import BLOCK, DEPTH, IMAGES, LAYERS, Configuration

PARAMETRIZATIONS: dict[str, Callable[[float, float], Parametrization]] = {
    "mup": MuP, "depth-mup": DepthMuP, "ntk": NTK, "standard": Standard,
}  # fmt: skip


@dataclass(frozen=True)
class Parts:
    """What a configuration stands for."""

    task: Task
    network: Network
    parametrization: Parametrization
    optimizer: Optimizer


def make_parts(options: Configuration) -> Parts:
    """Check the configuration and build task, network and optimizer.

    ValueError naming a field that is out of range or does not fit the others; FileNotFoundError for data
    that are not there.
    """
    positive_int("width", options.width)
    positive_int("steps", options.steps, least=0)
    positive_int("seed", options.seed, least=0)
    network = make_network(options)
    parametrization = make_parametrization(options)
    optimizer = make_optimizer(options)
    if options.tolerance is not None:
        check_tolerance(options.tolerance, np.dtype(options.dtype))
    if options.memory is not None:
        positive_float("memory", options.memory)
    check_record(options)
    task = make_task(options)
    if options.batch is not None and positive_int("batch", options.batch) > task.samples:
        raise ValueError(f"`batch` must not exceed the task's {task.samples} samples; got {options.batch}.")
    return Parts(task, network, parametrization, optimizer)


def make_network(options: Configuration) -> Network:
    """The network; ValueError for a field that belongs to the other one."""
    mlp = options.network == "mlp"
    _only("hidden", options.hidden, mlp, "mlp")
    _only("depth", options.depth, not mlp, "resnet")
    _only("block", options.block, not mlp, "resnet")
    if mlp:
        return MLP(LAYERS if options.hidden is None else options.hidden, options.activation)
    depth = DEPTH if options.depth is None else options.depth
    return ResNet(depth, options.block or BLOCK, options.activation)


def make_parametrization(options: Configuration) -> Parametrization:
    """The parametrization with its output scale and initial deviation."""
    gamma = options.filled().gamma
    return PARAMETRIZATIONS[options.parametrization](1.0 if gamma is None else gamma, options.sigma_w)


def make_optimizer(options: Configuration) -> Optimizer:
    """The optimizer; ValueError where it does not fit the weights, or a field does not fit it."""
    full = options.filled()
    momentum, nesterov = full.momentum or 0.0, bool(full.nesterov)
    schedule = make_schedule(options)
    if options.optimizer == "sgd":
        return SGD(options.lr, momentum, options.weight_decay, nesterov=nesterov, schedule=schedule)
    if options.optimizer == "muon":
        if full.hidden == 0:
            raise ValueError("`optimizer` muon steps hidden weights, and hidden = 0 leaves none; use sgd.")
        return Muon(options.lr, momentum, options.weight_decay, nesterov=nesterov, schedule=schedule)
    for name in ("momentum", "nesterov"):
        if getattr(options, name):
            raise ValueError(f"`{name}` belongs to sgd and muon; leave it out with adam; got {getattr(options, name)}.")
    if options.weights == "conditioned":
        raise ValueError("`optimizer` adam has no exact form on conditioned weights; add --weights dense.")
    return Adam(options.lr, weight_decay=options.weight_decay, schedule=schedule)


def make_schedule(options: Configuration) -> Schedule | None:
    """The schedule, None for a constant rate; ValueError for a warm-up that the run does not come to the end of."""
    if positive_int("warmup", options.warmup, least=0) > options.steps:
        raise ValueError(f"`warmup` must not exceed `steps` = {options.steps}; got {options.warmup}.")
    return Schedule(options.warmup, options.schedule) if options.is_scheduled else None


def make_task(options: Configuration) -> Task:
    """The task; ValueError for a field that belongs to another one."""
    images, files = options.task != "toy", options.task in ("fashion-mnist", "cifar10")
    _only("classes", options.classes, images, "the image tasks")
    for name in ("inputs", "outputs"):
        _only(name, getattr(options, name), not images, "toy")
    _only("data_folder", options.data_folder, files, "fashion-mnist and cifar10")
    if not images:
        given = {name: getattr(options, name) for name in ("samples", "inputs", "outputs")}
        return tasks.toy(**{name: value for name, value in given.items() if value is not None})
    samples = IMAGES if options.samples is None else options.samples
    if options.task == "digits":
        return tasks.digits(options.classes, samples)
    one_of("task", options.task, ("fashion-mnist", "cifar10"))
    read = tasks.fashion_mnist if options.task == "fashion-mnist" else tasks.cifar10
    folder: Path | None = options.data_folder
    return read(options.classes, samples, folder=folder, test_samples=1)  # test data are not used here


def check_record(options: Configuration) -> tuple[int, ...]:
    """The records asked for, sorted; ValueError for one that the run does not reach."""
    record = tuple(sorted({positive_int("record", step, least=0) for step in options.record or ()}))
    if record and record[-1] > options.steps:
        raise ValueError(f"`record` must not exceed `steps` = {options.steps}; got {record[-1]}.")
    return record


def _only(name: str, value: Any, belongs: bool, owner: str) -> None:
    if value is not None and not belongs:
        raise ValueError(f"`{name}` belongs to {owner}; leave it out with this choice; got {value!r}.")
