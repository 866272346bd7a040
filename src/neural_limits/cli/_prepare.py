"""From options to the objects of a run and of the dense one beside it; what can be refused is refused here."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .. import Task
from .._checks import positive_int
from ..networks import Network
from ..parametrizations import Parametrization
from ..sweeps import check_record, make_network, make_parts
from ..training import Optimizer
from ..weights import particle_mesh
from ._machine import memory
from ._simulate import Simulate

DENSE_WIDTH = 1024
LARGEST_SPECTRUM = 4096  # all singular values of a larger matrix take minutes each
RECORDS = 12


@dataclass(frozen=True)
class Prepared:
    """The options with every default filled in, and what they stand for."""

    options: Simulate
    task: Task
    network: Network
    parametrization: Parametrization
    optimizer: Optimizer

    @property
    def dense_width(self) -> int:
        """Width of the dense network to train beside, 0 for none."""
        return self.options.dense_width or 0


def prepare(options: Simulate) -> Prepared:
    """Check the options and build task, network and optimizer; nothing is written.

    ValueError naming an option that is out of range or does not fit the others; FileNotFoundError for data
    that are not there; MemoryError where dense weights cannot fit.
    """
    width = positive_int("width", options.width)
    if options.curvature and options.optimizer != "sgd":
        raise ValueError(
            f"`curvature` needs gradient descent: {options.optimizer} has no fixed metric; leave it out, or use sgd."
        )
    if options.devices is not None:
        particle_mesh(options.devices, width)  # or says what is wrong
    dense_width = _dense_width(options)
    _check_memory(options, make_network(options), width if options.weights == "dense" else dense_width)
    parts = make_parts(options)
    record = default_record(options.steps) if options.record is None else check_record(options)
    layers = options.filled()
    full = replace(
        options, samples=parts.task.samples, record=record, dense_width=dense_width, hidden=layers.hidden,
        depth=layers.depth, block=layers.block, momentum=layers.momentum, nesterov=layers.nesterov,
        tolerance=layers.tolerance,
    )  # fmt: skip
    return Prepared(full, parts.task, parts.network, parts.parametrization, parts.optimizer)


def default_record(steps: int, count: int = RECORDS) -> tuple[int, ...]:
    """About ``count`` numbers of updates, geometrically spaced up to the last.

    >>> default_record(100)
    (1, 2, 4, 5, 8, 12, 19, 28, 43, 66, 100)
    >>> default_record(0)
    (0,)
    """
    return tuple(sorted({round(step) for step in np.geomspace(1, steps, count)})) if steps else (0,)


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


def _check_memory(options: Simulate, network: Network, width: int) -> None:
    """Dense weights, their start, a gradient and the optimizer's moments must fit into free memory."""
    copies = 3 + {"sgd": bool(options.momentum), "muon": 2, "adam": 2}[options.optimizer]  # muon's second: iterates
    needed = copies * network.matrices * width**2 * np.dtype(options.dtype).itemsize
    found = memory()
    if found is not None and needed > found[1]:
        raise MemoryError(
            f"dense weights of width {width} need {needed / 2**30:.3g} GiB, {found[1] / 2**30:.3g} are free"
        )
