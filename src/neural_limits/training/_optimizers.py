"""Gradient descent with momentum and weight decay, exact on learned cores; Adam, on dense weights only."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._checks import positive_float
from ..networks import Gradients, Parameters
from ..parametrizations import LayerRule, Rules
from ..weights import DenseMatrix, WeightMatrix


class Numbers(NamedTuple):
    """An optimizer's numbers, traced, so that a sweep over them compiles once."""

    lr: Any
    first: Any  # momentum, or Adam's β1
    second: Any  # Adam's β2
    epsilon: Any
    decay: Any


class Moments(NamedTuple):
    """One moment of the gradients: arrays for input and output, cores for the hidden weights."""

    input: Array
    hidden: tuple[Array, ...]
    output: Array


class Optimizer(abc.ABC):
    """Numbers, state, and one step; the step is a static method so that only its kind is compiled in."""

    low_rank: bool  # whether its steps keep a low-rank gradient low rank

    @property
    @abc.abstractmethod
    def numbers(self) -> Numbers:
        """The numbers to be traced."""

    @abc.abstractmethod
    def init(self, parameters: Parameters) -> Any:
        """The state before the first step."""

    @staticmethod
    @abc.abstractmethod
    def update(
        parameters: Parameters, state: Any, gradients: Gradients, numbers: Numbers, rules: Rules
    ) -> tuple[Parameters, Any]:
        """One step: the new weights and state."""


@dataclass(frozen=True)
class SGD(Optimizer):
    """w ← (1 - lr λ) w - lr rate v,   v ← momentum v + ∂loss/∂w, with the parametrization's rate per layer.

    ``weight_decay`` λ is decoupled: it multiplies every weight by the same 1 - lr λ at each step, whatever
    the width. All three are exact on conditioned weights: the gradient is a core, momentum a second core,
    decay a scale. ValueError for a rate that is not positive, or momentum outside [0, 1).

    >>> SGD(lr=0.3, momentum=0.9)
    SGD(lr=0.3, momentum=0.9, weight_decay=0.0)
    """

    lr: float
    momentum: float = 0.0
    weight_decay: float = 0.0

    low_rank = True

    def __post_init__(self) -> None:
        _check_rates(self.lr, self.weight_decay)
        _check_fraction("momentum", self.momentum)

    @property
    def numbers(self) -> Numbers:
        return Numbers(self.lr, self.momentum, 0.0, 0.0, self.weight_decay)

    def init(self, parameters: Parameters) -> Moments | None:
        """Zero momentum, or None where there is none to keep."""
        return _zero_moments(parameters) if self.momentum else None

    @staticmethod
    def update(
        parameters: Parameters, state: Moments | None, gradients: Gradients, numbers: Numbers, rules: Rules
    ) -> tuple[Parameters, Moments | None]:
        keep = 1 - numbers.lr * numbers.decay
        decayed = [w.scale(keep) for w in parameters.hidden]
        step = numbers.lr * rules.hidden.operator_rate
        if state is None:
            moves = Moments(gradients.input, (), gradients.output)
            pairs = zip(decayed, gradients.hidden, strict=True)
            hidden = [w.add_outer(left, right, -step) for w, (left, right) in pairs]
        else:
            moves = state = jax.tree.map(lambda v, g: numbers.first * v + g, state, _in_full(parameters, gradients))
            hidden = [w.add_core(-step * v) for w, v in zip(decayed, moves.hidden, strict=True)]
        input = keep * parameters.input - numbers.lr * rules.input.rate * moves.input
        output = keep * parameters.output - numbers.lr * rules.output.rate * moves.output
        return Parameters(input, tuple(hidden), output), state


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

    low_rank = False

    def __post_init__(self) -> None:
        _check_rates(self.lr, self.weight_decay)
        _check_fraction("beta1", self.beta1)
        _check_fraction("beta2", self.beta2)
        positive_float("epsilon", self.epsilon)

    @property
    def numbers(self) -> Numbers:
        return Numbers(self.lr, self.beta1, self.beta2, self.epsilon, self.weight_decay)

    def init(self, parameters: Parameters) -> tuple[Moments, Moments, Array]:
        """Zero first and second moments, and the number of steps."""
        return _zero_moments(parameters), _zero_moments(parameters), jnp.zeros((), jnp.int32)

    @staticmethod
    def update(
        parameters: Parameters,
        state: tuple[Moments, Moments, Array],
        gradients: Gradients,
        numbers: Numbers,
        rules: Rules,
    ) -> tuple[Parameters, tuple[Moments, Moments, Array]]:
        first, second, steps = state
        full = _in_full(parameters, gradients)
        first = jax.tree.map(lambda m, g: numbers.first * m + (1 - numbers.first) * g, first, full)
        second = jax.tree.map(lambda v, g: numbers.second * v + (1 - numbers.second) * g**2, second, full)
        steps = steps + 1
        time = steps.astype(parameters.input.dtype)
        bias1, bias2 = 1 - numbers.first**time, 1 - numbers.second**time
        keep = 1 - numbers.lr * numbers.decay

        def moved(w: Array, m: Array, v: Array, rule: LayerRule) -> Array:
            # W ← keep W - lr rate m̂/(√v̂ + ε) with W the weight under the multiplier; hidden weights are held as
            # operators (multiplier · W): there the step is multiplied once, and gradients lack one multiplier
            epsilon = numbers.epsilon / rule.multiplier if rule is hidden_rule else numbers.epsilon
            return keep * w - numbers.lr * rule.rate_adam * (m / bias1) / (jnp.sqrt(v / bias2) + epsilon)

        hidden_rule = rules.hidden._replace(rate_adam=rules.hidden.rate_adam * rules.hidden.multiplier)
        hidden = tuple(
            DenseMatrix(moved(w.value, m, v, hidden_rule), keep * w.std)  # type: ignore[attr-defined]
            for w, m, v in zip(parameters.hidden, first.hidden, second.hidden, strict=True)
        )
        input = moved(parameters.input, first.input, second.input, rules.input)
        output = moved(parameters.output, first.output, second.output, rules.output)
        return Parameters(input, hidden, output), (first, second, steps)


