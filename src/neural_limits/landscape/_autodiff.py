"""Curvature of dense networks of any kind: products by automatic differentiation through `Network.forward`."""

from __future__ import annotations

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from ..networks import Network, Parameters
from ..parametrizations import Rules
from ..training import loss_named
from ..weights import DenseMatrix, Stack
from ._metric import Rates, output_factor

Trained = tuple[Array, tuple[Array, ...], Array]


def trained_values(parameters: Parameters) -> Trained:
    """Input, hidden and output weights as arrays; hidden ones must be dense."""
    return parameters.input, tuple(_matrix(w).value for w in parameters.hidden), parameters.output


def parameter_count(parameters: Parameters) -> int:
    """Entries of all weights."""
    return sum(x.size for x in jax.tree.leaves(trained_values(parameters)))


@partial(jax.jit, static_argnames=("network", "loss"))
def kernel_product(
    network: Network, loss: str | None, parameters: Parameters, rules: Rules, rates: Rates,
    x: Float[Array, "P d"], vector: Float[Array, " k"],
) -> Float[Array, " k"]:  # fmt: skip
    """(1/P) Fᵀ J R Jᵀ F v for v on the outputs (P C); F of the loss (None: 1)."""
    values = trained_values(parameters)
    outputs, pull = jax.vjp(lambda values: _outputs(network, parameters, values, rules, x), values)
    factor = None if loss is None else output_factor(loss, outputs)
    v = vector.reshape(outputs.shape)
    v = v if factor is None else jnp.einsum("pij,pj->pi", factor, v)
    step = jax.tree.map(lambda g, r: r * g, pull(v)[0], _spread(rates, values))
    _, v = jax.jvp(lambda values: _outputs(network, parameters, values, rules, x), (values,), (step,))
    v = v if factor is None else jnp.einsum("pji,pj->pi", factor, v)
    return v.ravel() / x.shape[0]


@partial(jax.jit, static_argnames=("network", "loss"))
def hessian_product(
    network: Network, loss: str, parameters: Parameters, rules: Rules, rates: Rates,
    x: Float[Array, "P d"], y: Float[Array, "P C"], vector: Float[Array, " k"],
) -> Float[Array, " k"]:  # fmt: skip
    """R^½ H R^½ v for v on all weights, H the Hessian of the mean loss: the derivative of its gradient along R^½ v."""
    values = trained_values(parameters)
    roots = jax.tree.map(jnp.sqrt, _spread(rates, values))

    def gradient(values: Trained) -> Trained:
        return jax.grad(lambda v: loss_named(loss)(_outputs(network, parameters, v, rules, x), y)[0])(values)

    along = jax.tree.map(lambda v, r: r * v, ravel_pytree(values)[1](vector), roots)
    change = jax.jvp(gradient, (values,), (along,))[1]
    return ravel_pytree(jax.tree.map(lambda g, r: r * g, change, roots))[0]


def _outputs(network: Network, parameters: Parameters, values: Trained, rules: Rules, x: Array) -> Array:
    hidden = tuple(_with_value(w, value) for w, value in zip(parameters.hidden, values[1], strict=True))
    return network.forward(Parameters(values[0], hidden, values[2]), x, rules)[0]


def _spread(rates: Rates, values: Trained) -> Trained:
    """The rates with the shape of the weights' tree; rates of single layers along a stack's first axis."""

    def fit(rate: Any, value: Array) -> Array:
        rate = jnp.asarray(rate, value.dtype)
        return rate.reshape(rate.shape + (1,) * (value.ndim - rate.ndim)) if rate.ndim else rate

    hidden = tuple(fit(rate, value) for rate, value in zip(rates.hidden, values[1], strict=True))
    return fit(rates.input, values[0]), hidden, fit(rates.output, values[2])


def _matrix(weight: Any) -> DenseMatrix:
    return weight.layers if isinstance(weight, Stack) else weight  # type: ignore[return-value]


def _with_value(weight: Any, value: Array) -> Any:
    return eqx.tree_at(lambda w: _matrix(w).value, weight, value)
