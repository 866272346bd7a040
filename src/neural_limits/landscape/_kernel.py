"""The neural tangent kernel of an MLP on any form of weights, from the backward vectors of every sample."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from ..networks import MLP, Parameters
from ..parametrizations import Rules
from ._metric import Rates
from ._passes import backward, fine_copy, forward, with_room


def tangent_kernel(
    network: MLP, parameters: Parameters, rules: Rules, rates: Rates, x: Float[Array, "P d"]
) -> tuple[Float[Array, "k k"], Float[Array, "P C"]]:
    """Θ = (1/P) J R Jᵀ on the outputs (P C), and the outputs. Conditioned weights are looked at on a copy.

        Θ_{μc,νd} = (1/P) Σ_l R_l ⟨δ_{μc}^{l+1}, δ_{νd}^{l+1}⟩ ⟨a_μ^l, a_ν^l⟩

    over all weights: a^l what the weight is applied to, δ^{l+1} the derivative of output c by its result.
    Exact, in law on conditioned weights. Cost: one forward and C backward passes, O((P C)² n) per layer.
    """
    samples, outputs = x.shape[0], parameters.output.shape[0]
    fine = fine_copy(parameters)
    fine = Parameters(fine.input, with_room(fine.hidden, samples, left=outputs), fine.output)  # type: ignore[arg-type]
    return _tangent_kernel(network, fine, rules, rates, x)


@partial(jax.jit, static_argnames="network")
def _tangent_kernel(
    network: MLP, parameters: Parameters, rules: Rules, rates: Rates, x: Float[Array, "P d"]
) -> tuple[Float[Array, "k k"], Float[Array, "P C"]]:
    ahead, weights = forward(network, parameters, rules, x)
    (samples, outputs), width = ahead.outputs.shape, x.dtype

    def one_output(weights: Any, unit: Array) -> tuple[Any, tuple[Array, ...]]:
        chi = jnp.broadcast_to(unit, (samples, outputs))
        back, weights = backward(weights, parameters.output, rules, ahead.slopes, chi)
        return weights, back.signals

    _, signals = lax.scan(one_output, weights, jnp.eye(outputs, dtype=width))  # each (C, P, n)

    def layer(applied_to: Array, signal: Array) -> Array:
        return _gram(signal) * (applied_to @ applied_to.T)[:, None, :, None]

    kernel = rates.input * rules.input.multiplier**2 * layer(x, signals[0])
    for rate, z, signal in zip(rates.hidden, ahead.features[:-1], signals[1:], strict=True):
        kernel += rate * layer(z, signal)
    last = ahead.features[-1]
    read = (last @ last.T)[:, None, :, None] * jnp.eye(outputs, dtype=width)[None, :, None, :]
    kernel += rates.output * rules.output.multiplier**2 * read
    return kernel.reshape(samples * outputs, -1) / samples, ahead.outputs


def _gram(signal: Float[Array, "C P n"]) -> Float[Array, "P C P C"]:
    rows = jnp.swapaxes(signal, 0, 1)
    flat = rows.reshape(-1, rows.shape[-1])
    return (flat @ flat.T).reshape(*rows.shape[:2], *rows.shape[:2])
