"""Many outputs with a fixed readout: reference edges, gradient descent on matrices, what surrounds the laws."""

from typing import Any

import numpy as np
import pytest

import neural_limits as nl
from neural_limits.limits.extensive_outputs import Setting, closing_ratio, few_outputs_outlier

STEPS = (1, 3, 5, 10, 30, 100)
# Upper edges at rate .2, σ 1, a 3, after STEPS, for (κ, c); from an independent solver, to six digits.
EDGES = {
    (1 / 32, 0.5): (1.707142, 1.963831, 2.422344, 3.138185, 3.795584, 3.832671),
    (1 / 32, 1.0): (2.000041, 2.201346, 2.637415, 3.347036, 3.965515, 3.997975),
    (0.125, 0.5): (1.707688, 2.116074, 2.620288, 3.445845, 4.660882, 4.928173),
    (0.125, 1.0): (2.000664, 2.385612, 2.907998, 3.769473, 4.941358, 5.177328),
    (0.5, 0.5): (1.717315, 2.375710, 2.933914, 3.907915, 6.084648, 9.265365),
    (0.5, 1.0): (2.011305, 2.720871, 3.348894, 4.434658, 6.760232, 9.875545),
}
CASE = {"width_ratio": 1.0, "lr": 0.2, "steps": 10, "teacher": 3.0}


def descent(setting: Setting, width: int, seed: int) -> Any:
    """Singular values of M after gradient descent on the population loss, step by step."""
    rng, inputs = np.random.default_rng(seed), round(width / setting.width_ratio)
    outputs = round(width * setting.output_ratio)
    v = rng.standard_normal((outputs, width)) / width**0.5
    m = setting.sigma_w * rng.standard_normal((width, inputs)) / inputs**0.5
    a = setting.teacher * rng.standard_normal((outputs, inputs)) / inputs**0.5
    for _ in range(setting.steps):
        # f = V M x/γ at rate η γ²: the gradient by M is Vᵀ(V M/γ − A)/γ.
        m -= setting.lr * setting.gamma * v.T @ (v @ m / setting.gamma - a)
    return np.linalg.svd(m, compute_uv=False)


def distance(law: Any, values: Any) -> float:
    """Kolmogorov-Smirnov distance of a law without atoms inside the data's range."""
    values = np.sort(np.ravel(values))
    mass, rank = law.cdf(values), np.arange(values.size + 1) / values.size
    return float(np.maximum(np.abs(mass - rank[1:]), np.abs(mass - rank[:-1])).max())


@pytest.mark.parametrize(("ratios", "edges"), EDGES.items())
def test_reference_edges(ratios: tuple[float, float], edges: tuple[float, ...]) -> None:
    limits = [nl.limits.many_outputs(*ratios, lr=0.2, steps=k, teacher=3.0) for k in STEPS]
    np.testing.assert_allclose([limit.edge for limit in limits], edges, atol=6e-7)
    for limit in limits:
        assert limit.status == "completed"
        assert limit.truncation < 1e-8
        assert limit.masses.sum() + limit.atom == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(
    "setting",
    [
        Setting(0.5, 1.0, 0.2, 10, 3.0),
        Setting(0.125, 0.5, 0.2, 30, 3.0),
        Setting(0.25, 2.0, 0.2, 10, 2.0),
        Setting(1.0, 1.0, 0.2, 5, 1.5, gamma=2.0),
        Setting(2.0, 1.0, 0.15, 7, 1.0, sigma_w=0.5),
    ],
)
def test_gradient_descent_has_the_law(setting: Setting) -> None:
    """Pooled spectra of 256 values or more each are rigid: a law with a teacher 10 % off fails."""
    limit = nl.limits.many_outputs(**vars(setting))
    values = [descent(setting, round(256 * max(1, setting.width_ratio)), seed) for seed in range(4)]
    assert distance(limit, values) < 0.012
    wrong = nl.limits.many_outputs(**{**vars(setting), "teacher": 1.1 * setting.teacher})
    assert distance(wrong, values) > 0.02
    s = np.linspace(0, 1.05 * limit.edge, 4001)
    middle = (s[1:] + s[:-1]) / 2
    assert (limit.pdf(middle) * np.diff(s)).sum() == pytest.approx(1 - limit.atom, abs=2e-3)
    np.testing.assert_allclose(limit.cdf(limit.quantile([0.05, 0.5, 0.95])), [0.05, 0.5, 0.95], atol=1e-9)


