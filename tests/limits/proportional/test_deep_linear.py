"""The order-parameter equations against reference numbers, against the basis limit, and on bad input."""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from typing import Any

import numpy as np
import pytest

import neural_limits as nl
from neural_limits.limits.proportional import Setting, basis_limit

A: dict[str, Any] = {
    "depth": 2, "width_ratio": 1.0, "sample_ratio": 2.0, "lr": 0.05, "gamma": 2.0, "sigma_w": 0.5, "label_noise": 0.3,
}  # fmt: skip


@pytest.fixture(scope="module")
def a() -> Any:
    return nl.limits.deep_linear(**A, steps=60)


# Reference values of setting A: an independent implementation, dense networks of D = 1000 agreeing within their errors.
def test_losses(a: Any) -> None:
    steps = [0, 10, 20, 40, 59]
    train = [1.09390625, 0.68474476, 0.16075469, 0.05999576, 0.04935157]
    test = [1.00390625, 0.73255414, 0.28362687, 0.10967135, 0.08610330]
    assert a.status == "completed"
    np.testing.assert_allclose(a.data.train_loss[steps], train, atol=6e-9)
    np.testing.assert_allclose(a.data.test_loss[steps], test, atol=6e-9)


@pytest.mark.parametrize(("step", "values"), [(20, (1.20410714, 1.22622607)), (60, (1.30063549, 1.33310327))])
def test_weight_outliers(a: Any, step: int, values: tuple[float, ...]) -> None:
    found = a.outliers(step)
    np.testing.assert_allclose([w.above for w in found], np.array(values)[:, None], atol=6e-9)
    assert [w.edges for w in found] == [(0, 1), (0, 1)]
    assert all(len(w.below) == 0 for w in found)


def test_untrained_weights_have_no_outlier(a: Any) -> None:
    assert all(len(w.above) == 0 for w in a.outliers(0))
    assert np.isnan(a.ntk_top(0))
    assert a.ntk_leading(0) == a.ntk_edge(0)


@pytest.mark.parametrize(
    ("step", "edge", "top"),
    [(10, 1.89964865, 2.24674205), (20, 6.04978290, 8.51130015), (60, 8.65172695, 10.23401)],
)
def test_leading_ntk_mode(a: Any, step: int, edge: float, top: float) -> None:
    assert a.ntk_edge(step) == pytest.approx(edge, abs=6e-9)
    assert a.ntk_top(step) == pytest.approx(top, abs=1e-8 if step < 60 else 2e-5)
    assert a.ntk_leading(step) == a.ntk_top(step)


def test_outliers_of_rectangular_weights() -> None:
    wide = nl.limits.deep_linear(**{**A, "width_ratio": 4.0, "sigma_w": (0.5, 0.7, 0.6), "lr": 0.08}, steps=40)
    first, second = wide.outliers(40)
    assert first.above == pytest.approx([2.40628], abs=6e-6)
    assert second.above == pytest.approx([1.53389], abs=6e-6)
    assert first.edges == pytest.approx((0.5, 1.5))


@pytest.mark.parametrize(
    ("scheme", "nu", "values"),
    [
        ("mup", 0.5, (1.849, 1.950, 1.956)), ("mup", 1.0, (1.861, 1.971, 1.977)), ("mup", 4.0, (1.868, 1.990, 2.009)),
        ("mup", 16.0, (1.869, 1.992, 2.027)), ("ntk", 4.0, (0.700, 0.843, 0.861)), ("ntk", 16.0, (0.215, 0.370, 0.394)),
    ],
)  # fmt: skip
def test_edge_of_stability(scheme: str, nu: float, values: tuple[float, ...]) -> None:
    sol = nl.limits.deep_linear(**{**A, "lr": 0.19, "width_ratio": nu}, steps=100, parametrization=scheme)
    assert [0.19 * sol.ntk_top(k) for k in (10, 40, 99)] == pytest.approx(values, abs=6e-4)


