"""Dense matrices against NumPy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_limits.weights import DenseMatrix

ROWS, COLUMNS = 6, 10


@pytest.fixture(scope="module")
def weight() -> DenseMatrix:
    return DenseMatrix.create(jax.random.key(0), ROWS, COLUMNS, std=0.3)


def test_entries_are_normal_with_the_given_deviation(assert_within) -> None:
    entries = np.asarray(DenseMatrix.create(jax.random.key(1), 200, 300, std=0.3).value).ravel() / 0.3
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert_within((entries**power).mean(), moment, (variance / entries.size) ** 0.5)


def test_products(weight: DenseMatrix) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((4, COLUMNS)), rng.standard_normal((4, ROWS))
    matrix = np.asarray(weight.value)
    assert weight.shape == (ROWS, COLUMNS)
    value, right, after = weight.matvec(jnp.asarray(a))
    back, left, after = after.rmatvec(jnp.asarray(b))
    np.testing.assert_allclose(value, a @ matrix.T, atol=1e-12)
    np.testing.assert_allclose(back, b @ matrix, atol=1e-12)
    np.testing.assert_array_equal(right, a)
    np.testing.assert_array_equal(left, b)
    np.testing.assert_array_equal(after.value, matrix)


@pytest.mark.parametrize("vectors", [1, 2, 8, 9, 40])  # on both sides of where the form of the sum changes
def test_outer_products(weight: DenseMatrix, vectors: int) -> None:
    rng = np.random.default_rng(vectors)
    a, b = jnp.asarray(rng.standard_normal((vectors, COLUMNS))), jnp.asarray(rng.standard_normal((vectors, ROWS)))
    exact = sum(np.outer(bj, aj) for aj, bj in zip(a, b, strict=True))
    np.testing.assert_allclose(weight.outer(b, a), exact, atol=1e-12)
    np.testing.assert_allclose(weight.add_outer(b, a, -0.2).value, weight.value - 0.2 * exact, atol=1e-12)
    np.testing.assert_allclose(weight.add_core(exact).value, weight.value + exact, atol=1e-12)


def test_decay_scales_entries_and_the_bulk(weight: DenseMatrix) -> None:
    decayed = weight.add_core(jnp.ones(weight.shape)).scale(0.5)
    np.testing.assert_allclose(decayed.value, 0.5 * (np.asarray(weight.value) + 1), atol=1e-12)
    assert float(decayed.std) == pytest.approx(0.15)
    assert not weight.zero_core().any()
    assert weight.zero_core().shape == weight.shape


def test_there_is_always_room(weight: DenseMatrix) -> None:
    assert weight.has_room(10**9)
    assert weight.reserve(10**9) is weight


def test_float32_is_kept_under_strict_promotion() -> None:
    with jax.numpy_dtype_promotion("strict"):
        weight = DenseMatrix.create(jax.random.key(0), ROWS, COLUMNS, std=0.3, dtype=jnp.float32)
        value, right, weight = weight.matvec(jnp.ones((2, COLUMNS), jnp.float32))
        back, left, weight = weight.rmatvec(value)
        weight = weight.add_outer(left, right, 0.1).scale(0.5)
    assert {x.dtype for x in (value, back, weight.value, weight.std)} == {jnp.dtype("float32")}


@pytest.mark.parametrize(
    ("rows", "columns", "std", "match"),
    [
        (0, 3, 1.0, r"`rows` must be at least 1; got 0"),
        (3, 1.5, 1.0, r"`columns` must be a whole number; got 1.5"),
        (3, 3, -0.5, r"`std` must be zero or positive and finite; got -0.5"),
        (3, 3, float("inf"), r"`std` must be zero or positive and finite; got inf"),
    ],
)
def test_create_refuses(rows: object, columns: object, std: float, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        DenseMatrix.create(jax.random.key(0), rows, columns, std=std)