def check_optimizer(optimizer: object, weights: str) -> Optimizer:
    """The optimizer, if it is one and exact on this form of weights; ValueError with the reason otherwise."""
    if not isinstance(optimizer, Optimizer):
        raise ValueError(f"`optimizer` must be one of neural_limits' (SGD, Adam); got {optimizer!r}.")
    if weights == "conditioned" and not optimizer.low_rank:
        raise ValueError(
            f"`optimizer` {type(optimizer).__name__} divides gradients entry by entry, which is not low rank and has "
            'no exact form on conditioned weights; use weights="dense", or SGD.'
        )
    return optimizer


def _in_full(parameters: Parameters, gradients: Gradients) -> Moments:
    """The gradients with the hidden ones as cores."""
    pairs: zip[tuple[WeightMatrix, tuple[Array, Array]]] = zip(parameters.hidden, gradients.hidden, strict=True)
    return Moments(gradients.input, tuple(w.outer(left, right) for w, (left, right) in pairs), gradients.output)


def _zero_moments(parameters: Parameters) -> Moments:
    return Moments(
        jnp.zeros_like(parameters.input),
        tuple(w.zero_core() for w in parameters.hidden),
        jnp.zeros_like(parameters.output),
    )


def _check_rates(lr: float, decay: float) -> None:
    positive_float("lr", lr)
    if lr * positive_float("weight_decay", decay, zero=True) >= 1:
        raise ValueError(f"`weight_decay` must be below 1/lr = {1 / lr:.4g}; got {decay!r}.")


def _check_fraction(name: str, value: float) -> None:
    if positive_float(name, value, zero=True) >= 1:
        raise ValueError(f"`{name}` must be below 1; got {value!r}.")
