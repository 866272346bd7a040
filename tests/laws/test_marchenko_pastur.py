"""Marchenko-Pastur and the singular values' law: against the density's formula, quadrature and simulation."""

from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import kstest

from neural_limits.laws import MarchenkoPastur, QuarterCircle

RATIOS = (1e-3, 0.2, 1.0, 1.7, 50.0)
SHAPES = ((50, 50), (30, 80), (80, 30))


def density(x: Any, ratio: float, scale: float) -> Any:
    """The law as the textbook writes it, inside the bulk."""
    low, high = scale * (1 - np.sqrt(ratio)) ** 2, scale * (1 + np.sqrt(ratio)) ** 2
    return np.sqrt((high - x) * (x - low)) / (2 * np.pi * ratio * scale * x)


@pytest.mark.parametrize("ratio", RATIOS)
def test_density_is_the_closed_form(ratio: float) -> None:
    law = MarchenkoPastur(ratio, scale=1.3)
    low, high = law.support
    x = low + (high - low) * np.linspace(0.001, 0.999, 301)
    np.testing.assert_allclose(law.pdf(x), density(x, ratio, 1.3), rtol=1e-12)


@pytest.mark.parametrize("ratio", RATIOS)
def test_distribution_is_the_integral_of_the_density(ratio: float) -> None:
    law = MarchenkoPastur(ratio, scale=1.3)
    low, high = law.support
    for share in (0.03, 0.5, 0.9, 1.0):
        x = low + (high - low) * share
        # x = low + (high − low) t² turns the square roots at the lower edge into polynomials.
        mass, _ = quad(
            lambda t: density(low + (high - low) * t * t, ratio, 1.3) * 2 * t * (high - low),
            0,
            np.sqrt(share),
            epsabs=1e-13,
        )
        assert abs(law.cdf(x) - law.atom - mass) < 1e-10
    assert law.cdf(high) == 1.0
    assert law.atom == pytest.approx(max(0, 1 - 1 / ratio), abs=1e-15)
    first, _ = quad(lambda t: t * law.pdf(t), low, high, epsabs=1e-12, limit=200)
    assert first == pytest.approx(law.mean(), abs=1e-7)


@pytest.mark.parametrize("ratio", RATIOS)
def test_quantile_inverts_the_distribution(ratio: float) -> None:
    law = MarchenkoPastur(ratio, scale=0.7)
    q = law.atom + (1 - law.atom) * np.linspace(0.01, 0.99, 25)
    np.testing.assert_allclose(law.cdf(law.quantile(q)), q, atol=2e-14)
    assert law.quantile(1.0) == law.support[1]
    assert law.quantile(0.0) == (0.0 if ratio > 1 else law.support[0])
    if law.atom > 0:
        assert law.quantile(0.9 * law.atom) == 0.0


@pytest.mark.parametrize("ratio", RATIOS)
def test_stieltjes_transform(ratio: float) -> None:
    law = MarchenkoPastur(ratio, scale=1.3)
    low, high = law.support
    for z in (-0.4 + 0j, 1.0 + 0.5j, 2.0 - 0.3j, high + 1):

        def integrand(x: float, z: complex = z) -> complex:
            return density(x, ratio, 1.3) / (x - z)

        bulk, _ = quad(integrand, low, high, epsabs=1e-11, limit=400, complex_func=True)
        assert abs(law.stieltjes(z) - (bulk - law.atom / z)) < 1e-8
    x = low + (high - low) * np.linspace(0.05, 0.95, 9)
    np.testing.assert_allclose(law.stieltjes(x).imag / np.pi, law.pdf(x), rtol=1e-10)
    z = np.array([1e8, -1e-6, 1j])
    m = law.stieltjes(z)
    c, s = law.ratio, law.scale
    terms = np.stack([c * s * z * m**2, (z + s * (c - 1)) * m, np.ones(3)])
    assert np.all(np.abs(terms.sum(axis=0)) < 1e-14 * np.abs(terms).sum(axis=0))


def test_outside_the_support_is_zero_and_shapes_are_kept() -> None:
    law = MarchenkoPastur(0.5)
    outside = np.array([[-np.inf, -1.0, 0.0], [0.05, 3.5, np.inf]])
    np.testing.assert_array_equal(law.pdf(outside), np.zeros((2, 3)))
    np.testing.assert_array_equal(law.cdf(outside), [[0, 0, 0], [0, 1, 1]])
    assert np.ndim(law.pdf(1.0)) == 0
    assert MarchenkoPastur(1.0).pdf(0.0) == np.inf
    assert MarchenkoPastur(4.0).pdf(0.0) == 0.0
    assert MarchenkoPastur(4.0).cdf(0.0) == 0.75


