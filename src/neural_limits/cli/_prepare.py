"""From options to the objects of a run; everything that can be refused is refused here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import MLP, NTK, SGD, Adam, MuP, Standard, Task, tasks
from .._checks import one_of, positive_float, positive_int
from ..parametrizations import Parametrization
from ..weights import check_tolerance
from ._machine import memory
from ._simulate import Simulate

DENSE_WIDTH = 1024
LARGEST_SPECTRUM = 4096  # all singular values of a larger matrix take minutes each
RECORDS = 12
IMAGES = 20  # training samples of an image task unless told
PARAMETRIZATIONS: dict[str, Callable[[float, float], Parametrization]] = {"mup": MuP, "ntk": NTK, "standard": Standard}


@dataclass(frozen=True)
class Prepared:
    """The options with every default filled in, and what they stand for."""

    options: Simulate
    task: Task
    network: MLP
    parametrization: Parametrization
    optimizer: SGD | Adam

    @property
    def dense_width(self) -> int:
        """Width of the dense network to train beside, 0 for none."""
        return self.options.dense_width or 0


def _gamma(options: Simulate) -> float:
    """The output scale; by default one at which the task's weights learn enough to show outliers."""
    return options.gamma if options.gamma is not None else 4.0 if options.task == "toy" else 1.0


def prepare(options: Simulate) -> Prepared:
    """Check the options and build task, network and optimizer; nothing is written.

    ValueError naming an option that is out of range or does not fit the others; FileNotFoundError for data
    that are not there; MemoryError where dense weights cannot fit.
    """
    width, steps = positive_int("width", options.width), positive_int("steps", options.steps, least=0)
    positive_int("seed", options.seed, least=0)
    network = MLP(options.hidden, options.activation)
    parametrization = PARAMETRIZATIONS[options.parametrization](_gamma(options), options.sigma_w)
    optimizer = _optimizer(options)
    if options.curvature and options.optimizer == "adam":
        raise ValueError("`curvature` needs gradient descent: adam has no fixed metric; leave it out, or use sgd.")
    if options.tolerance is not None:
        check_tolerance(options.tolerance, np.dtype(options.dtype))
    if options.memory is not None:
        positive_float("memory", options.memory)
    dense_width = _dense_width(options)
    _check_memory(options, width if options.weights == "dense" else dense_width)
    task = make_task(options)
    if options.batch is not None and positive_int("batch", options.batch) > task.samples:
        raise ValueError(f"`batch` must not exceed the task's {task.samples} samples; got {options.batch}.")
    full = replace(options, samples=task.samples, record=_record(options, steps), dense_width=dense_width)
    return Prepared(full, task, network, parametrization, optimizer)


def default_record(steps: int, count: int = RECORDS) -> tuple[int, ...]:
    """About ``count`` numbers of updates, geometrically spaced up to the last.

    >>> default_record(100)
    (1, 2, 4, 5, 8, 12, 19, 28, 43, 66, 100)
    >>> default_record(0)
    (0,)
    """
    return tuple(sorted({round(step) for step in np.geomspace(1, steps, count)})) if steps else (0,)


def _record(options: Simulate, steps: int) -> tuple[int, ...]:
    if options.record is None:
        return default_record(steps)
    record = tuple(sorted({positive_int("record", step, least=0) for step in options.record}))
    if record[-1] > steps:
        raise ValueError(f"`record` must not exceed `steps` = {steps}; got {record[-1]}.")
    return record


def _optimizer(options: Simulate) -> SGD | Adam:
    if options.optimizer == "sgd":
        return SGD(options.lr, options.momentum, options.weight_decay)
    if options.momentum:
        raise ValueError(f"`momentum` belongs to sgd; leave it out with adam; got {options.momentum!r}.")
    if options.weights == "conditioned":
        raise ValueError("`optimizer` adam has no exact form on conditioned weights; add --weights dense.")
    return Adam(options.lr, weight_decay=options.weight_decay)


def _dense_width(options: Simulate) -> int:
    """What the user said, or the default that the option's help states."""
    if options.dense_width is not None:
        chosen = positive_int("dense_width", options.dense_width, least=0)
        if chosen > options.width:
            raise ValueError(f"`dense_width` must not exceed `width` = {options.width}; got {chosen}.")
        return chosen
    if options.weights == "dense":
        return 0
    if options.parametrization == "standard":
        return options.width if options.width <= LARGEST_SPECTRUM else 0
    return min(DENSE_WIDTH, options.width)


def _check_memory(options: Simulate, width: int) -> None:
    """Dense weights, their start, a gradient and the optimizer's moments must fit into free memory."""
    copies = 3 + {"sgd": bool(options.momentum), "adam": 2}[options.optimizer]
    needed = copies * options.hidden * width**2 * np.dtype(options.dtype).itemsize
    found = memory()
    if found is not None and needed > found[1]:
        raise MemoryError(
            f"dense weights of width {width} need {needed / 2**30:.3g} GiB, {found[1] / 2**30:.3g} are free"
        )


def make_task(options: Simulate) -> Task:
    """The task; ValueError for an option that belongs to another one."""
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


def _only(name: str, value: Any, belongs: bool, owner: str) -> None:
    if value is not None and not belongs:
        raise ValueError(f"`{name}` belongs to {owner}; leave it out with this task; got {value!r}.")
