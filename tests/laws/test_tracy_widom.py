"""Tracy-Widom against published numbers, and the top singular value against simulated matrices."""

import numpy as np
import pytest
from scipy.stats import kstest

from neural_limits.laws import LargestSingularValue, TracyWidom, largest_singular_value
from neural_limits.laws import _tracy_widom as implementation

LAW = TracyWidom()


def test_moments_are_the_published_ones() -> None:
    assert LAW.mean() == pytest.approx(-1.2065335745820, abs=1e-12)  # Bornemann (2010), table 2
    assert LAW.variance() == pytest.approx(1.607781034581, abs=1e-11)


@pytest.mark.parametrize(
    ("q", "level"),
    # Johnstone (2001), table 1
    [
        (0.01, -3.8954),
        (0.05, -3.1804),
        (0.1, -2.7824),
        (0.5, -1.2686),
        (0.9, 0.4501),
        (0.95, 0.9793),
        (0.99, 2.0234),
    ],
)
def test_quantiles_are_the_published_ones(q: float, level: float) -> None:
    assert LAW.quantile(q) == pytest.approx(level, abs=6e-5)


def test_discretisation_has_converged(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [-9.0, -5.0, -1.0, 0.5, 3.0, 20.0]
    values = [implementation._determinant(s) for s in points]
    monkeypatch.setattr(implementation, "NODES", 97)
    implementation._legendre.cache_clear()
    finer = [implementation._determinant.__wrapped__(s) for s in points]
    monkeypatch.undo()
    implementation._legendre.cache_clear()
    np.testing.assert_allclose(values, finer, atol=1e-13)
    np.testing.assert_allclose([v[1] for v in values], [v[1] for v in finer], rtol=1e-11)


def test_density_is_the_derivative() -> None:
    s, h = np.array([-4.0, -1.5, 0.0, 2.0]), 1e-4
    slope = (8 * (LAW.cdf(s + h) - LAW.cdf(s - h)) - (LAW.cdf(s + 2 * h) - LAW.cdf(s - 2 * h))) / (12 * h)
    np.testing.assert_allclose(LAW.pdf(s), slope, atol=1e-10)


def test_quantile_inverts_both_tails() -> None:
    q = np.array([1e-9, 1e-3, 0.3, 0.7, 1 - 1e-6])
    np.testing.assert_allclose(LAW.cdf(LAW.quantile(q)), q, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(LAW.sf(LAW.quantile(1 - 1e-6)), 1e-6, rtol=1e-9)
    p = np.array([1e-200, 1e-20, 1e-6, 0.2, 0.9])
    np.testing.assert_allclose(LAW.sf(LAW.isf(p)), p, rtol=1e-9)


def test_far_upper_tail_is_half_the_trace() -> None:
    """1 − F(s) → tr B_s = ½ ∫_s^∞ Ai, to relative order tr B_s."""
    from scipy.integrate import quad
    from scipy.special import airy

    trace, _ = quad(lambda x: airy(x)[0], 12.0, 30.0, epsabs=0, epsrel=1e-12)
    assert LAW.sf(12.0) == pytest.approx(trace / 2, rel=1e-10)


def test_ends_of_the_line() -> None:
    np.testing.assert_array_equal(LAW.cdf([-np.inf, -50.0, 200.0, np.inf]), [0, 0, 1, 1])
    np.testing.assert_array_equal(LAW.sf([-np.inf, -50.0, 200.0, np.inf]), [1, 1, 0, 0])
    np.testing.assert_array_equal(LAW.pdf([-np.inf, 300.0]), [0, 0])
    assert LAW.cdf(np.zeros((2, 3))).shape == (2, 3)


@pytest.mark.parametrize("q", [0.0, 1.0, -0.1, 1.1, 1e-13])
def test_bad_probability(q: float) -> None:
    with pytest.raises(ValueError, match="`q` must lie in"):
        LAW.quantile(q)


def test_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="`s` must not hold NaN"):
        LAW.cdf(np.nan)


def test_threshold_of_a_square_matrix_to_first_order() -> None:
    n = 1000
    top = largest_singular_value(n, n, std=n**-0.5)
    assert top.edge == pytest.approx(2.0, rel=1e-14)
    assert top.scale == pytest.approx(2 ** (-2 / 3) * n ** (-2 / 3), rel=1e-12)
    assert top.threshold(0.05) == pytest.approx(2 + 0.63 * 0.98 * n ** (-2 / 3), abs=5e-5)
    assert top.threshold(0.05) == pytest.approx(float(top.quantile(0.95)), rel=1e-12)
    assert largest_singular_value(60, 150).quantile(0.9) == largest_singular_value(150, 60).quantile(0.9)


def test_threshold_is_never_below_the_edge() -> None:
    top = largest_singular_value(200, 100)
    assert top.quantile(0.5) < top.edge == top.threshold(0.5)
    levels = top.threshold([0.5, 0.1, 1e-3, 1e-12, 1e-200])
    assert np.all(np.diff(levels) > 0)
    assert largest_singular_value(1, 1).quantile(1e-6) == 0.0


def test_mean_is_the_integral_of_the_upper_tail() -> None:
    """E σ₁ = low + ∫_low P(σ₁ > t) dt, with P from the distribution function rather than the density."""
    top = largest_singular_value(50, 90, std=0.3)
    low, high = (np.sqrt(top.edge**2 + 2 * top.edge * top.scale * s) for s in (-9.5, 12.0))
    points, weights = np.polynomial.legendre.leggauss(50)
    t = low + (1 + points) / 2 * (high - low)
    tail = LAW.sf((t**2 - top.edge**2) / (2 * top.edge * top.scale))
    assert top.mean() == pytest.approx(low + weights @ tail * (high - low) / 2, abs=1e-9)
    assert top.mean() < top.edge


@pytest.mark.parametrize("shape", [(100, 100), (60, 150)])
def test_simulated_matrices(shape: tuple[int, int]) -> None:
    seeds, std = 200, 0.1
    rng = np.random.default_rng(3)
    matrices = std * rng.standard_normal((seeds, *shape))
    tops = np.sqrt(np.linalg.eigvalsh(matrices @ matrices.transpose(0, 2, 1))[:, -1])
    law = largest_singular_value(*shape, std=std)
    stderr = tops.std() / np.sqrt(seeds)
    # The centre is high by 0.17 of the scale at n = 100 (n in place of n − 1/2): allowed for, once.
    assert abs(tops.mean() - law.mean()) < 4 * stderr + 0.2 * law.scale
    exceed = np.mean(tops > law.threshold(0.1))
    assert abs(exceed - 0.1) < 4 * np.sqrt(0.1 * 0.9 / seeds)
    scatter = (tops**2 - law.edge**2) / (2 * law.edge * law.scale)
    assert kstest(scatter, LAW.cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 4), "`rows` must be at least 1; got 0"),
        ((4, -1), "`columns` must be at least 1; got -1"),
        ((4, 4, 0.0), "`std` must be positive"),
        ((4, 4, np.inf), "`std` must be positive and finite"),
    ],
)
def test_bad_sizes(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        largest_singular_value(*arguments)


def test_bad_levels() -> None:
    with pytest.raises(ValueError, match="`false_alarm` must lie in"):
        largest_singular_value(4, 4).threshold(0.0)
    with pytest.raises(ValueError, match="`edge` must be positive"):
        LargestSingularValue(edge=-1.0, scale=1.0)
