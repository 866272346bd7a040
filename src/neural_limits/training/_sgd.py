"""Gradient descent with momentum and weight decay, exact on learned cores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .._checks import positive_float
from ..networks import Gradients, Parameters
from ..parametrizations import Rules
from ._optimizer import Moments, Numbers, Optimizer
from ._schedule import Schedule
from ._updates import check_fraction, check_rates, in_full, moved_ends, per_layer, relative_rates, zero_moments


@dataclass(frozen=True)
class SGD(Optimizer):
    """w ← (1 - lr λ) w - lr rate v,   v ← momentum v + ∂loss/∂w, with the parametrization's rate per layer.

    ``weight_decay`` λ is decoupled: it multiplies every weight by the same 1 - lr λ at each step, whatever
    the width. With ``nesterov`` the step is along ∂loss/∂w + momentum v, as in PyTorch. All are exact on conditioned
    weights: the gradient is a core, momentum a second core, decay a scale. ``lr_input`` and ``lr_output``
    replace lr for the input and output weights (None: lr; 0: frozen); ``layer_rates`` multiplies it for each
    hidden layer or block; ``schedule`` multiplies all rates step by step. ValueError for a rate that is not
    positive, momentum outside [0, 1), or nesterov without momentum.

    >>> SGD(lr=0.3, momentum=0.9).numbers.output
    0.3
    """

    lr: float
    momentum: float = 0.0
    weight_decay: float = 0.0
    lr_input: float | None = None
    lr_output: float | None = None
    layer_rates: tuple[float, ...] | None = None
    nesterov: bool = False
    schedule: Schedule | None = None

    low_rank = True

    def __post_init__(self) -> None:
        check_rates(self.lr, self.weight_decay, lr_input=self.lr_input, lr_output=self.lr_output)
        check_fraction("momentum", self.momentum)
        if self.nesterov and not self.momentum:
            raise ValueError("`momentum` must be positive with nesterov=True; got 0.0.")
        for rate in self.layer_rates or ():
            positive_float("layer_rates", rate, zero=True)

    @property
    def numbers(self) -> Numbers:
        input, output = (self.lr if rate is None else rate for rate in (self.lr_input, self.lr_output))
        layers = None if self.layer_rates is None else tuple(self.layer_rates)
        ahead = self.momentum if self.nesterov else None
        return Numbers(self.lr, input, output, layers, self.momentum, 0.0, 0.0, self.weight_decay, ahead)

    def init(self, parameters: Parameters) -> Moments | None:
        """Zero momentum, or None where there is none to keep."""
        return zero_moments(parameters) if self.momentum else None

    @classmethod
    def update(
        cls, parameters: Parameters, state: Moments | None, gradients: Gradients, numbers: Numbers, rules: Rules,
        hidden_rates: tuple[Any, ...],
    ) -> tuple[Parameters, Moments | None]:  # fmt: skip
        decayed = [w.scale(1 - numbers.lr * numbers.decay) for w in parameters.hidden]
        steps = [numbers.lr * rules.hidden.operator_rate * r for r in relative_rates(parameters, numbers, hidden_rates)]
        if state is None:
            moves = Moments(gradients.input, (), gradients.output)
            pairs = zip(decayed, gradients.hidden, steps, strict=True)
            hidden = [w.add_outer(left, right, -step) for w, (left, right), step in pairs]
        else:
            state, moves = numbers.momentum(state, in_full(parameters, gradients))
            moved = zip(decayed, moves.hidden, steps, strict=True)
            hidden = [w.add_core(-per_layer(step) * v) for w, v, step in moved]

        input, output = moved_ends(parameters, moves, numbers, rules)
        return Parameters(input, tuple(hidden), output), state
