"""The fully connected network against a plain one, differentiated by JAX."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_limits.networks import MLP, Parameters
from neural_limits.parametrizations import NTK, MuP, Rules
from neural_limits.training._losses import loss_named
from neural_limits.weights import DenseMatrix

SAMPLES, INPUTS, WIDTH = 5, 4, 7
PHI = {
    "tanh": jnp.tanh,
    "relu": lambda x: jnp.where(x > 0, x, 0.0),
    "gelu": lambda x: 0.5 * x * (1 + jax.scipy.special.erf(x / jnp.sqrt(2.0))),
    "erf": jax.scipy.special.erf,
    "linear": lambda x: x,
    "sine": jnp.sin,
}
OWN = {"sine": lambda x: jnp.sin(x)}  # given to the network as a function


def make_dense(key: jax.Array, width: int, std: float) -> DenseMatrix:
    return DenseMatrix.create(key, width, width, std=std)


def plain_loss(weights: tuple, x: jax.Array, y: jax.Array, rules: Rules, phi: str, loss: str) -> tuple:
    """Loss and outputs, column by column as in the textbook: h = W φ, no block products."""
    u, hidden, v = weights

    def one(sample: jax.Array) -> jax.Array:
        h = rules.input.multiplier * u.T @ sample
        for m in hidden:
            h = m @ PHI[phi](h)
        return rules.output.multiplier * v @ PHI[phi](h)

    f = jax.vmap(one)(x)
    if loss == "mse":
        return jnp.mean(jnp.sum((f - y) ** 2, axis=1)) / 2, f
    p = jnp.exp(f) / jnp.sum(jnp.exp(f), axis=1, keepdims=True)
    return -jnp.mean(jnp.sum(y * jnp.log(p), axis=1)), f


ALL = [(1, "mse"), (3, "mse"), (3, "softmax")]
CASES = [("tanh", 2, ALL), ("tanh", 0, ALL[1:2]), ("tanh", 1, ALL[2:]), ("tanh", 3, ALL[:1])]
CASES += [(name, 2, ALL[2:]) for name in PHI if name != "tanh"]


@pytest.mark.parametrize(("activation", "hidden", "cases"), CASES)
def test_outputs_and_gradients_equal_those_of_a_plain_network(activation: str, hidden: int, cases: list) -> None:
    network = MLP(hidden=hidden, activation=OWN.get(activation, activation))
    rng = np.random.default_rng(hidden)
    x = jnp.asarray(rng.standard_normal((SAMPLES, INPUTS)))
    targets = {
        (1, "mse"): rng.standard_normal((SAMPLES, 1)),
        (3, "mse"): rng.standard_normal((SAMPLES, 3)),
        (3, "softmax"): rng.dirichlet(np.ones(3), SAMPLES),
    }
    rules = (NTK if activation == "erf" else MuP)(gamma=0.3, sigma_w=1.3).rules(WIDTH, INPUTS)

    @partial(jax.jit, static_argnames="loss")
    def both(parameters: Parameters, y: jax.Array, loss: str) -> tuple:
        f, trace, looked = network.forward(parameters, x, rules)
        value, chi = loss_named(loss)(f, y)
        gradients, looked = network.backward(looked, trace, chi, rules)
        cores = tuple(w.outer(left, right) for w, (left, right) in zip(looked.hidden, gradients.hidden, strict=True))
        ours = value, f, (gradients.input, cores, gradients.output)
        weights = parameters.input, tuple(w.value for w in parameters.hidden), parameters.output
        (value, f), exact = jax.value_and_grad(plain_loss, has_aux=True)(weights, x, y, rules, activation, loss)
        return ours, (value, f, exact)

    for outputs, loss in cases:
        parameters = network.init(jax.random.key(1), INPUTS, outputs, WIDTH, rules, make_dense, jnp.float64)
        assert len(parameters.hidden) == hidden
        ours, exact = both(parameters, jnp.asarray(targets[outputs, loss]), loss)
        assert ours[1].shape == (SAMPLES, outputs)
        assert jax.tree.structure(ours) == jax.tree.structure(exact)
        for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(exact), strict=True):
            assert np.abs(b).max() > 1e-6  # nothing passes by vanishing
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_initial_deviations_follow_the_table(assert_within) -> None:
    rules = NTK(gamma=2.0, sigma_w=1.5).rules(300, 40)
    parameters = MLP(hidden=2).init(jax.random.key(0), 40, 60, 300, rules, make_dense, jnp.float64)
    draws = {
        rules.input.std: parameters.input,
        1.5 * 300**-0.5: jnp.stack([w.value for w in parameters.hidden]),  # operators: multiplier times weight
        rules.output.std: parameters.output,
    }
    assert parameters.input.shape == (40, 300)
    assert parameters.output.shape == (60, 300)
    for std, values in draws.items():
        z = np.asarray(values).ravel() / std
        assert_within(z.mean(), 0, z.size**-0.5)
        assert_within((z**2).mean(), 1, (2 / z.size) ** 0.5)
    u, m1, m2 = parameters.input[:, :40], *(w.value[:40, :40] for w in parameters.hidden)
    for a, b in ((u, m1), (m1, m2)):  # drawn apart from one another
        r = np.corrcoef(np.ravel(a), np.ravel(b))[0, 1]
        assert_within(r, 0, 1 / 40)
