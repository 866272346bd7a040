"""A supervised task: inputs, targets, a loss, and test data where there are any."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from .._checks import one_of, positive_int

Loss = Literal["mse", "softmax"]
LOSSES: tuple[str, ...] = get_args(Loss)


@dataclass(frozen=True, eq=False, kw_only=True)
class Task:
    """Training data (x, y), the loss they are trained with, and optional test data.

    L = 1/P Σ_μ ℓ(f(x_μ), y_μ),  ℓ the squared error ("mse") or the cross entropy of a softmax ("softmax").

    ``x`` (P, d) and ``y`` (P, C), kept as read-only float64 copies; for "softmax" each row of y holds
    probabilities. ``x_test`` (P', d) and ``y_test`` (P', C) come together or not at all. ``name`` labels
    results. One-line ValueError for arrays that are not 2-d, sizes that disagree, no samples, values that
    are not finite, an unknown loss. Cost: one copy.

    >>> task = Task(x=[[1.0, 2.0], [3.0, 4.0]], y=[[1.0], [-1.0]], loss="mse")
    >>> task.samples, task.inputs, task.outputs, task.is_classification
    (2, 2, 1, True)
    >>> Task(x=[[1.0, 2.0]], y=[[1.0], [-1.0]], loss="mse")
    Traceback (most recent call last):
    ValueError: `y` must have one row per sample: x has 1 row, y has 2.
    """

    x: np.ndarray
    y: np.ndarray
    loss: Loss
    name: str = "custom"
    x_test: np.ndarray | None = None
    y_test: np.ndarray | None = None

    def __post_init__(self) -> None:
        one_of("loss", self.loss, LOSSES)
        self._check_pair("x", "y")
        if (self.x_test is None) != (self.y_test is None):
            missing = "x_test" if self.x_test is None else "y_test"
            raise ValueError(f"`{missing}` is missing; give both `x_test` and `y_test`, or neither.")
        if self.x_test is not None and self.y_test is not None:
            self._check_pair("x_test", "y_test")
            _same_columns("x_test", self.x_test, "x", self.x)
            _same_columns("y_test", self.y_test, "y", self.y)

    def _check_pair(self, inputs: str, targets: str) -> None:
        """Freeze and check one pair of arrays, in place."""
        for name in (inputs, targets):
            object.__setattr__(self, name, _read_only(name, getattr(self, name)))
        x, y = getattr(self, inputs), getattr(self, targets)
        if len(x) != len(y):
            rows = f"{inputs} has {_count(len(x), 'row')}, {targets} has {len(y)}"
            raise ValueError(f"`{targets}` must have one row per sample: {rows}.")
        if self.loss == "softmax":
            _check_probabilities(targets, y)

    @property
    def samples(self) -> int:
        """P, training samples."""
        return self.x.shape[0]

    @property
    def inputs(self) -> int:
        """d, numbers in an input."""
        return self.x.shape[1]

    @property
    def outputs(self) -> int:
        """C, numbers in a target."""
        return self.y.shape[1]

    @property
    def is_classification(self) -> bool:
        """Whether an accuracy makes sense: a softmax loss, or targets that are all -1 or +1."""
        return self.loss == "softmax" or bool(np.all(np.abs(self.y) == 1))

    def subset(self, samples: int) -> Task:
        """The task with the first ``samples`` training rows; the test data stay. ValueError beyond P."""
        samples = positive_int("samples", samples)
        if samples > self.samples:
            raise ValueError(f"`samples` must be at most {self.samples}, all this task has; got {samples}.")
        return replace(self, x=self.x[:samples], y=self.y[:samples])


def _read_only(name: str, values: object) -> np.ndarray:
    """A read-only float64 copy of shape (rows, columns), checked to be finite."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"`{name}` must hold real numbers; got an array of type {array.dtype}.")
    if array.ndim != 2:
        remedy = "; use values[:, None] for one column" if array.ndim == 1 else "; reshape to (samples, -1)"
        raise ValueError(f"`{name}` must be 2-d, one row per sample; got shape {array.shape}{remedy}.")
    if 0 in array.shape:
        raise ValueError(f"`{name}` must have at least one sample and one column; got shape {array.shape}.")
    _check_finite(name, array)
    # Already read-only and not a view: taken as it is, so that large data sets are not held twice.
    if array.dtype == np.float64 and array.flags.owndata and not array.flags.writeable:
        return array
    array = np.array(array, dtype=np.float64, order="C")
    array.setflags(write=False)
    return array


def _check_finite(name: str, array: np.ndarray) -> None:
    bad = ~np.isfinite(array)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        count = int(bad.sum())
        what = "1 value that is" if count == 1 else f"{count} values that are"
        where = f"(first at row {row}, column {column})"
        raise ValueError(f"`{name}` has {what} not finite {where}; remove or impute {_them(count)}.")


def _check_probabilities(name: str, y: np.ndarray) -> None:
    wrong = (y < 0).any(axis=1) | (np.abs(y.sum(axis=1) - 1) > 1e-6)  # one-hot and float32 labels both pass
    if wrong.any():
        row = int(np.argmax(wrong))
        remedy = "give one-hot or probability rows, or use loss='mse'"
        detail = f"row {row} sums to {y[row].sum():g}, smallest entry {y[row].min():g}"
        raise ValueError(f"`{name}` must hold probabilities for loss 'softmax'; {detail}; {remedy}.")


def _same_columns(name: str, array: np.ndarray, other: str, reference: np.ndarray) -> None:
    if array.shape[1] != reference.shape[1]:
        sizes = f"{other} has {_count(reference.shape[1], 'column')}, {name} has {array.shape[1]}"
        raise ValueError(f"`{name}` must have as many columns as `{other}`: {sizes}.")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _them(count: int) -> str:
    return "it" if count == 1 else "them"