@pytest.mark.parametrize(
    ("scheme", "sigma", "gamma", "optima"),
    [
        ("mup", 0.5, 2.0, (0.2018, 0.1965, 0.1927, 0.1917, 0.1914)),
        ("ntk", 0.5, 2.0, (0.0822, 0.1965, 0.4540, 1.000, 1.938)),
        ("mup", 1.0, 1.0, (0.0780, 0.1361, 0.1651, 0.1732, 0.1751)),  # not stable in width
    ],
)
def test_optima_of_the_rate(scheme: str, sigma: float, gamma: float, optima: tuple[float, ...]) -> None:
    for nu, best in zip((0.25, 1.0, 4.0, 16.0, 64.0), optima, strict=True):
        sol = nl.limits.deep_linear(
            width_ratio=nu, lr=best * np.array([0.996, 1.0, 1.004]), sigma_w=sigma, gamma=gamma, label_noise=0.0,
            steps=49, parametrization=scheme, kernels=False,
        )  # fmt: skip
        assert np.argmin(sol.data.train_loss.values[:, 49]) == 1


SETTINGS = [
    {"depth": 1, "width_ratio": 0.7, "sample_ratio": 1.3, "sigma_w": (0.8, 0.4), "lr": 0.1, "gamma": 1.5},
    {"depth": 3, "width_ratio": 2.5, "sample_ratio": 0.6, "sigma_w": (0.5, 0.9, 0.7, 0.3), "lr": 0.06, "gamma": 2.0},
    {"depth": 2, "width_ratio": 3.0, "sample_ratio": 2.0, "sigma_w": 0.6, "lr": 0.2, "parametrization": "ntk"},
    {"depth": 2, "width_ratio": 0.5, "sample_ratio": None, "batch_ratio": 0.8, "sigma_w": (0.4, 0.6, 0.5), "lr": 0.08},
    {"depth": 4, "width_ratio": 1.0, "sample_ratio": 1.5, "sigma_w": 0.8, "lr": 0.04, "gamma": 3.0},
]


