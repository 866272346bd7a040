"""Decoupled pairs: independent matrices forward and backward, one learned part. Their law: test_weight_law.py."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_limits.weights import ConditionedMatrix, DecoupledMatrix

ROWS, COLUMNS = 8, 12

matvec = jax.jit(lambda w, a: w.matvec(a))
rmatvec = jax.jit(lambda w, b: w.rmatvec(b))


def conditioned(seed: int) -> DecoupledMatrix:
    return DecoupledMatrix.create_conditioned(jax.random.key(seed), ROWS, COLUMNS, std=0.5, tolerance=1e-6, capacity=16)


def dense(seed: int) -> DecoupledMatrix:
    return DecoupledMatrix.create_dense(jax.random.key(seed), ROWS, COLUMNS, std=0.5)


@pytest.mark.parametrize("create", [conditioned, dense])
def test_learned_part_is_shared_and_the_rest_is_not(create: Callable[[int], DecoupledMatrix]) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, COLUMNS)), rng.standard_normal((2, ROWS))
    pair = create(0)
    assert pair.shape == (ROWS, COLUMNS)
    value, right, pair = matvec(pair, jnp.asarray(a))
    back, left, pair = rmatvec(pair, jnp.asarray(b))
    # one matrix would give <b, M a> = <Mᵀ b, a>
    assert np.abs(b @ np.asarray(value).T - np.asarray(back) @ a.T).min() > 0.01

    pair = pair.add_outer(left, right, 0.3).scale(0.9)
    moved, _, pair = matvec(pair, jnp.asarray(a))
    moved_back, _, pair = rmatvec(pair, jnp.asarray(b))
    np.testing.assert_allclose(moved, 0.9 * (value + 0.3 * a @ a.T @ b), atol=1e-9)
    np.testing.assert_allclose(moved_back, 0.9 * (back + 0.3 * b @ b.T @ a), atol=1e-9)
    np.testing.assert_allclose(pair.forward.std, 0.45, atol=1e-12)
    np.testing.assert_allclose(pair.backward.std, 0.45, atol=1e-12)

    # on new vectors the learned part acts through its own span only
    new = rng.standard_normal((2, COLUMNS))
    with_core, _, _ = matvec(pair, jnp.asarray(new))
    without, _, _ = matvec(pair.add_core(-pair.core), jnp.asarray(new))
    np.testing.assert_allclose(with_core - without, 0.27 * new @ a.T @ b, atol=1e-9)
    assert not pair.zero_core().any()


def test_sides_never_learn_of_each_other() -> None:
    pair = conditioned(1)
    value, _, pair = matvec(pair, jnp.ones((2, COLUMNS)))
    _, _, pair = rmatvec(pair, value)
    assert (int(pair.forward.rank_right), int(pair.forward.rank_left)) == (1, 0)
    assert (int(pair.backward.rank_right), int(pair.backward.rank_left)) == (0, 1)


def test_growth_keeps_the_learned_part() -> None:
    rng = np.random.default_rng(2)
    a, b = (jnp.asarray(rng.standard_normal((2, n))) for n in (COLUMNS, ROWS))
    pair = conditioned(2)
    _, right, pair = matvec(pair, a)
    _, left, pair = rmatvec(pair, b)
    small = pair.add_outer(left, right)
    assert not bool(small.has_room(20))
    grown = small.reserve(20)
    assert bool(grown.has_room(20))
    assert isinstance(grown.forward, ConditionedMatrix)
    assert grown.core.shape == (grown.backward.capacity[0], grown.forward.capacity[1]) == (64, 64)
    for weight, times in (
        (small, 1),
        (grown, 1),
        (grown.add_outer(left, right), 2),
    ):  # coordinates from before still fit
        learned = weight.backward.left_basis.T @ weight.core @ weight.forward.right_basis
        np.testing.assert_allclose(learned, times * b.T @ a, atol=1e-9)
    assert bool(dense(0).has_room(10**9))
    assert dense(0).reserve(3).shape == (ROWS, COLUMNS)
