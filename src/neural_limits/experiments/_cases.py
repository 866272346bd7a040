"""The reference cases of the outlier theory, and what an independent code measured on them once.

Networks h_1 = U x/√d, h_{l+1} = M_l φ(h_l), f = v·φ(h_L)/(γ n) under muP, full-batch gradient descent on
`tasks.toy` (inputs in R^8, random ±1 labels, generator seed 7). Values in units where the edge is 2.
"""

from __future__ import annotations

from typing import NamedTuple

from ..networks import MLP
from ..parametrizations import MuP
from ..tasks import Task, toy
from ..training import SGD
from ._experiment import Mean


class Case(NamedTuple):
    """A reference case: the setting, and reference outliers by (layer, step, mode)."""

    name: str
    network: MLP
    task: Task
    parametrization: MuP
    optimizer: SGD
    record: tuple[int, ...]
    reference: dict[tuple[int, int, int], Mean]


def _mean(value: float, deviation: float, seeds: int) -> Mean:
    return Mean(value, deviation / seeds**0.5)


def case_a() -> Case:
    """tanh, two hidden matrices, γ 4, four samples, one output, rate 0.3: one outlier per layer."""
    reference = {
        (0, 5, 0): _mean(2.1132, 0.0023, 12),
        (1, 5, 0): _mean(2.3598, 0.0025, 12),
        (0, 20, 0): _mean(2.2801, 0.0019, 12),
        (1, 20, 0): _mean(2.7847, 0.0021, 12),
    }
    return Case("a", MLP(2, "tanh"), toy(4, 8, 1, 7), MuP(gamma=4.0), SGD(lr=0.3), (5, 20), reference)


def case_b() -> Case:
    """gelu, two hidden matrices, γ 2, four samples, three outputs, rate 0.1: two outliers per layer at step 30."""
    reference = {
        (0, 30, 0): _mean(2.0965, 0.0031, 16),
        (0, 30, 1): _mean(2.0695, 0.0044, 16),
        (1, 30, 0): _mean(2.1056, 0.0026, 16),
        (1, 30, 1): _mean(2.0748, 0.0030, 16),
    }
    return Case("b", MLP(2, "gelu"), toy(4, 8, 3, 7), MuP(gamma=2.0), SGD(lr=0.1), (7, 30), reference)
