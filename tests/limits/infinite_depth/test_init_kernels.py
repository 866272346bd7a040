"""Kernels of untrained networks: closed forms, and two quadratures."""

from __future__ import annotations

import numpy as np
import pytest

import neural_limits as nl

kernels_at_init = nl.limits.infinite_depth.kernels_at_init
expectations = nl.limits.infinite_depth.expectations
X = nl.tasks.toy(samples=3, inputs=5).x


@pytest.mark.parametrize(
    ("activation", "feature", "gradient"),
    [("relu", np.exp(0.5), np.exp(0.5)), ("tanh", 1.42790, 1.54077), ("linear", np.e, np.e)],
)
def test_known_ends(activation, feature, gradient):
    kernels = kernels_at_init(X, activation)
    np.testing.assert_allclose(np.diag(kernels.covariance[-1]), feature, rtol=4e-6)
    np.testing.assert_allclose(np.diag(kernels.gradient_kernel[0]), gradient, rtol=4e-6)
    assert kernels.attrs["quadrature_error"] < 1e-3


def test_expectations_against_closed_forms():
    rng = np.random.default_rng(0)
    root = rng.standard_normal((4, 4))
    c = root @ root.T
    # erf: Williams 1998, for E erf(h) erf(h')
    size = 1 + 2 * np.diag(c)
    exact = 2 / np.pi * np.arcsin(2 * c / np.sqrt(np.multiply.outer(size, size)))
    slope = 4 / np.pi / np.sqrt(np.multiply.outer(size, size) - 4 * c**2)
    found = expectations("erf", 80)(c)
    np.testing.assert_allclose(found[0], exact, atol=2e-3 * np.abs(exact).max())
    np.testing.assert_allclose(found[1], slope, rtol=0.05)
    # the arc-cosine forms against the quadrature of the same function, and a polynomial, exact by quadrature
    import jax

    np.testing.assert_allclose(expectations("relu")(c)[0], expectations(jax.nn.relu, 100)(c)[0], rtol=0.03)
    cubic = expectations(lambda h: h**3, 20)(c)[0]
    var = np.diag(c)
    np.testing.assert_allclose(cubic, 9 * c * np.multiply.outer(var, var) + 6 * c**3, rtol=1e-9)


def test_finite_depth_is_a_product_and_approaches_the_flow():
    for activation in ("tanh", "linear"):
        ends = [kernels_at_init(X, activation, depth=d).tangent_kernel.values for d in (32, 64)]
        limit = kernels_at_init(X, activation).tangent_kernel.values
        ratio = np.abs(ends[0] - limit).max() / np.abs(ends[1] - limit).max()
        assert ratio == pytest.approx(2.0, rel=0.1)
    exact = kernels_at_init(X, "linear", depth=7)
    np.testing.assert_allclose(exact.covariance[-1], X @ X.T / 5 * (1 + 1 / 7) ** 7, rtol=1e-12)
    np.testing.assert_allclose(exact.gradient_kernel[0], (1 + 1 / 7) ** 7, rtol=1e-12)


def test_tangent_kernel_is_that_of_a_wide_network():
    import jax

    network, scheme, width = nl.ResNet(4, activation="tanh"), nl.DepthMuP(), 500
    run = nl.train(network, nl.Task(x=X, y=X[:, :1], loss="mse"), scheme, width=width, steps=0, weights="dense")
    stack, (u, v) = run.parameters.hidden[0], (run.parameters.input, run.parameters.output)

    def output(u, m, v, x):
        h = x @ u / 5**0.5
        for l in range(4):
            h = h + 0.5 * m[l] @ jax.numpy.tanh(h)
        return v[0] @ h / width

    slopes = [jax.grad(output, argnums=(0, 1, 2))(u, stack.layers.value, v, x) for x in X]
    rates = (width, 1.0, width)  # muP's, with hidden operators
    found = [[sum(r * (a * b).sum() for r, a, b in zip(rates, p, q, strict=True)) for p in slopes] for q in slopes]
    exact = kernels_at_init(X, "tanh", depth=4).tangent_kernel.values
    np.testing.assert_allclose(np.array(found), exact, atol=6 * np.abs(exact).max() / width**0.5)


def test_bad_input():
    with pytest.raises(ValueError, match=r"`depth` must be at least 1; got 0\."):
        kernels_at_init(X, "tanh", depth=0)
    with pytest.raises(ValueError, match="`activation` must be one of"):
        kernels_at_init(X, "tan")
    with pytest.raises(ValueError, match="norm zero; row 1"):
        kernels_at_init(X * [[1], [0], [1]], "tanh")
