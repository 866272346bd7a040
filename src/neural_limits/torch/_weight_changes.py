"""How far each weight has moved from its initial value, in the unit in which it acts, and how fast decay shrinks it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

LARGE = 1024  # the smaller dimension from which a norm is found by power iteration


def operator_norm(weight: Tensor) -> float:
    """Largest singular value of a matrix (kernels flattened), or length of a vector."""
    if weight.ndim < 2:
        return float(weight.double().norm())
    matrix = weight.flatten(1).float()
    if min(matrix.shape) <= LARGE:
        return float(torch.linalg.matrix_norm(matrix, 2))
    vector = matrix.T @ matrix.sum(1)
    for _ in range(30):
        vector = matrix.T @ (matrix @ (vector / vector.norm().clamp_min(1e-30)))
    return float((matrix @ (vector / vector.norm().clamp_min(1e-30))).norm())


class WeightProbe:
    """The weights of a model at initialisation, to compare with."""

    def __init__(self, model: nn.Module, units: dict[str, float]) -> None:
        self._model = model
        self._first = {name: value.detach().clone() for name, value in model.named_parameters()}
        self._before = dict(self._first)
        self._unit = units
        self._edges = {name: _edge(value) for name, value in self._first.items() if _has_bulk(value)}

    def before_step(self) -> None:
        self._before = {name: value.detach().clone() for name, value in self._model.named_parameters()}

    def changes(self) -> dict[str, float]:
        """|W_t - W_0| in operator norm over the natural unit."""
        now = self._model.named_parameters()
        return {name: operator_norm(value.detach() - self._first[name]) / self._unit[name] for name, value in now}

    def updates(self) -> dict[str, float]:
        """The last update against the weight, both in operator norm; NaN for weights at zero."""
        found = {}
        for name, value in self._model.named_parameters():
            size = operator_norm(self._before[name])
            update = operator_norm(value.detach() - self._before[name])
            found[name] = update / size if size > 0 else float("nan")
        return found

    def outliers(self) -> tuple[dict[str, float], dict[str, float]]:
        """Number of singular values over the edge of the initial bulk, and the largest in units of it."""
        counts, largest = {}, {}
        values = dict(self._model.named_parameters())
        for name, edge in self._edges.items():
            found = torch.linalg.svdvals(values[name].detach().flatten(1).float())
            counts[name], largest[name] = float((found > edge).sum()), float(found[0]) / edge
        return counts, largest


def _has_bulk(value: Tensor) -> bool:
    return value.ndim >= 2 and 8 <= min(value.flatten(1).shape) <= LARGE and bool(value.any())


def _edge(value: Tensor) -> float:
    """σ(√rows + √columns) of independent entries, and three of the fluctuations' scale N^(-2/3) above it."""
    rows, columns = value.flatten(1).shape
    return (
        float(value.detach().double().std()) * (rows**0.5 + columns**0.5) * (1 + 1.5 * min(rows, columns) ** (-2 / 3))
    )


def shrinkage(model: nn.Module, optimizers: list[Any]) -> dict[str, float]:
    """Relative loss of each weight in one step whose gradients are zero: what weight decay alone does.

    The model is used up. Give it in double precision: the loss is lr · weight_decay, often below 1e-6.
    """
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    for value in model.parameters():
        value.grad = torch.zeros_like(value)
    for optimizer in optimizers:
        optimizer.step()
    found = {}
    for name, value in model.named_parameters():
        size = float(before[name].norm())
        found[name] = float((before[name] - value.detach()).norm()) / size if size > 0 else float("nan")
    return found
