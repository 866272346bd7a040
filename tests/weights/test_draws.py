"""Normal draws: JAX's bits, the normal law, and JAX's own numbers where ours has no form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from neural_limits.weights._draws import _bits, _erf_inv, normal


@pytest.mark.parametrize("shape", [(5,), (3, 1001), (2, 3, 4)])
def test_the_bits_are_those_of_jax(shape: tuple[int, ...]) -> None:
    for seed in (0, 12345):
        key = jax.random.fold_in(jax.random.key(seed), 7)
        np.testing.assert_array_equal(_bits(jax.random.key_data(key), shape), jax.random.bits(key, shape, jnp.uint32))


def test_the_inverse_error_function_is_right_to_single_precision() -> None:
    x = np.concatenate([np.linspace(-0.999, 0.999, 10_001), 1 - 2.0 ** -np.arange(10, 24)]).astype(np.float32)
    np.testing.assert_allclose(_erf_inv(jnp.asarray(x)), special.erfinv(x.astype(float)), rtol=2e-6, atol=1e-9)


def test_draws_are_normal() -> None:
    drawn = np.asarray(normal(jax.random.key(3), (40, 50_000), jnp.float32), float).ravel()
    n = len(drawn)
    assert abs(drawn.mean()) * n**0.5 < 4
    assert abs(drawn.var() - 1) * (n / 2) ** 0.5 < 4
    assert abs(np.mean(drawn**4) - 3) * (n / 96) ** 0.5 < 4
    assert stats.kstest(drawn, "norm").pvalue > 1e-3
    assert 4.5 < np.abs(drawn).max() < 6
    rows = drawn.reshape(40, -1)
    correlation = rows @ rows.T / rows.shape[1] - np.eye(40)
    assert np.abs(correlation).max() * rows.shape[1] ** 0.5 < 5.5  # of 820 numbers, two se of the diagonal's


def test_double_precision_and_other_generators_are_jaxs() -> None:
    key, other = jax.random.key(1), jax.random.key(1, impl="rbg")
    np.testing.assert_array_equal(normal(key, (9,), jnp.float64), jax.random.normal(key, (9,), jnp.float64))
    np.testing.assert_array_equal(normal(other, (9,), jnp.float32), jax.random.normal(other, (9,), jnp.float32))