def test_top_singular_value_at_finite_width() -> None:
    """The mean over 40 networks of width 256 against Tracy-Widom; the plain edge is far off."""
    limit = nl.limits.many_outputs(0.5, **CASE)
    tops = np.array([descent(Setting(0.5, **CASE), 256, seed)[0] for seed in range(40)])
    error, largest = tops.std(ddof=1) / 40**0.5, limit.largest(256)
    assert abs(tops.mean() - largest.mean) < 3 * error
    assert limit.edge - tops.mean() > 5 * error
    assert tops.std(ddof=1) == pytest.approx(largest.sd, rel=4 / 80**0.5)
    assert limit.largest(1024).mean == pytest.approx(4.4129, abs=1e-4)


def test_no_steps_is_the_untrained_law() -> None:
    limit, start = nl.limits.many_outputs(0.5, 2.0, lr=0.2, steps=0), nl.laws.QuarterCircle(400, 200, std=200**-0.5)
    np.testing.assert_allclose(limit.support, [start.support], rtol=1e-12)
    s = np.linspace(0, 3, 50)
    np.testing.assert_allclose(limit.pdf(s), start.pdf(s), atol=1e-12)
    np.testing.assert_allclose(limit.cdf(s), start.cdf(s), atol=1e-12)


def test_few_outputs_grow_outliers_many_one_bulk() -> None:
    """C = 1, 4, 16, 64 of width 512 part from the bulk with their mass, 256 do not; C → 0 meets the outlier."""
    bumps = {1: (3.011, 3.357), 4: (2.853, 3.547), 16: (2.563, 3.966), 64: (2.061, 4.941)}
    case = CASE | {"steps": 30}
    for outputs, bump in bumps.items():
        limit = nl.limits.many_outputs(outputs / 512, **case)
        assert len(limit.support) == 2
        np.testing.assert_allclose(limit.support[1], bump, atol=1e-3)
        np.testing.assert_allclose(limit.masses, [1 - outputs / 512, outputs / 512], atol=1e-9)
    assert len(nl.limits.many_outputs(0.5, **case).support) == 1
    outlier = few_outputs_outlier(lr=0.2, steps=30, teacher=3.0)
    assert outlier is not None
    low, high = nl.limits.many_outputs(1e-8, **case).support[1]
    assert low < outlier < high
    assert high - low < 1e-3
    assert few_outputs_outlier(lr=0.2, steps=30, teacher=0.5) is None


def test_where_the_gap_closes() -> None:
    for teacher, ratio in ((2.0, 0.0526), (3.0, 0.2987), (5.0, 0.6707)):
        assert closing_ratio(lr=0.2, steps=30, teacher=teacher, accuracy=1e-4) == pytest.approx(ratio, abs=1e-4)
    assert closing_ratio(lr=0.2, steps=30, teacher=0.2, accuracy=1e-2) is None


def test_dataset_and_points_outside() -> None:
    limit = nl.limits.many_outputs(1 / 32, **CASE)
    assert limit.data.sizes == {"singular_value": 400, "component": 2}
    assert limit.data.attrs["edge"] == limit.edge
    (_, end), (start, _) = limit.support
    np.testing.assert_array_equal(limit.pdf([-1.0, (start + end) / 2, 99.0, np.inf]), 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"output_ratio": 0.0}, "`output_ratio` must be positive"),
        ({"width_ratio": -1.0}, "`width_ratio` must be positive"),
        ({"sample_ratio": 0.0}, "`sample_ratio` must be positive"),
        ({"lr": 0.69}, "`lr` must be below 0.686292, where gradient descent becomes unstable; got 0.69"),
        ({"lr": 0.3, "sample_ratio": 2.0}, "`lr` must be below 0.235"),
        ({"steps": -1}, "`steps` must be at least 0"),
        ({"label_noise": 0.1}, "`label_noise` needs a `sample_ratio`"),
        ({"sigma_w": 0.0, "teacher": 0.0}, "`sigma_w` must be positive"),
    ],
)
def test_bad_input(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nl.limits.many_outputs(**{"output_ratio": 0.5, **CASE, **change})


def test_quadrature_that_does_not_settle_is_a_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neural_limits.limits.extensive_outputs._solution.TRUNCATION", 0.0)
    monkeypatch.setattr("neural_limits.limits.extensive_outputs._solve.MOST_SAMPLE_NODES", 32)
    limit = nl.limits.many_outputs(0.5, **CASE | {"lr": 0.1}, sample_ratio=2.0)
    assert limit.status == "no_convergence"
    assert "quadrature nodes" in limit.message
