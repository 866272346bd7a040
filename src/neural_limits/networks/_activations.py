"""Elementwise nonlinearities, by name or by any function JAX can differentiate."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._checks import one_of

Activation = Callable[[Array], Array]


def _gelu(x: Array) -> Array:
    return jax.nn.gelu(x, approximate=False)


def _linear(x: Array) -> Array:
    return x


ACTIVATIONS: dict[str, Activation] = {
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "gelu": _gelu,  # the erf form
    "erf": jax.scipy.special.erf,
    "linear": _linear,
}


def resolve_activation(activation: str | Activation) -> Activation:
    """The function of that name, or the user's own after a check that it is elementwise and differentiable.

    ValueError naming the known activations, or saying what is wrong with the callable.

    >>> resolve_activation("tanh") is jnp.tanh
    True
    """
    if not callable(activation):
        return ACTIVATIONS[one_of("activation", activation, ACTIVATIONS)]
    _check_own(activation)
    return activation


@lru_cache(maxsize=64)
def _check_own(activation: Activation) -> None:
    """ValueError unless the function is differentiable and gives each entry from that entry alone."""
    with jax.ensure_compile_time_eval():
        x = jnp.array([[-1.3, 0.2, 0.9], [0.4, -0.6, 2.0]])
        try:
            value, _ = jax.jvp(activation, (x,), (jnp.ones_like(x),))
        except Exception as error:  # a user's function can fail in any way
            raise ValueError(
                f"`activation` must be a function JAX can differentiate; {activation!r} failed: {error}".splitlines()[0]
            ) from error
        try:
            alone = jax.vmap(jax.vmap(activation))(x)
        except Exception:  # it needs more than one entry
            alone = jnp.full(x.shape, jnp.nan)
        if value.shape != x.shape or not bool(jnp.allclose(value, alone)):
            raise ValueError(f"`activation` must act elementwise; {activation!r} does not.")


def value_and_slope(activation: Activation, x: Float[Array, "*s"]) -> tuple[Float[Array, "*s"], Float[Array, "*s"]]:
    """φ(x) and φ'(x), elementwise."""
    return jax.jvp(activation, (x,), (jnp.ones_like(x),))
