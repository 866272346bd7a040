"""Block Lanczos against dense eigenvalues: none missed, none repeated, copies and clusters included."""

from __future__ import annotations

import numpy as np
import pytest

from neural_limits.spectra import leading_eigenvalues


def symmetric(values: np.ndarray, seed: int) -> np.ndarray:
    """A dense symmetric matrix with these eigenvalues."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(values), len(values))))
    return (q * values) @ q.T


def random_spectrum(rng: np.random.Generator) -> np.ndarray:
    """Bulk of a random kind with outliers, copies of a random multiplicity, or a cluster on top."""
    size = int(rng.integers(8, 90))
    kind = rng.integers(5)
    bulk = rng.uniform(-1, 1, size) * 10.0 ** rng.uniform(-3, 3)
    if kind == 0:  # of low rank, possibly zero
        bulk[int(rng.integers(0, 6)) :] = 0
    elif kind == 1:  # copies on top
        bulk[: rng.integers(2, 8)] = 1.5 * np.abs(bulk).max()
    elif kind == 2:  # a cluster on top
        k = int(rng.integers(2, 6))
        bulk[:k] = 2 * np.abs(bulk).max() * (1 - 1e-6 * np.arange(k))
    elif kind == 3:  # one far outlier
        bulk[0] = 1e4 * np.abs(bulk).max()
    return bulk


@pytest.mark.parametrize("seed", range(100))
def test_no_eigenvalue_is_missed_or_repeated(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = random_spectrum(rng)
    count = int(rng.integers(1, min(7, len(values))))
    matrix = symmetric(values, seed)
    found = leading_eigenvalues(lambda v: matrix @ v, len(values), count, seed=seed)
    exact = np.linalg.eigvalsh(matrix)[::-1][:count]
    scale = np.abs(values).max()
    assert found.status == "completed"
    np.testing.assert_allclose(found.values, exact, atol=1e-8 * scale + 1e-300)
    np.testing.assert_allclose(found.vectors @ found.vectors.T, np.eye(count), atol=1e-12)
    true = np.linalg.norm(matrix @ found.vectors.T - found.vectors.T * found.values, axis=0)
    assert (true <= 1.01 * found.residuals + 1e-13 * scale).all()  # the reported bound is one


@pytest.mark.parametrize("rank", [12, 60])
@pytest.mark.parametrize("copies", [2, 3, 5, 12])
def test_copies_up_to_the_block_and_beyond(copies: int, rank: int) -> None:
    """A single vector sees one copy of each eigenvalue; asked for three, the block has five columns."""
    values = np.concatenate([np.full(copies, 3.0), np.linspace(1, 2, rank)])
    matrix = symmetric(np.pad(values, (0, 150 - len(values))), copies)
    for count in (3, copies + 1):
        found = leading_eigenvalues(lambda v: matrix @ v, 150, count)
        expected = np.sort(values)[::-1][:count]
        np.testing.assert_allclose(found.values, expected, atol=1e-9)


def test_restarts_give_the_same_with_less_memory() -> None:
    values = np.concatenate([[2.0, 1.9, 1.9], np.linspace(-1, 1.8, 297)])
    matrix = symmetric(values, 0)
    found = leading_eigenvalues(lambda v: matrix @ v, 300, 3, restart=20)
    assert found.status == "completed"
    np.testing.assert_allclose(found.values, [2.0, 1.9, 1.9], atol=1e-8)
    assert found.products > 20  # it did restart


def test_what_has_not_converged_says_so() -> None:
    matrix = symmetric(np.linspace(0, 1, 200), 1)
    found = leading_eigenvalues(lambda v: matrix @ v, 200, 3, max_iterations=2)
    assert found.status == "no_convergence"
    assert not found.converged.any()
    nearest = np.abs(np.linspace(0, 1, 200)[:, None] - found.values).min(axis=0)
    assert (nearest <= found.residuals).all()


@pytest.mark.parametrize("size", [40, 200])  # without and with restarts
def test_an_operator_that_is_not_symmetric_shows_in_the_residuals(size: int) -> None:
    matrix = symmetric(np.linspace(0, 1, size), 1)
    matrix += 1e-4 * np.random.default_rng(0).standard_normal(matrix.shape)
    found = leading_eigenvalues(lambda v: matrix @ v, size, 2, max_iterations=60)
    true = np.linalg.norm(matrix @ found.vectors.T - found.vectors.T * found.values, axis=0)
    assert (true <= 1.01 * found.residuals).all()
    assert (found.residuals > 1e-5).all()


def test_refusals_name_the_argument() -> None:
    with pytest.raises(ValueError, match="`count` must be at most the operator's size 2; got 3"):
        leading_eigenvalues(lambda v: v, 2, 3)
    with pytest.raises(ValueError, match="`matvec` must return vectors of length `size` = 4"):
        leading_eigenvalues(lambda v: v[:2], 4, 1)


def test_a_product_that_is_not_finite_is_a_status() -> None:
    found = leading_eigenvalues(lambda v: v * np.nan, 4, 1)
    assert found.status == "diverged"
    assert np.isnan(found.values).all()
