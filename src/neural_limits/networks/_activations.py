"""Elementwise nonlinearities, by name or by any function JAX can differentiate."""

from __future__ import annotations

from collections.abc import Callable

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
    probe = jax.ShapeDtypeStruct((2, 3), jnp.result_type(float))
    try:
        value, slope = jax.eval_shape(lambda x: value_and_slope(activation, x), probe)
    except Exception as error:  # a user's function can fail in any way
        raise ValueError(
            f"`activation` must be a function JAX can differentiate; {activation!r} failed: {error}".splitlines()[0]
        ) from error
    if value.shape != (2, 3) or slope.shape != (2, 3):
        raise ValueError(f"`activation` must act elementwise; {activation!r} maps shape (2, 3) to {value.shape}.")
    return activation


def value_and_slope(activation: Activation, x: Float[Array, "*s"]) -> tuple[Float[Array, "*s"], Float[Array, "*s"]]:
    """φ(x) and φ'(x), elementwise."""
    return jax.jvp(activation, (x,), (jnp.ones_like(x),))
