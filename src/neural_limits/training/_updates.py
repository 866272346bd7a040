"""What the steps of several optimizers are made of."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from .._checks import positive_float
from ..networks import Gradients, Parameters
from ..parametrizations import LayerRule, Rules
from ..weights import Stack, Weights
from ._optimizer import Moments, Numbers


def moved_ends(parameters: Parameters, moves: Moments, numbers: Numbers, rules: Rules) -> tuple[Array, Array]:
    """Input and output weights after a step of gradient descent: w ← (1 - rate λ) w - rate · rule.rate · move."""

    def moved(w: Array, rate: Any, rule: LayerRule, move: Array) -> Array:
        return (1 - rate * numbers.decay) * w - rate * rule.rate * move

    input = moved(parameters.input, numbers.input, rules.input, moves.input)
    return input, moved(parameters.output, numbers.output, rules.output, moves.output)


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


def check_rates(lr: float, decay: float, **ends: float | None) -> None:
    """ValueError unless lr is positive, 1 - lr λ too, and the rates of the ends, where given, not negative."""
    positive_float("lr", lr)
    for name, rate in ends.items():
        if rate is not None:
            positive_float(name, rate, zero=True)
    if lr * positive_float("weight_decay", decay, zero=True) >= 1:
        raise ValueError(f"`weight_decay` must be below 1/lr = {1 / lr:.4g}; got {decay!r}.")


def check_fraction(name: str, value: float) -> None:
    if positive_float(name, value, zero=True) >= 1:
        raise ValueError(f"`{name}` must be below 1; got {value!r}.")
