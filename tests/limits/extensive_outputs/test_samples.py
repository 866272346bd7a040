"""Gauss nodes of Marchenko-Pastur, and the law of many outputs after training on finitely many samples."""

from fractions import Fraction

import numpy as np
import pytest
from scipy.integrate import quad

import neural_limits as nl
from neural_limits.limits.extensive_outputs import Setting
from neural_limits.limits.extensive_outputs._quadrature import marchenko_pastur_nodes
from neural_limits.limits.extensive_outputs._samples import _propagators, finite_sample_law


@pytest.mark.parametrize("kappa", [1 / 32, 0.5, 0.999, 1.0, 1.001, 3.0])
def test_nodes_integrate_against_the_density(kappa: float) -> None:
    values, weights = marchenko_pastur_nodes(kappa, 40)
    low, high = (1 - np.sqrt(kappa)) ** 2, (1 + np.sqrt(kappa)) ** 2
    assert abs(weights.sum() - 1) < 1e-13
    assert (weights > 0).all()
    assert low - 1e-12 < values[:40].min() < values[:40].max() < high + 1e-12
    assert weights[:40].sum() == pytest.approx(min(1, kappa), abs=1e-13)

    def bulk(theta: float) -> float:  # the density in l = middle − half cos θ, where it is smooth
        l = low + 4 * np.sqrt(kappa) * np.sin(theta / 2) ** 2
        return 2 * kappa * np.sin(theta) ** 2 / (np.pi * l) * np.exp(-l) / (1 + l)

    exact = quad(bulk, 0, np.pi, epsabs=1e-14, limit=400, points=[1e-4, 1e-2])[0] + max(0, 1 - kappa)
    assert abs(weights @ (np.exp(-values) / (1 + values)) - exact) < 1e-12


def trained(
    kappa: float, c: float, samples: float, lr: float, steps: int, a: float, sigma: float, noise: float
) -> np.ndarray:
    """Singular values of M after actual gradient descent, 4 draws of N = 160 rows, zeros included."""
    rng, n = np.random.default_rng(1), 160
    outputs, d = round(kappa * n), round(n / c)
    p = round(samples * d)
    draws = []
    for _ in range(4):
        v = rng.standard_normal((outputs, n)) / n**0.5
        m = rng.standard_normal((n, d)) * sigma / d**0.5
        teacher = rng.standard_normal((outputs, d)) * a / d**0.5
        x = rng.standard_normal((d, p))
        y = teacher @ x + noise * rng.standard_normal((outputs, p))
        second, cross = x @ x.T / p, y @ x.T / p
        for _ in range(steps):
            m = m - lr * v.T @ (v @ m @ second - cross)
        values = np.zeros(n)
        values[: min(n, d)] = np.linalg.svd(m, compute_uv=False)
        draws.append(values)
    return np.sort(np.ravel(draws))


@pytest.mark.parametrize(
    "setting",
    [
        (0.5, 1.0, 2.0, 0.15, 10, 3.0, 1.0, 2.0),
        (0.5, 0.5, 0.5, 0.05, 20, 3.0, 1.0, 3.0),  # fewer samples than inputs
        (2.0, 1.0, 1.25, 0.05, 10, 3.0, 1.0, 2.0),  # more outputs than width
        (0.25, 2.0, 1.5, 0.12, 12, 2.0, 1.0, 2.0),  # wider than the inputs: an atom at zero
        (0.5, 1.0, 0.5, 0.05, 20, 3.0, 0.0, 2.0),  # from zero: an atom of untouched directions
    ],
)
def test_gradient_descent_follows_the_law(setting: tuple) -> None:
    law = finite_sample_law(*setting, nodes=64)
    values = trained(*setting)
    zero = values < 1e-9
    assert zero.mean() == pytest.approx(law.atom, abs=1e-9)
    share = (np.arange(values.size) + 0.5) / values.size
    distance = np.abs(law.cdf(values) - share)[~zero].max()
    assert distance < 0.012
    *rest, _ = setting  # without label noise the law is another
    assert np.abs(finite_sample_law(*rest, 0.0, nodes=64).cdf(values) - share)[~zero].max() > max(0.02, 2 * distance)


def test_edge_and_largest_singular_value_of_a_reference_setting() -> None:
    case = {"lr": 0.15, "steps": 10, "teacher": 3.0, "sample_ratio": 2.0}
    limit = nl.limits.many_outputs(0.5, label_noise=1.0, **case)
    assert limit.edge == pytest.approx(4.2219, abs=5e-5)
    assert limit.largest(512).mean == pytest.approx(4.1794, abs=5e-5)  # dense, 10 seeds: 4.167 ± 0.011
    assert limit.truncation < 1e-9
    assert limit.masses.sum() == pytest.approx(1, abs=1e-6)
    # An output scale multiplies what the teacher and its noise amount to.
    scaled = nl.limits.many_outputs(0.5, label_noise=0.5, gamma=2.0, **{**case, "teacher": 1.5})
    assert scaled.edge == pytest.approx(limit.edge, rel=1e-12)


@pytest.mark.parametrize(
    ("kappa", "c", "steps", "edge"),
    [(1 / 32, 0.5, 10, 3.138185), (0.125, 1.0, 30, 4.941358), (0.5, 0.5, 3, 2.375710), (0.5, 1.0, 10, 4.434658)],
)
def test_infinitely_many_samples_give_population_gradients(kappa: float, c: float, steps: int, edge: float) -> None:
    # Edges of the generalised Marchenko-Pastur law of Σ(l) = σ² F² + a² l G².
    exact = finite_sample_law(kappa, c, np.inf, 0.2, steps, 3.0, 1.0, 5.0, 64)
    assert exact.edge == pytest.approx(edge, abs=1e-6)
    near = finite_sample_law(kappa, c, 1e6, 0.2, steps, 3.0, 1.0, 1.0, 64)
    assert near.edge == pytest.approx(edge, rel=1e-3)


@pytest.mark.parametrize("steps", [0, 1, 2, 7, 8])
def test_propagators_are_the_sums_they_abbreviate(steps: int) -> None:
    x = np.array([[0.0, 1e-300, 1e-9, 0.3, 1.0], [1.0 + 1e-9, 1.7, 2.0 - 1e-9, 2.0, 2.3]])
    rest, gain = _propagators(x, steps)
    np.testing.assert_allclose(rest, (1 - x) ** steps, rtol=1e-12, atol=1e-60)
    exact = [[float(sum((1 - Fraction(v)) ** j for j in range(steps))) for v in row] for row in x]
    np.testing.assert_allclose(gain, exact, rtol=1e-14)


def test_largest_rate_is_where_the_fastest_direction_stops_shrinking() -> None:
    for kappa, samples in ((0.5, 2.0), (2.0, 0.5)):
        l, _ = marchenko_pastur_nodes(kappa, 400)
        mu, _ = marchenko_pastur_nodes(samples, 400)
        rate = Setting(kappa, lr=1e-3, sample_ratio=samples).largest_rate
        assert rate * l.max() * mu.max() / samples == pytest.approx(2, rel=1e-3)
    assert Setting(1.0, lr=1e-3).largest_rate == 0.5
