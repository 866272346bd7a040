"""Adam, on dense weights only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._checks import positive_float
from ..networks import Gradients, Parameters
from ..parametrizations import LayerRule, Rules
from ._optimizer import Moments, Numbers, Optimizer
from ._schedule import Schedule
from ._updates import check_fraction, check_rates, in_full, per_layer, relative_rates, zero_moments


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam with decoupled weight decay (AdamW), on dense weights only.

    w ← (1 - lr λ) w - lr rate m̂/(√v̂ + ε). Dividing entry by entry destroys the low rank of the gradient, so
    there is no exact conditioned form. Source: Kingma & Ba 2015, Loshchilov & Hutter 2019.

    >>> Adam(lr=0.01).low_rank
    False
    """

    lr: float
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-12  # muP gradients of hidden entries are O(1/n²); a larger ε would freeze wide layers
    weight_decay: float = 0.0
    schedule: Schedule | None = None

    low_rank = False

    def __post_init__(self) -> None:
        check_rates(self.lr, self.weight_decay)
        check_fraction("beta1", self.beta1)
        check_fraction("beta2", self.beta2)
        positive_float("epsilon", self.epsilon)

    @property
    def numbers(self) -> Numbers:
        return Numbers(self.lr, self.lr, self.lr, None, self.beta1, self.beta2, self.epsilon, self.weight_decay)

    def init(self, parameters: Parameters) -> tuple[Moments, Moments, Array]:
        """Zero first and second moments, and the number of steps."""
        return zero_moments(parameters), zero_moments(parameters), jnp.zeros((), jnp.int32)

    @classmethod
    def update(
        cls,
        parameters: Parameters,
        state: tuple[Moments, Moments, Array],
        gradients: Gradients,
        numbers: Numbers,
        rules: Rules,
        hidden_rates: tuple[Any, ...],
    ) -> tuple[Parameters, tuple[Moments, Moments, Array]]:
        first, second, steps = state
        full = in_full(parameters, gradients)
        first = jax.tree.map(lambda m, g: numbers.first * m + (1 - numbers.first) * g, first, full)
        second = jax.tree.map(lambda v, g: numbers.second * v + (1 - numbers.second) * g**2, second, full)
        steps = steps + 1
        time = steps.astype(parameters.input.dtype)
        bias1, bias2 = 1 - numbers.first**time, 1 - numbers.second**time
        keep = 1 - numbers.lr * numbers.decay

        def direction(m: Array, v: Array, epsilon: Any) -> Array:
            return (m / bias1) / (jnp.sqrt(v / bias2) + epsilon)

        def moved(w: Array, m: Array, v: Array, rule: LayerRule) -> Array:
            return keep * w - numbers.lr * rule.rate_adam * direction(m, v, numbers.epsilon)

        # W ← keep W - lr rate m̂/(√v̂ + ε) with W the weight under the multiplier; hidden weights are held as
        # operators (multiplier · W): there the step is multiplied once, and gradients lack one multiplier
        rule = rules.hidden
        relative = relative_rates(parameters, numbers, hidden_rates)
        hidden = tuple(
            w.scale(keep).add_core(
                -per_layer(numbers.lr * rule.rate_adam * rule.multiplier * rate)
                * direction(m, v, numbers.epsilon / rule.multiplier)
            )
            for w, m, v, rate in zip(parameters.hidden, first.hidden, second.hidden, relative, strict=True)
        )
        input = moved(parameters.input, first.input, second.input, rules.input)
        output = moved(parameters.output, first.output, second.output, rules.output)
        return Parameters(input, hidden, output), (first, second, steps)
