"""Conditioning is exact in law: adaptive chains of looks against matrices drawn outright."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from neural_limits.weights import ConditionedMatrix, DecoupledMatrix, DenseMatrix, WeightMatrix

ROWS, COLUMNS, ROUNDS, DRAWS = 8, 12, 3, 4000
INPUTS = jnp.asarray(np.random.default_rng(0).standard_normal((2, COLUMNS)))


def conditioned(key: jax.Array) -> ConditionedMatrix:
    return ConditionedMatrix.create(key, ROWS, COLUMNS, tolerance=1e-6, capacity=16)


def dense(key: jax.Array) -> DenseMatrix:
    return DenseMatrix.create(key, ROWS, COLUMNS)


def conditioned_pair(key: jax.Array) -> DecoupledMatrix:
    return DecoupledMatrix.create_conditioned(key, ROWS, COLUMNS, tolerance=1e-6, capacity=16)


def dense_pair(key: jax.Array) -> DecoupledMatrix:
    return DecoupledMatrix.create_dense(key, ROWS, COLUMNS)


@partial(jax.jit, static_argnames="create")
def draw(keys: jax.Array, factor: float, create: Callable[[jax.Array], WeightMatrix]) -> tuple[jax.Array, ...]:
    """For each key, rounds of a → M a → φ → Mᵀ → ψ → next a, learning factor · b aᵀ in each round.

    Values (draws, rounds, vectors, rows), backs (draws, rounds, vectors, columns), and the whole matrix at the end.
    """

    def rounds(key: jax.Array) -> tuple[jax.Array, ...]:
        def step(carry: tuple, _: None) -> tuple:
            weight, a = carry
            value, right, weight = weight.matvec(a)
            value = value / COLUMNS**0.5
            b = jnp.tanh(value) + 0.3 * value**2
            back, left, weight = weight.rmatvec(b)
            back = back / ROWS**0.5
            weight = weight.add_outer(left, right, factor)
            return (weight, jnp.tanh(back) + 0.5 * INPUTS), (value, back)

        (weight, _), (values, backs) = jax.lax.scan(step, (create(key), INPUTS), None, length=ROUNDS)
        if isinstance(weight, DecoupledMatrix):
            return values, backs
        completed = (
            weight.to_dense(jax.random.fold_in(key, 1)) if isinstance(weight, ConditionedMatrix) else weight.value
        )
        return values, backs, completed

    return jax.vmap(rounds)(keys)


def overlaps(values: jax.Array, backs: jax.Array, *_: jax.Array) -> np.ndarray:
    """Norms and overlaps within and between rounds, a fourth moment: (draws, statistics)."""
    h, b = np.asarray(values), np.asarray(backs)
    a = np.broadcast_to(INPUTS, (len(b), *INPUTS.shape))

    def mean_product(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x * y).mean(axis=-1)

    return np.stack(
        [
            mean_product(a[:, 0], b[:, 0, 0]),  # <a, Wᵀ φ(W a)>: what reusing W is about
            mean_product(a[:, 0], b[:, 0, 1]),
            mean_product(h[:, 0, 0], h[:, 0, 0]),
            mean_product(b[:, 0, 0], b[:, 0, 0]),
            mean_product(h[:, 1, 0], h[:, 0, 0]),
            mean_product(h[:, 2, 0], h[:, 1, 1]),
            mean_product(b[:, 2, 0], b[:, 1, 0]),
            mean_product(a[:, 1], b[:, 2, 0]),
            mean_product(h[:, 2, 0], h[:, 2, 1]),
            (h[:, 2, 1] ** 4).mean(axis=-1),
        ],
        axis=1,
    )


def keys(seed: int) -> jax.Array:
    return jax.random.split(jax.random.key(seed), DRAWS)


@pytest.fixture(scope="module")
def ours() -> tuple[jax.Array, ...]:
    return draw(keys(1), 0.2, conditioned)


@pytest.fixture(scope="module")
def theirs() -> tuple[jax.Array, ...]:
    return draw(keys(2), 0.2, dense)


def test_adaptive_looks_have_the_law_of_a_drawn_matrix(ours, theirs, assert_same_law) -> None:
    assert_same_law(overlaps(*ours), overlaps(*theirs))


def test_a_fresh_matrix_in_the_backward_product_is_told_apart(theirs, sigmas_between) -> None:
    # the check above can fail: its most telling statistics, for a matrix that forgets its forward looks
    sigmas = sigmas_between(overlaps(*draw(keys(1), 0.2, conditioned_pair)), overlaps(*theirs))
    assert sigmas[0, 0] > 30
    assert (sigmas[0] > 6).sum() >= 4


def test_completed_matrices_have_independent_normal_entries(assert_within) -> None:
    # learning nothing, adaptive looks and completion give back W: moments of projections on unit matrices
    _, _, completed = draw(keys(3), 0.0, conditioned)
    matrices = np.asarray(completed).reshape(DRAWS, -1)
    rng = np.random.default_rng(0)
    first_look = np.outer(rng.standard_normal(ROWS), INPUTS[0]).ravel()
    directions = np.stack([first_look, *np.eye(ROWS * COLUMNS)[:3], *rng.standard_normal((4, ROWS * COLUMNS))])
    directions = np.linalg.qr(directions.T)[0].T
    t = matrices @ directions.T
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert_within((t**power).mean(axis=0), moment, (variance / DRAWS) ** 0.5)
    products = (t.T @ t / DRAWS)[np.triu_indices(len(directions), 1)]
    assert_within(products, 0, DRAWS**-0.5)
    entries = matrices.ravel()
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert_within((entries**power).mean(), moment, (variance / entries.size) ** 0.5)


def test_singular_values_after_learning_have_the_dense_law(ours, theirs, assert_same_law) -> None:
    singular = [np.linalg.svd(np.asarray(completed), compute_uv=False) for *_, completed in (ours, theirs)]
    assert_same_law(*(s[:, [0, 1, -1]] for s in singular))


def test_top_singular_value_without_learning_has_the_dense_law() -> None:
    completed = np.asarray(draw(keys(3), 0.0, conditioned)[2])
    drawn = np.random.default_rng(4).standard_normal(completed.shape)
    tops = [np.linalg.svd(m, compute_uv=False)[:, 0] for m in (completed, drawn)]
    assert stats.ks_2samp(*tops).pvalue > 1e-3


def test_decoupled_pairs_have_the_same_law_conditioned_and_dense(assert_same_law, assert_within) -> None:
    ours, theirs = (overlaps(*draw(keys(5 + i), 0.2, c)) for i, c in enumerate((conditioned_pair, dense_pair)))
    assert_same_law(ours, theirs)
    # the coupling <a, W_bᵀ φ(W_f a)> vanishes before anything is learned
    for statistics in (ours, theirs):
        coupling = statistics[:, :2]
        assert_within(coupling.mean(axis=0), 0, coupling.std(axis=0) / DRAWS**0.5)
