"""Pilot runs: values of a quantity over widths and forms of weights, and the seconds each took."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy import ndarray

from .._checks import one_of
from ..networks import Network
from ..parametrizations import Parametrization
from ..spectra import outliers
from ..tasks import Task
from ..training import Optimizer, Run, train
from ..weights import ConditionedMatrix, DenseMatrix

Quantity = Callable[[Run], float]


class Unfit(Exception):
    """A run that gives no value: a status and what to do."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


def final_loss(run: Run) -> float:
    """The loss after the last update."""
    return float(run.data.loss[-1])


def largest_outlier(run: Run) -> float:
    """The largest outlier of the last hidden weight after the last update; NaN where there is none."""
    weight = run.weights[-1]
    if not isinstance(weight, ConditionedMatrix | DenseMatrix):
        raise ValueError("`quantity` outlier needs one matrix forward and backward.")
    values = outliers(weight).values
    return float(values[0]) if len(values) else float("nan")


QUANTITIES: dict[str, Quantity] = {"loss": final_loss, "outlier": largest_outlier}


def quantity_named(quantity: str | Quantity) -> Quantity:
    """A quantity by name, or the function itself."""
    return quantity if callable(quantity) else QUANTITIES[one_of("quantity", quantity, QUANTITIES)]


@dataclass
class Pilot:
    """Runs of one setting. Every run has a seed of its own, as equal seeds share numbers over widths and forms."""

    network: Network
    task: Task
    parametrization: Parametrization | None
    optimizer: Optimizer | None
    steps: int
    quantity: Quantity
    options: dict[str, Any] = field(default_factory=dict)
    first_seed: int = 0
    values: dict[tuple[str, int], ndarray] = field(default_factory=dict)
    seconds: dict[tuple[str, int], float] = field(default_factory=dict)  # of a run that compiles nothing
    compilation: dict[tuple[str, int], float] = field(default_factory=dict)

    def measure(self, weights: str, width: int, seeds: int) -> None:
        """So many runs of one form and width; the first one compiles. `Unfit` where one gives no value."""
        values, times = [], []
        for _ in range(seeds):
            begun = time.perf_counter()
            values.append(self.value(weights, width))
            times.append(time.perf_counter() - begun)
        least = min(times[1:])  # what else the machine does can only add
        self.values[weights, width] = np.array(values)
        self.seconds[weights, width], self.compilation[weights, width] = least, max(times[0] - least, 0.0)

    def value(self, weights: str, width: int) -> float:
        """The quantity of one network that was not drawn before."""
        seed, self.first_seed = self.first_seed, self.first_seed + 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # which form is cheaper is what is measured
            run = train(
                self.network, self.task, self.parametrization, self.optimizer, width=width, steps=self.steps,
                weights=weights, seed=seed, **self.options,
            )  # fmt: skip
        if run.status != "completed":
            raise Unfit(run.status, f"width {width}, {weights} weights: {run.message}")
        value = self.quantity(run)
        if not np.isfinite(value):
            where = f"width {width}, {weights} weights"
            raise Unfit("no_value", f"`quantity` is {value} at {where}; take more `steps`, or another quantity.")
        return value

    def groups(self) -> tuple[Sequence[int], Sequence[ndarray]]:
        """Widths and values of all groups, forms together: they have one law."""
        return [width for _, width in self.values], list(self.values.values())

    def timed(self, weights: str) -> tuple[list[int], list[float]]:
        """Widths and seconds of one form."""
        found = {width: t for (form, width), t in self.seconds.items() if form == weights}
        return list(found), list(found.values())
