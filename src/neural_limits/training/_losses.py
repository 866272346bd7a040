"""Losses and their derivative with respect to the outputs."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._checks import one_of

Loss = Callable[[Array, Array], tuple[Array, Array]]


def mean_squared(f: Float[Array, "P C"], y: Float[Array, "P C"]) -> tuple[Float[Array, ""], Float[Array, "P C"]]:
    """(1/2P) Σ (f - y)² over samples and outputs, and its derivative (f - y)/P."""
    error = f - y
    return jnp.sum(error**2) / (2 * f.shape[0]), error / f.shape[0]


def softmax_cross_entropy(
    f: Float[Array, "P C"], y: Float[Array, "P C"]
) -> tuple[Float[Array, ""], Float[Array, "P C"]]:
    """-(1/P) Σ y log softmax(f), and its derivative (softmax(f) - y)/P for rows of y that sum to one."""
    log_p = jax.nn.log_softmax(f, axis=1)
    return -jnp.sum(y * log_p) / f.shape[0], (jnp.exp(log_p) - y) / f.shape[0]


LOSSES: dict[str, Loss] = {"mse": mean_squared, "softmax": softmax_cross_entropy}


def loss_named(name: str) -> Loss:
    """The loss of that name; ValueError naming the known ones otherwise."""
    return LOSSES[one_of("loss", name, LOSSES)]
