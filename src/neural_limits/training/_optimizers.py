"""Gradient descent with momentum and weight decay, exact on learned cores; Adam, on dense weights only. Schedules."""

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
from ..weights import Stack, Weights
from ._schedule import Schedule


class Numbers(NamedTuple):
    """An optimizer's numbers, traced, so that a sweep over them compiles once."""

    lr: Any
    input: Any  # rates of the input and output weights
    output: Any
    layers: tuple[Any, ...] | None  # factors of the hidden rate, layer by layer; None for ones
    first: Any  # momentum, or Adam's β1
    second: Any  # Adam's β2
    epsilon: Any  # Adam's ε, Muon's cutoff
    decay: Any
    ahead: Any = None  # Nesterov's: the momentum that a step adds to the gradient; None for the plain kind
    factors: Any = None  # of all rates, step by step; None for ones

    def at(self, step: Any) -> Numbers:
        """The rates of one step."""
        if self.factors is None:
            return self
        f = self.factors[step]
        return self._replace(lr=f * self.lr, input=f * self.input, output=f * self.output)

    def momentum(self, state: Moments, gradients: Moments) -> tuple[Moments, Moments]:
        """v ← momentum v + g, and the move: v itself, or g + momentum v for Nesterov's."""
        state = jax.tree.map(lambda v, g: self.first * v + g, state, gradients)
        if self.ahead is None:
            return state, state
        moves = jax.tree.map(lambda v, g: g + self.ahead * v, state, gradients)
        return state, moves


class Moments(NamedTuple):
    """One moment of the gradients: arrays for input and output, cores for the hidden weights."""

    input: Array
    hidden: tuple[Array, ...]
    output: Array


class Optimizer(abc.ABC):
    """Numbers, state, and one step; the step is the class's, so that only its kind is compiled in."""

    low_rank: bool  # whether its steps keep a low-rank gradient low rank
    schedule: Schedule | None = None

    @property
    def kind(self) -> type[Optimizer]:
        """The class whose ``update`` is compiled in."""
        return type(self)

    def numbers_for(self, steps: int) -> Numbers:
        """The numbers of a run of so many steps: with the schedule's factors, if there is one."""
        factors = None if self.schedule is None else self.schedule.factors(steps)
        return self.numbers._replace(factors=factors)

    @property
    @abc.abstractmethod
    def numbers(self) -> Numbers:
        """The numbers to be traced."""

    @abc.abstractmethod
    def init(self, parameters: Parameters) -> Any:
        """The state before the first step."""

    @classmethod
    @abc.abstractmethod
    def update(
        cls, parameters: Parameters, state: Any, gradients: Gradients, numbers: Numbers, rules: Rules,
        hidden_rates: tuple[Any, ...],
    ) -> tuple[Parameters, Any]:  # fmt: skip
        """One step: the new weights and state. ``hidden_rates`` is `Network.hidden_rates`."""


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
        check_rates(self.lr, self.weight_decay)
        check_fraction("momentum", self.momentum)
        if self.nesterov and not self.momentum:
            raise ValueError("`momentum` must be positive with nesterov=True; got 0.0.")
        for name in ("lr_input", "lr_output"):
            if getattr(self, name) is not None:
                positive_float(name, getattr(self, name), zero=True)
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

        def trained(w: Array, rate: Any, rule: LayerRule, move: Array) -> Array:
            return (1 - rate * numbers.decay) * w - rate * rule.rate * move

        input = trained(parameters.input, numbers.input, rules.input, moves.input)
        output = trained(parameters.output, numbers.output, rules.output, moves.output)
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


def check_optimizer(optimizer: object, weights: str) -> Optimizer:
    """The optimizer, if it is one and exact on this form of weights; ValueError with the reason otherwise."""
    if not isinstance(optimizer, Optimizer):
        raise ValueError(f"`optimizer` must be one of neural_limits' (SGD, Muon, Adam); got {optimizer!r}.")
    if weights == "conditioned" and not optimizer.low_rank:
        raise ValueError(
            f"`optimizer` {type(optimizer).__name__} divides gradients entry by entry, which is not low rank and has "
            'no exact form on conditioned weights; use weights="dense", or SGD or Muon.'
        )
    return optimizer


def relative_rates(parameters: Parameters, numbers: Numbers, hidden_rates: tuple[Any, ...]) -> list[Any]:
    """For every entry of `Parameters.hidden` its rate over the hidden rate: a number, or one for each layer."""
    if numbers.layers is None:
        return list(hidden_rates)
    if any(isinstance(w, Stack) for w in parameters.hidden):
        return [rate * jnp.stack([jnp.asarray(r) for r in numbers.layers]) for rate in hidden_rates]
    return [rate * layer for rate, layer in zip(hidden_rates, numbers.layers, strict=True)]


def per_layer(step: Any) -> Any:
    """A number, or one for each layer of a stack's cores."""
    return step if jnp.ndim(step) == 0 else jnp.asarray(step)[:, None, None]


def in_full(parameters: Parameters, gradients: Gradients) -> Moments:
    """The gradients with the hidden ones as cores."""
    pairs: zip[tuple[Weights, tuple[Array, Array]]] = zip(parameters.hidden, gradients.hidden, strict=True)
    return Moments(gradients.input, tuple(w.outer(left, right) for w, (left, right) in pairs), gradients.output)


def zero_moments(parameters: Parameters) -> Moments:
    return Moments(
        jnp.zeros_like(parameters.input),
        tuple(w.zero_core() for w in parameters.hidden),
        jnp.zeros_like(parameters.output),
    )


def check_rates(lr: float, decay: float) -> None:
    positive_float("lr", lr)
    if lr * positive_float("weight_decay", decay, zero=True) >= 1:
        raise ValueError(f"`weight_decay` must be below 1/lr = {1 / lr:.4g}; got {decay!r}.")


def check_fraction(name: str, value: float) -> None:
    if positive_float(name, value, zero=True) >= 1:
        raise ValueError(f"`{name}` must be below 1; got {value!r}.")
