"""What the operators have in common: the rates of the weights, and the loss's own curvature."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..networks import Network, Parameters
from ..parametrizations import Rules
from ..training import SGD, Optimizer, loss_named, relative_rates


class Rates(NamedTuple):
    """R: by how much each weight moves against its gradient when lr is 1; hidden ones as operators.

    A number each, or one for each layer of a stack.
    """

    input: Any
    hidden: tuple[Any, ...]
    output: Any


def rates_of(network: Network, parameters: Parameters, rules: Rules, optimizer: Optimizer) -> Rates:
    """The parametrization's rates times the optimizer's own relative to lr; ValueError unless it is SGD."""
    if not isinstance(optimizer, SGD):
        raise ValueError(
            f"`optimizer` must be SGD: {type(optimizer).__name__} has no fixed metric in which its steps follow the "
            "gradient; pass optimizer=SGD(lr=...) for the curvature that gradient descent would meet."
        )
    numbers = optimizer.numbers
    relative = relative_rates(parameters, numbers, network.hidden_rates(rules))
    return Rates(
        rules.input.rate * numbers.input / numbers.lr,
        tuple(rules.hidden.operator_rate * rate for rate in relative),
        rules.output.rate * numbers.output / numbers.lr,
    )


def stability_limit(optimizer: Optimizer) -> float:
    """2 (1 + m)/lr: gradient descent with momentum m is linearly stable below it; with Nesterov's over 1 + 2m too."""
    numbers = optimizer.numbers
    m, ahead = float(numbers.first), float(numbers.ahead or 0.0)
    return 2 * (1 + m) / (1 + 2 * ahead) / float(numbers.lr)


def output_factor(loss: str, outputs: Float[Array, "P C"]) -> Float[Array, "P C C"]:
    """F_μ with F_μ F_μᵀ = ∂²ℓ/∂f², the curvature of one sample's loss ℓ by its outputs.

    Squared error: 1. Softmax: diag(s) - p sᵀ, s = √p, whose square is diag(p) - p pᵀ.
    """
    if loss == "softmax":
        p = jax.nn.softmax(outputs, axis=1)
        root = jnp.sqrt(p)
        return root[:, :, None] * jnp.eye(outputs.shape[1], dtype=p.dtype) - p[:, :, None] * root[:, None, :]
    return jnp.broadcast_to(jnp.eye(outputs.shape[1], dtype=outputs.dtype), (*outputs.shape, outputs.shape[1]))


def loss_slope(loss: str, outputs: Float[Array, "P C"], y: Float[Array, "P C"]) -> Float[Array, "P C"]:
    """chi = ∂loss/∂outputs."""
    return loss_named(loss)(outputs, y)[1]


def loss_slope_change(
    loss: str, outputs: Float[Array, "P C"], y: Float[Array, "P C"], change: Float[Array, "P C"]
) -> Float[Array, "P C"]:
    """Change of chi with a change of the outputs."""
    return jax.jvp(lambda f: loss_slope(loss, f, y), (outputs,), (change,))[1]
