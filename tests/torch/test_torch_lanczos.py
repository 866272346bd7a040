"""Block Lanczos and quadrature on tensors against dense decompositions: none missed, none repeated."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neural_limits.torch import _lanczos
from neural_limits.torch._lanczos import leading_singular_values
from neural_limits.torch._quadrature import spectrum_quantiles

torch.set_num_threads(1)  # matrices are small, and workers share the cores
ROUNDING = 1e-6  # of the largest value: what float32 leaves of the smallest ones


def with_values(values: np.ndarray, shape: tuple[int, int], rng: np.random.Generator) -> torch.Tensor:
    """A float32 matrix with these singular values."""
    left, _ = np.linalg.qr(rng.standard_normal((shape[0], len(values))))
    right, _ = np.linalg.qr(rng.standard_normal((shape[1], len(values))))
    return torch.tensor((left * values) @ right.T, dtype=torch.float32)


def random_case(rng: np.random.Generator) -> tuple[torch.Tensor, int]:
    """Noise with copies on top, a cluster, a far outlier, low rank or nothing at all, of any shape."""
    shape = int(rng.integers(2, 160)), int(rng.integers(2, 160))
    size = min(shape)
    bulk = np.abs(rng.uniform(0, 1, size)) * 10.0 ** rng.uniform(-3, 3)
    kind, some = rng.integers(6), int(rng.integers(2, 9))
    if kind == 0:
        bulk[int(rng.integers(0, 6)) :] = 0
    elif kind == 1:
        bulk[:some] = 1.5 * bulk.max()
    elif kind == 2:
        bulk[:some] = 2 * bulk.max() * (1 - 1e-6 * np.arange(len(bulk[:some])))
    elif kind == 3:
        bulk[0] = 1e3 * bulk.max()
    elif kind == 4:
        bulk[:] = bulk.max()
    return with_values(bulk, shape, rng), int(rng.integers(1, 9))


@pytest.mark.parametrize("seed", range(100))
def test_no_value_is_missed_or_repeated(seed: int) -> None:
    matrix, count = random_case(np.random.default_rng(seed))
    exact = torch.linalg.svdvals(matrix.double()).numpy()[:count]
    found = leading_singular_values(matrix, count, seed=seed)
    assert found.status == "completed"
    np.testing.assert_allclose(found.values, exact, rtol=1e-4, atol=ROUNDING * exact[0] + 1e-30)
    real = found.values > 1e-5 * exact[0]
    left, right = found.left.double().numpy()[:, real], found.right.double().numpy()[:, real]
    np.testing.assert_allclose(right.T @ right, np.eye(real.sum()), atol=1e-4)
    tall = matrix.shape[0] >= matrix.shape[1]
    dense = matrix.double().numpy() if tall else matrix.double().numpy().T
    near, far = (right, left) if tall else (left, right)
    np.testing.assert_allclose(dense @ near, far * found.values[real], atol=1e-5 * exact[0] + 1e-30)


@pytest.mark.parametrize("seed", range(6))
def test_large_matrices_stop_when_the_bound_holds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = torch.tensor(rng.standard_normal((900, 600 + 300 * (seed % 3))) / 30, dtype=torch.float32)
    if seed >= 3:  # spikes, two of them equal
        matrix = matrix + with_values(np.array([30.0, 6.0, 4.0, 4.0]), tuple(matrix.shape), rng)
    exact = torch.linalg.svdvals(matrix.double()).numpy()[:8]
    found = leading_singular_values(matrix, 8, seed=seed)
    error = np.abs(found.values - exact)
    assert found.status == "completed"
    assert found.products < 0.7 * min(matrix.shape)  # it stopped long before the space was whole
    assert (error <= 1e-4 * exact).all()
    assert (error <= found.bounds + ROUNDING * exact[0]).all()  # the reported bound is one
    assert (found.bounds <= 1e-4 * exact + ROUNDING * exact[0]).all()


def test_restarts_find_the_same_values(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    matrix = torch.tensor(rng.standard_normal((700, 600)) / 26, dtype=torch.float32)
    whole = leading_singular_values(matrix, 4)
    monkeypatch.setattr(_lanczos, "WHOLE", 80)
    found = leading_singular_values(matrix, 4)
    assert found.status == "completed"
    assert found.products > whole.products > 80
    np.testing.assert_allclose(found.values, torch.linalg.svdvals(matrix.double()).numpy()[:4], rtol=1e-4)


@pytest.mark.parametrize("strength", [1.3, 2.0, 5.0])
def test_a_warm_start_sees_what_was_not_there_before(strength: float) -> None:
    rng = np.random.default_rng(3)
    noise = torch.tensor(rng.standard_normal((600, 600)) / 600**0.5, dtype=torch.float32)
    before = leading_singular_values(noise, 8)
    right = torch.tensor(rng.standard_normal((600, 1)), dtype=torch.float32)
    for start in (before.subspace, before.right):  # away from all that is remembered
        kept = torch.linalg.qr(start)[0]
        right = right - kept @ (kept.mT @ right)
    left = torch.tensor(rng.standard_normal((600, 1)), dtype=torch.float32)
    after = noise + strength * (left / left.norm()) @ (right / right.norm()).mT
    exact = torch.linalg.svdvals(after.double()).numpy()[:8]
    found = leading_singular_values(after, 8, start=before.subspace, seed=1)
    np.testing.assert_allclose(found.values, exact, rtol=1e-4)


def test_a_warm_start_is_cheaper() -> None:
    rng = np.random.default_rng(4)
    matrix = torch.tensor(rng.standard_normal((1200, 800)) / 45, dtype=torch.float32)
    cold = leading_singular_values(matrix, 8)
    moved = matrix + 1e-4 * torch.tensor(rng.standard_normal(matrix.shape) / 45, dtype=torch.float32)
    warm = leading_singular_values(moved, 8, start=cold.subspace)
    assert warm.products <= 0.7 * cold.products
    np.testing.assert_allclose(warm.values, torch.linalg.svdvals(moved.double()).numpy()[:8], rtol=1e-4)


@pytest.mark.parametrize("kind", ["square", "wide", "spikes", "orthogonal", "half zero"])
def test_quantiles_lie_within_their_error(kind: str) -> None:
    rng = np.random.default_rng(5)
    shape = (400, 900) if kind == "wide" else (400, 400)
    if kind == "orthogonal":
        matrix = with_values(np.ones(400), shape, rng)
    elif kind == "half zero":
        matrix = with_values(np.r_[np.linspace(1, 2, 240), np.zeros(160)], shape, rng)
    else:
        matrix = torch.tensor(rng.standard_normal(shape) / 20, dtype=torch.float32)
    if kind == "spikes":
        matrix = matrix + with_values(np.array([40.0, 9.0, 5.0]), shape, rng)
    levels = np.array([0.1, 0.25, 0.5, 0.75, 0.9])
    exact = np.quantile(torch.linalg.svdvals(matrix.double()).numpy(), levels)
    sigmas = []
    for seed in range(10):
        values, errors = spectrum_quantiles(matrix, levels, seed=seed)
        sigmas.append((values - exact) / errors)
    sigmas = np.array(sigmas)
    assert np.abs(sigmas).max() < 4
    assert np.sqrt((sigmas**2).mean()) < 1.5
    assert errors.max() < 0.1 * exact.max()
