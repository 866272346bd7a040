"""Residual networks against plain ones differentiated by JAX; compilation that does not grow with depth."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import neural_limits as nl
from neural_limits.networks import Parameters
from neural_limits.training._losses import loss_named
from neural_limits.weights import DenseMatrix, Stack

SAMPLES, INPUTS, WIDTH, DEPTH = 3, 4, 6, 3


def make_dense(key: jax.Array, width: int, std: float) -> DenseMatrix:
    return DenseMatrix.create(key, width, width, std=std)


def plain_outputs(weights, x, rules, network):
    """Sample by sample, matrix by matrix."""
    u, stacks, v = weights
    phi = {"tanh": jnp.tanh, "relu": lambda h: jnp.where(h > 0, h, 0.0)}[network.activation]

    def one(sample):
        h = rules.input.multiplier * u.T @ sample
        for l in range(network.depth):
            block = stacks[0][l] @ phi(h)
            if len(stacks) == 2:
                block = stacks[1][l] @ phi(block)
            h = h + rules.branch * block if network.skip else block
        return rules.output.multiplier * v @ h

    return jax.vmap(one)(x)


@pytest.mark.parametrize(
    ("block", "activation", "skip", "outputs", "loss"),
    [
        ("one-layer", "tanh", True, 1, "mse"),
        ("one-layer", "relu", True, 3, "softmax"),
        ("one-layer", "tanh", False, 2, "mse"),
        ("two-layer", "tanh", True, 1, "mse"),
        ("two-layer", "tanh", False, 3, "softmax"),
    ],
)
def test_outputs_and_gradients_equal_those_of_a_plain_network(block, activation, skip, outputs, loss):
    network = nl.ResNet(DEPTH, block, activation, skip)
    rules = network.rules(nl.DepthMuP(gamma=0.3, sigma_w=1.3), WIDTH, INPUTS)
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((SAMPLES, INPUTS)))
    y = jnp.asarray(
        rng.dirichlet(np.ones(outputs), SAMPLES) if loss == "softmax" else rng.standard_normal((SAMPLES, outputs))
    )
    parameters = network.init(jax.random.key(1), INPUTS, outputs, WIDTH, rules, make_dense, jnp.float64)

    def ours(parameters: Parameters):
        f, trace, looked = network.forward(parameters, x, rules)
        value, chi = loss_named(loss)(f, y)
        gradients, looked = network.backward(looked, trace, chi, rules)
        cores = [w.outer(left, right) for w, (left, right) in zip(looked.hidden, gradients.hidden, strict=True)]
        return value, (gradients.input, cores, gradients.output)

    def exact(weights):
        return loss_named(loss)(plain_outputs(weights, x, rules, network), y)[0]

    weights = parameters.input, [w.layers.value for w in parameters.hidden], parameters.output
    mine, theirs = jax.jit(ours)(parameters), jax.jit(jax.value_and_grad(exact))(weights)
    for a, b in zip(jax.tree.leaves(mine), jax.tree.leaves(theirs), strict=True):
        assert np.abs(b).max() > 1e-6  # nothing passes by vanishing
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_the_compiled_program_does_not_grow_with_depth():
    def lines(depth: int) -> int:
        network = nl.ResNet(depth, "two-layer")
        rules = network.rules(nl.DepthMuP(), WIDTH, INPUTS)
        parameters = network.init(jax.random.key(0), INPUTS, 1, WIDTH, rules, make_dense, jnp.float64)

        def both(parameters):
            f, trace, looked = network.forward(parameters, jnp.ones((SAMPLES, INPUTS)), rules)
            return network.backward(looked, trace, f, rules)

        return len(str(jax.make_jaxpr(both)(parameters)).splitlines())

    assert lines(64) == lines(4)


def test_initial_weights_are_stacked_and_independent():
    network = nl.ResNet(4, "two-layer")
    rules = network.rules(nl.DepthMuP(sigma_w=1.5), 200, 10)
    parameters = network.init(jax.random.key(0), 10, 2, 200, rules, make_dense, jnp.float64)
    assert [type(w) for w in parameters.hidden] == [Stack, Stack]
    values = np.concatenate([w.layers.value for w in parameters.hidden]).reshape(8, -1)
    np.testing.assert_allclose(values.std(axis=1), 1.5 * 200**-0.5, rtol=0.02)
    correlations = np.corrcoef(values) - np.eye(8)
    assert np.abs(correlations).max() < 5 / 200


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 0}, "`depth` must be at least 1; got 0."),
        ({"block": "three-layer"}, "`block` must be one of 'one-layer', 'two-layer'; got 'three-layer'."),
        ({"activation": "tan"}, "`activation` must be one of 'tanh', 'relu', 'gelu', 'erf', 'linear'; got 'tan'."),
        ({"activation": lambda h: jax.lax.stop_gradient(h).item()}, "`activation` must be a function JAX can"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match="must") as error:
        nl.ResNet(**arguments)
    assert str(error.value).startswith(message)
