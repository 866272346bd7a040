"""Activations by name and by function, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from neural_limits.networks import ACTIVATIONS, MLP, resolve_activation

EXACT: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "gelu": lambda x: x * special.ndtr(x),
    "erf": special.erf,
    "linear": lambda x: x,
}


def test_every_name_is_covered() -> None:
    assert set(EXACT) == set(ACTIVATIONS)


@pytest.mark.parametrize("name", EXACT)
def test_named_activations(name: str) -> None:
    x = np.linspace(-4, 4, 40)
    np.testing.assert_allclose(resolve_activation(name)(jnp.asarray(x)), EXACT[name](x), atol=1e-12)


def test_an_unknown_name_lists_the_known_ones_and_the_nearest() -> None:
    with pytest.raises(
        ValueError, match=r"`activation`.*'tanh', 'relu', 'gelu', 'erf', 'linear'.*'thanh'.*mean 'tanh'"
    ):
        MLP(activation="thanh")


def test_own_functions_are_taken() -> None:
    assert resolve_activation(jnp.sin) is jnp.sin
    assert MLP(activation=lambda x: x**3).hidden == 2


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.sum(),
        lambda x: x[:, :1],
        lambda x: x.T,
        jax.nn.softmax,
        lambda x: x - x.mean(axis=0),
        lambda x: x / jnp.linalg.norm(x),
        lambda x: x[:, ::-1],
    ],
    ids=["sum", "slice", "transpose", "softmax", "centred", "normalised", "reversed"],
)
def test_functions_that_mix_entries_are_refused(function: Callable) -> None:
    with pytest.raises(ValueError, match=r"`activation` must act elementwise"):
        MLP(activation=function)


@pytest.mark.parametrize("function", [np.sin, lambda x: x + "a", lambda x, y: x], ids=["numpy", "broken", "two"])
def test_functions_jax_cannot_differentiate_are_refused_in_one_line(function: Callable) -> None:
    with pytest.raises(ValueError, match=r"`activation` must be a function JAX can differentiate") as refused:
        MLP(activation=function)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("hidden", [-1, 1.5, "two", None])
def test_hidden_must_be_a_whole_number(hidden: object) -> None:
    with pytest.raises(ValueError, match=r"`hidden` must be"):
        MLP(hidden=hidden)
