"""The basis limit against reference numbers, against plain dense networks, and against a Lanczos of its own law."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count, repeat
from typing import Any

import numpy as np
import pytest

from neural_limits.limits.proportional import Setting, basis_limit

# Reference values: a dynamical mean-field solution of the same setting, to the digits given.
SETTING = {"depth": 2, "width_ratio": 1, "sample_ratio": 2, "lr": 0.05, "gamma": 2, "sigma_w": 0.5, "label_noise": 0.3}


def setting(**changes: Any) -> Setting:
    return Setting(**{**SETTING, **changes})


@pytest.fixture(scope="module")
def reference() -> Any:
    return basis_limit(setting(steps=60))


def test_losses(reference: Any) -> None:
    steps = [0, 10, 20, 40, 59]
    train = [1.09390625, 0.68474476, 0.16075469, 0.05999576, 0.04935157]
    test = [1.00390625, 0.73255414, 0.28362687, 0.10967135, 0.08610330]
    np.testing.assert_allclose(reference.train_loss[steps], train, atol=6e-9)
    np.testing.assert_allclose(reference.test_loss[steps], test, atol=6e-9)


def test_weight_outliers(reference: Any) -> None:
    for step, values in {20: (1.20410714, 1.22622607), 60: (1.30063549, 1.33310327)}.items():
        found = [reference.outliers(layer, step) for layer in (0, 1)]
        np.testing.assert_allclose(found, np.array(values)[:, None], atol=6e-9)
    assert [len(reference.outliers(layer, 0)) for layer in (0, 1)] == [0, 0]


def test_outliers_of_rectangular_weights() -> None:
    run = basis_limit(setting(width_ratio=4, lr=0.08, sigma_w=(0.5, 0.7, 0.6), steps=40))
    assert run.outliers(0, 40) == pytest.approx([2.40628], abs=6e-6)
    assert run.outliers(1, 40) == pytest.approx([1.53389], abs=6e-6)


def test_leading_ntk_mode(reference: Any) -> None:
    for step, value in {10: 2.24674205, 20: 8.51130015, 60: 10.23401}.items():
        assert reference.ntk_lanczos(step) == pytest.approx(value, abs=1e-8 if step < 60 else 1e-5)


def test_leading_ntk_mode_from_the_edge() -> None:
    run = basis_limit(setting(steps=1))
    assert (
        0 < run.ntk_lanczos(0, iterations=60) - run.ntk_lanczos(0, iterations=30) < 4e-3
    )  # from below, and slowly: there is no outlier yet


@pytest.mark.parametrize(
    ("changes", "values"),
    [
        ({"width_ratio": 0.5}, (1.849, 1.950, 1.956)),
        ({"width_ratio": 16}, (1.869, 1.992, 2.027)),
        ({"width_ratio": 4, "parametrization": "ntk"}, (0.700, 0.843, 0.861)),
    ],
)
def test_edge_of_stability(changes: dict[str, Any], values: tuple[float, ...]) -> None:
    run = basis_limit(setting(lr=0.19, steps=99, **changes))
    assert [0.19 * run.ntk_lanczos(step) for step in (10, 40, 99)] == pytest.approx(values, abs=6e-4)


def test_tolerance_is_the_error(reference: Any) -> None:
    coarse = basis_limit(setting(steps=60), tolerance=1e-6)
    finer = basis_limit(setting(steps=60), tolerance=1e-9)
    assert np.abs(coarse.train_loss - finer.train_loss).max() < 2e-8
    assert np.abs(reference.train_loss - finer.train_loss).max() < 1e-11
    ranks = [len(run.matrices.weights[0].right.basis) for run in (coarse, reference, finer)]
    assert ranks[0] < ranks[1] < ranks[2] <= 61


def test_looks_leave_the_run_as_it_is_and_later_knowledge_changes_nothing(reference: Any) -> None:
    short = basis_limit(setting(steps=20))
    before = short.matrices.weights[0].core()
    assert short.ntk_lanczos(20) == pytest.approx(reference.ntk_lanczos(20), rel=1e-12)
    assert short.outliers(1, 20) == pytest.approx(reference.outliers(1, 20), rel=1e-10)
    np.testing.assert_array_equal(short.matrices.weights[0].core(), before)


def test_covariances_at_the_start(reference: Any) -> None:
    values = {name: value[..., 0, 0] for name, value in reference.covariances.items()}
    start = 1 + 0.5**6 / 4
    assert values["C_v"] == pytest.approx(start)
    assert values["C_chi"] == pytest.approx(start + 0.09)
    assert values["C_q"] == pytest.approx(start + (start + 0.09) / 2)
    np.testing.assert_allclose(values["C_b"], [0.25**2, 0.25], rtol=1e-12)
    assert values["C_c"][0] == pytest.approx(0.25 * values["C_q"] + 0.25**4 / 4)


def drawn(s: Setting, d: int, seed: int) -> tuple[list[np.ndarray], np.ndarray, np.ndarray, Iterable[Any]]:
    """The start of a dense network: weights, readout, teacher, and its batches."""
    rng = np.random.default_rng(seed)
    n, samples = round(s.width_ratio * d), round((s.batch_ratio or s.sample_ratio) * d)
    weights = [sd * rng.standard_normal((n, p)) for sd, p in zip(s.sigma, [d, *[n] * (s.depth - 1)], strict=False)]
    readout, teacher = s.sigma[-1] * rng.standard_normal(n), rng.standard_normal(d)
    teacher *= np.sqrt(d) / np.linalg.norm(teacher)

    def batch() -> tuple[np.ndarray, np.ndarray]:
        x, noise = rng.standard_normal((samples, d)), rng.standard_normal(samples)
        return x, noise * np.sqrt(samples) / np.linalg.norm(noise)

    return weights, readout, teacher, (batch() for _ in count()) if s.online else repeat(batch())


BRUTE = {
    "depth 1": {"depth": 1, "width_ratio": 2, "sigma_w": (0.8, 0.6), "lr": 0.1},
    "depth 2, NTK": {"width_ratio": 4, "parametrization": "ntk", "sigma_w": (0.5, 0.7, 0.6), "lr": 0.15, "gamma": 1.5},
    "depth 3": {"depth": 3, "width_ratio": 0.5, "sigma_w": (0.7, 0.9, 0.6, 0.8), "gamma": 1.2},
    "one pass": {"width_ratio": 1.5, "sigma_w": (0.9, 0.7, 0.6), "sample_ratio": None, "batch_ratio": 1.5},
    "one pass, depth 3, NTK": {
        "depth": 3, "width_ratio": 2, "sigma_w": 0.7, "batch_ratio": 0.75, "parametrization": "ntk", "lr": 0.08,
    },
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("case", BRUTE)
def test_dense_networks(case: str, assert_within: Any, gradient_descent: Any) -> None:
    s = setting(steps=8, **BRUTE[case])
    run = basis_limit(s)
    theory = np.stack([run.train_loss, run.test_loss])
    inputs = 180
    draws = np.stack([gradient_descent(s, *drawn(s, inputs, seed))[0] for seed in range(24 if s.online else 8)])
    stderr = draws.std(0, ddof=1) / np.sqrt(len(draws))
    assert_within(draws.mean(0), theory, stderr + theory / inputs)  # with room for a bias of O(1/D)
    assert (stderr < 0.05 * theory).all()  # a formula that is wrong shows
    assert np.ptp(theory[0]) > 0.15


def test_divergence_is_a_status() -> None:
    run = basis_limit(setting(lr=2.0, steps=40))
    assert run.status == "diverged"
    assert "lower `lr`" in run.message
    reached = len(run.v)
    assert np.isfinite(run.train_loss[:reached]).all()
    assert np.isnan(run.train_loss[reached:]).all()
    assert reached < 40
    with pytest.raises(ValueError, match="`step` must be below"):
        run.outliers(0, reached)


def test_refusals() -> None:
    run = basis_limit(setting(steps=1, batch_ratio=2.0))
    with pytest.raises(ValueError, match="full batch"):
        run.ntk_lanczos(0)
    with pytest.raises(ValueError, match="`tolerance`"):
        basis_limit(setting(), tolerance=0.0)