def test_density_outside_is_also_zero_for_singular_values() -> None:
    law = QuarterCircle(30, 80, std=0.1)
    np.testing.assert_array_equal(law.pdf([-1.0, 0.0, law.lower_edge * 0.99, law.edge * 1.01, np.inf]), 0.0)
    np.testing.assert_array_equal(law.cdf([-np.inf, -1.0, 0.0, law.edge * 1.01, np.inf]), [0, 0, 0, 1, 1])


@pytest.mark.parametrize("ratio", [0.4, 2.5])
def test_simulated_eigenvalues_follow_the_law(ratio: float) -> None:
    n = 400
    p = int(ratio * n)
    x = np.random.default_rng(0).standard_normal((p, n)) * np.sqrt(2.0)
    eigenvalues = np.linalg.eigvalsh(x @ x.T / n)
    law = MarchenkoPastur(p / n, scale=2.0)
    zero = np.abs(eigenvalues) < 1e-8
    assert zero.mean() == pytest.approx(law.atom, abs=1e-12)
    bulk = eigenvalues[~zero]
    # Eigenvalues repel, so the distance is of order log(n)/n, far below 1/√n: a wrong scale would show.
    share = (law.cdf(bulk) - law.atom) / (1 - law.atom)
    assert kstest(share, "uniform").statistic < 4 / len(bulk)
    wrong = (law.cdf(1.1 * bulk) - law.atom) / (1 - law.atom)
    assert kstest(wrong, "uniform").statistic > 4 / len(bulk)


def test_quarter_circle_is_a_quarter_circle() -> None:
    law = QuarterCircle(400, 400, std=0.05)
    s = np.linspace(0, 2, 101)
    np.testing.assert_allclose(law.pdf(s), np.sqrt(np.maximum(4 - s**2, 0)) / np.pi, atol=1e-12)
    exact = (s * np.sqrt(np.maximum(4 - s**2, 0)) / 2 + 2 * np.arcsin(s / 2)) / np.pi
    np.testing.assert_allclose(law.cdf(s), exact, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_singular_value_law(shape: tuple[int, int]) -> None:
    law = QuarterCircle(*shape, std=0.3)
    low, high = law.support
    assert high == pytest.approx(0.3 * (np.sqrt(shape[0]) + np.sqrt(shape[1])), rel=1e-14)
    assert low == pytest.approx(0.3 * abs(np.sqrt(shape[0]) - np.sqrt(shape[1])), rel=1e-14)
    mass, _ = quad(law.pdf, low, high, epsabs=1e-11, limit=200)
    assert mass == pytest.approx(1.0, abs=1e-8)
    q = np.linspace(0.01, 0.99, 9)
    np.testing.assert_allclose(law.cdf(law.quantile(q)), q, atol=1e-13)


def test_simulated_singular_values_follow_the_law() -> None:
    matrix = np.random.default_rng(1).standard_normal((250, 600)) * 0.2
    values = np.linalg.svd(matrix, compute_uv=False)
    assert kstest(values, QuarterCircle(250, 600, std=0.2).cdf).statistic < 0.02
    assert kstest(values, QuarterCircle(600, 250, std=0.2).cdf).statistic < 0.02


@pytest.mark.parametrize("ratio", [0.0, -1.0, np.inf, np.nan, "half"])
def test_bad_ratio(ratio: object) -> None:
    with pytest.raises(ValueError, match="`ratio` must be"):
        MarchenkoPastur(ratio)  # type: ignore[arg-type]


def test_bad_arguments_are_named() -> None:
    law = MarchenkoPastur(2.0)
    with pytest.raises(ValueError, match="`scale` must be positive"):
        MarchenkoPastur(1.0, scale=0.0)
    with pytest.raises(ValueError, match="`rows` must be at least 1; got 0"):
        QuarterCircle(0, 4)
    with pytest.raises(ValueError, match="`columns` must be a whole number"):
        QuarterCircle(4, 4.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="`std` must be positive"):
        QuarterCircle(4, 4, std=-1.0)
    with pytest.raises(ValueError, match=r"`q` must lie in \[0, 1\]; got 1.5"):
        law.quantile([0.5, 1.5])
    with pytest.raises(ValueError, match="`x` must not hold NaN; 1 of 2"):
        law.pdf([1.0, np.nan])
    with pytest.raises(ValueError, match="`x` must hold real numbers"):
        law.cdf(1j)
    with pytest.raises(ValueError, match="`z` must not be 0 for ratio 2"):
        law.stieltjes(0)
    with pytest.raises(ValueError, match="`z` must be finite"):
        law.stieltjes(np.inf)
