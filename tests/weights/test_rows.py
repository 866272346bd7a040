"""Rows in pieces against one array, and that empty pieces are neither read nor multiplied."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_limits.weights._rows import LEAST, Rows, _sizes

LENGTH = 7


def filled(capacity: int, rank: int) -> tuple[Rows, np.ndarray]:
    """Rows filled by blocks of sizes 1, 2, 3 … and the same as an array."""
    rng = np.random.default_rng(capacity)
    rows, array, start, count = Rows.zeros(capacity, LENGTH, jnp.float64), np.zeros((capacity, LENGTH)), 0, 1
    while start < rank:
        count = min(count, LEAST, rank - start)
        new = rng.standard_normal((count, LENGTH))
        rows, array[start : start + count] = jax.jit(Rows.add)(rows, jnp.asarray(new), jnp.int32(start)), new
        start, count = start + count, count + 1
    return rows, array


@pytest.mark.parametrize("capacity", [0, 1, 15, 16, 31, 32, 40, 64, 100, 300])
def test_pieces_cover_the_capacity_and_hold_a_block(capacity: int) -> None:
    sizes = _sizes(capacity)
    assert sum(sizes) == capacity
    assert len(sizes) == 1 or min(sizes) >= LEAST


@pytest.mark.parametrize(("capacity", "rank"), [(5, 3), (16, 16), (40, 17), (64, 31), (64, 33), (200, 150)])
def test_products_are_those_of_one_array(capacity: int, rank: int) -> None:
    rows, array = filled(capacity, rank)
    np.testing.assert_array_equal(rows.array(), array)
    rng = np.random.default_rng(1)
    for m in (1, 3, 20):
        vectors, coefficients, onto = (rng.standard_normal((m, k)) for k in (LENGTH, capacity, LENGTH))
        np.testing.assert_allclose(rows.inner(jnp.asarray(vectors), rank), vectors @ array.T, atol=1e-12)
        combined = jax.jit(Rows.combine)(rows, coefficients, jnp.int32(rank))
        np.testing.assert_allclose(combined, coefficients @ array, atol=1e-12)
        added = rows.combine(jnp.asarray(coefficients), rank, jnp.asarray(onto))
        np.testing.assert_allclose(added, onto + coefficients @ array, atol=1e-12)


def test_growing_keeps_the_rows() -> None:
    rows, array = filled(40, 30)
    grown = rows.resize(150)
    assert grown.shape == (150, LENGTH)
    np.testing.assert_array_equal(grown.array()[:40], array)
    assert not np.any(grown.array()[40:])
    assert rows.resize(3) is rows


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="accelerators read all rows")
def test_empty_pieces_are_not_read() -> None:
    rows, _ = filled(64, 10)
    unread = Rows((rows.pieces[0], *(jnp.full_like(p, jnp.nan) for p in rows.pieces[1:])))  # NaN · 0 would be NaN
    assert np.all(np.isfinite(unread.inner(jnp.ones((2, LENGTH)), 10)))
    assert np.all(np.isfinite(unread.combine(jnp.ones((2, 64)), 10)))
    assert not np.all(np.isfinite(unread.combine(jnp.ones((2, 64)), 33)))


def test_under_vmap_each_has_its_own_rank() -> None:
    rows, array = filled(64, 40)
    both = jax.tree.map(lambda x: jnp.stack([x, x]), rows)
    ranks, coefficients = jnp.array([40, 40]), jnp.ones((2, 1, 64))
    np.testing.assert_allclose(jax.vmap(Rows.combine)(both, coefficients, ranks)[1, 0], array.sum(0), atol=1e-12)