@pytest.mark.parametrize("changes", SETTINGS, ids=lambda c: f"depth {c['depth']}")
def test_against_the_basis_limit(changes: dict[str, Any]) -> None:
    """Losses, every overlap, weight outliers: two derivations that share no code."""
    setting = Setting(**{"label_noise": 0.2, "gamma": 1.0, "steps": 20, **changes})
    sol, exact = nl.limits.deep_linear(**vars(setting)), basis_limit(setting)
    pairs = {"C_b": "backward_overlap", "C_v": "error_overlap"}
    for name, ours in pairs.items():
        np.testing.assert_allclose(sol.data[ours], exact.covariances[name], rtol=1e-9, atol=1e-9)
    forward = np.concatenate([exact.covariances["C_q"][None], exact.covariances["C_c"]])
    np.testing.assert_allclose(sol.data.forward_overlap, forward, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(sol.data.train_loss, exact.train_loss, rtol=1e-9)
    np.testing.assert_allclose(sol.data.test_loss, exact.test_loss, rtol=1e-9)
    for layer, found in enumerate(sol.outliers(20)):
        np.testing.assert_allclose(found.above, exact.outliers(layer, 20), rtol=1e-8)


def test_long_runs_against_the_basis_limit() -> None:
    """Beyond 128 steps products go over panels, here three."""
    setting = Setting(
        depth=2, width_ratio=2.0, sample_ratio=1.5, lr=0.05, gamma=2.0, sigma_w=(0.5, 0.6, 0.4), steps=270
    )
    sol, exact = nl.limits.deep_linear(**vars(setting)), basis_limit(setting)
    np.testing.assert_allclose(sol.data.train_loss, exact.train_loss, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(sol.data.backward_overlap, exact.covariances["C_b"], atol=1e-9)
    np.testing.assert_allclose(sol.data.residual_overlap, exact.covariances["C_chi"], atol=1e-9)


@pytest.mark.parametrize(
    "changes", [c for c in SETTINGS if "batch_ratio" not in c], ids=lambda c: f"depth {c['depth']}"
)
def test_ntk_against_lanczos_in_the_basis_limit(changes: dict[str, Any]) -> None:
    setting = Setting(**{"label_noise": 0.2, "gamma": 1.0, "steps": 20, **changes})
    sol, exact = nl.limits.deep_linear(**vars(setting)), basis_limit(setting)
    for step in (3, 10, 20):
        leading, lanczos = sol.ntk_leading(step), exact.ntk_lanczos(step, iterations=80)
        if leading < 1.001 * sol.ntk_edge(step):  # Lanczos approaches the edge of a bulk from below, slowly
            assert lanczos < leading < 1.003 * lanczos
        else:
            assert leading == pytest.approx(lanczos, rel=1e-8)


def test_an_outlier_below_the_bulk(gradient_descent: Callable[..., Any]) -> None:
    """Of the singular values of a dense network one lies below the lower edge, where it is predicted."""
    setting = Setting(depth=1, width_ratio=8.0, sample_ratio=1.0, lr=0.28, gamma=1.0, sigma_w=(0.8, 1.5), steps=30)
    found = nl.limits.deep_linear(**vars(setting)).outliers(30)[0]
    assert (len(found.above), len(found.below)) == (1, 1)
    assert found.below[0] < found.edges[0] - 0.3
    measured = np.array([_singular_values(setting, gradient_descent, seed) for seed in range(6)])
    for predicted, values in ((found.below[0], measured[:, -1]), (found.above[0], measured[:, 0])):
        error = values.std(ddof=1) / len(values) ** 0.5
        assert abs(values.mean() - predicted) < 4 * error
        assert error < 0.03 * predicted
    assert np.all(abs(measured[:, [1, -2]] - found.edges[::-1]) < 0.06)  # the next ones belong to the bulk


def _singular_values(setting: Setting, gradient_descent: Callable[..., Any], seed: int, d: int = 300) -> np.ndarray:
    """Of W⁰/√D of the same network at D = 300, N = 2400, P = 300."""
    rng, n = np.random.default_rng(seed), 8 * d
    x, weight, readout = rng.standard_normal((d, d)), 0.8 * rng.standard_normal((n, d)), 1.5 * rng.standard_normal(n)
    teacher = rng.standard_normal(d)
    teacher *= d**0.5 / np.linalg.norm(teacher)
    x, weight, readout, teacher, noise = (a.astype(np.float32) for a in (x, weight, readout, teacher, np.zeros(d)))
    _, (weight,) = gradient_descent(setting, [weight], readout, teacher, repeat((x, noise)))
    return np.linalg.svd(weight / d**0.5, compute_uv=False)


def test_a_grid_has_a_dimension_for_each_array() -> None:
    rates, ratios = [0.02, 0.05, 0.1], np.array([0.5, 4.0])
    grid = nl.limits.deep_linear(**{**A, "lr": rates, "width_ratio": ratios}, steps=12)
    assert grid.data.train_loss.dims == ("width_ratio", "lr", "step")
    one = nl.limits.deep_linear(**{**A, "lr": 0.1, "width_ratio": 4.0}, steps=12)
    np.testing.assert_allclose(grid.data.train_loss.sel(width_ratio=4.0, lr=0.1), one.data.train_loss, rtol=1e-13)
    picked = grid.sel(width_ratio=4.0, lr=0.1)
    assert picked.ntk_top(12) == pytest.approx(one.ntk_top(12), rel=1e-12)
    assert grid.isel(lr=2).data.train_loss.dims == ("width_ratio", "step")
    assert picked.data.backward_overlap.dims == ("backward_layer", "step", "step_b")


def test_many_chunks_give_what_one_run_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neural_limits.limits.proportional._solve.CHUNK_BYTES", 2**22)
    rates, seen = np.geomspace(0.01, 0.1, 700), []
    grid = nl.limits.deep_linear(
        **{**A, "lr": rates}, steps=12, kernels=False, progress=lambda done, total: seen.append((done, total))
    )
    one = nl.limits.deep_linear(**{**A, "lr": rates[555]}, steps=12)
    np.testing.assert_allclose(grid.data.test_loss[555], one.data.test_loss, rtol=1e-13)
    assert seen[-1] == (700, 700)
    assert len(seen) > 1


def test_two_outliers_of_a_layer_are_both_found() -> None:
    """Long training at a large noise brings a second outlier; the count agrees with the basis limit's."""
    setting = Setting(
        depth=2, width_ratio=1.0, sample_ratio=1.2, lr=0.05, gamma=4.0, sigma_w=0.2, label_noise=1.0, steps=80
    )
    sol, exact = nl.limits.deep_linear(**vars(setting)), basis_limit(setting)
    counts = [len(sol.outliers(k)[0].above) for k in range(0, 81, 16)]
    assert counts == [len(exact.outliers(0, k)) for k in range(0, 81, 16)]
    assert max(counts) >= 1


def test_divergence_is_a_status_with_its_step() -> None:
    sol = nl.limits.deep_linear(**{**A, "lr": 3.0}, steps=60)
    at = int(sol.data.diverged_at)
    assert sol.status == "diverged"
    assert f"at step {at}" in sol.message
    assert np.isfinite(sol.data.train_loss[:at]).all()
    assert np.isnan(sol.data.train_loss[at:]).all()
    assert len(sol.outliers(at - 1)) == 2
    with pytest.raises(ValueError, match="where the run diverged"):
        sol.outliers(at)
    grid = nl.limits.deep_linear(**{**A, "lr": [0.05, 3.0]}, steps=60)
    assert grid.status == "completed"
    assert "1 of 2 runs diverged" in grid.message
    assert np.isnan(grid.data.diverged_at[0])
    assert grid.data.diverged_at[1] == at


def test_self_stabilisation_past_the_edge() -> None:
    """At a rate past the edge the mode overshoots 2/η and comes back, alike at all widths under muP."""
    for nu, early, late in ((1.0, 2.32, 2.151), (4.0, 2.43, 2.150), (16.0, 2.46, 2.149)):
        sol = nl.limits.deep_linear(**{**A, "lr": 0.21, "width_ratio": nu}, steps=100)
        assert 0.21 * sol.ntk_top(15) == pytest.approx(early, abs=6e-3)
        assert 0.21 * sol.ntk_top(99) == pytest.approx(late, abs=1e-3)


def test_escape_steps() -> None:
    """The first number of updates with an outlier of W¹."""
    found = {
        scheme: [
            nl.limits.deep_linear(**{**A, "lr": 0.04, "width_ratio": nu}, steps=80, parametrization=scheme).escape_step(
                1
            )
            for nu in (0.25, 1.0, 4.0, 16.0)
        ]
        for scheme in ("mup", "ntk")
    }
    assert found == {"mup": [15, 12, 12, 12], "ntk": [7, 12, 26, 73]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width_ratio": 0.0}, "`width_ratio` must be positive"),
        ({"sample_ratio": -1.0}, "`sample_ratio` must be positive"),
        ({"lr": [0.1, 0.0]}, "`lr` must be positive"),
        ({"lr": [0.1, 0.1]}, "`lr` must hold different values"),
        ({"lr": [[0.1]]}, "`lr` must be a number or a list"),
        ({"gamma": float("nan")}, "`gamma` must be positive"),
        ({"label_noise": -0.1}, "`label_noise` must be zero or positive"),
        ({"sigma_w": (0.5, 0.5)}, "`sigma_w` must hold depth \\+ 1 = 3 values"),
        ({"depth": 0}, "`depth` must be at least 1"),
        ({"steps": 1.5}, "`steps` must be a whole number"),
        ({"parametrization": "mop"}, "Did you mean 'mup'"),
        ({"batch_ratio": 0.0}, "`batch_ratio` must be positive"),
        ({"sample_ratio": None}, "`sample_ratio` must be given"),
        ({"steps": 5000, "lr": [0.01, 0.02]}, "pass kernels=False"),
    ],
)
def test_bad_input(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nl.limits.deep_linear(**{**A, "steps": 3, **change})


def test_questions_that_have_no_answer(a: Any) -> None:
    with pytest.raises(ValueError, match="`updates` must not exceed 60"):
        a.outliers(61)
    with pytest.raises(ValueError, match="`updates` must not exceed 60"):
        a.ntk_top(61)
    with pytest.raises(ValueError, match="`layer` must be below"):
        a.escape_step(2)
    grid = nl.limits.deep_linear(**{**A, "lr": [0.05, 0.1]}, steps=3)
    with pytest.raises(ValueError, match="needs one run"):
        grid.ntk_edge(2)
    with pytest.raises(ValueError, match="`gamma` is no dimension of these runs; there is lr"):
        grid.sel(gamma=1.0)
    with pytest.raises(ValueError, match="kernels=True"):
        nl.limits.deep_linear(**A, steps=3, kernels=False).outliers(2)
    online = nl.limits.deep_linear(**A, steps=3, batch_ratio=0.5)
    with pytest.raises(ValueError, match="leave `batch_ratio` out"):
        online.ntk_top(2)
    assert online.ntk_edge(2) > 0
