"""The law of a variance profile: against closed forms, two other solvers and dense matrices."""

from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq

from neural_limits.laws import MarchenkoPastur, VarianceProfile

BLOCKS = np.array([[1.0, 2.0], [9.0, 12.0]])


def smooth_profile() -> VarianceProfile:
    """Variances (1 + 2 l μ)² on [0, 1] × [0, 1]."""
    x, w = np.polynomial.legendre.leggauss(48)
    nodes = (1 + x) / 2
    return VarianceProfile((1 + 2 * np.outer(nodes, nodes)) ** 2, w / 2, w / 2, 0.6)


def dense(law: VarianceProfile, rows: int, rng: np.random.Generator) -> np.ndarray:
    """A Gaussian matrix of the profile."""
    columns = round(rows / law.ratio)
    i = np.searchsorted(np.cumsum(law.row_weights) - 1e-12, (np.arange(rows) + 0.5) / rows)
    j = np.searchsorted(np.cumsum(law.column_weights) - 1e-12, (np.arange(columns) + 0.5) / columns)
    return rng.standard_normal((rows, columns)) * np.sqrt(np.asarray(law.profile)[np.ix_(i, j)] / columns)


@pytest.mark.parametrize("ratio", [0.2, 1.0, 1.01, 3.0])
def test_constant_profile_is_marchenko_pastur(ratio: float) -> None:
    law = VarianceProfile(np.full((2, 3), 1.3), [0.4, 0.6], [0.2, 0.5, 0.3], ratio)
    exact = MarchenkoPastur(ratio, scale=1.3)
    s = np.linspace(0, 1.1 * law.edge, 200)
    np.testing.assert_allclose(law.support, [np.sqrt(exact.support)], atol=1e-10)
    np.testing.assert_allclose(law.pdf(s), exact.root_pdf(s), atol=1e-10)
    np.testing.assert_allclose(law.cdf(s), exact.cdf(s**2), atol=1e-10)
    assert law.atom == pytest.approx(exact.atom, abs=1e-14)
    q = np.array([0.0, 0.3, 0.8, 1.0])
    np.testing.assert_allclose(law.quantile(q), np.sqrt(exact.quantile(q)), atol=1e-10)
    z = np.array([1 + 1j, -2.0, 0.3 - 0.1j, 2.0, 50.0])
    np.testing.assert_allclose(law.stieltjes(z), exact.stieltjes(z), rtol=1e-10)


@pytest.mark.parametrize("ratio", [0.5, 2.0])
def test_profile_of_rows_alone_is_the_generalised_marchenko_pastur_law(ratio: float) -> None:
    # Silverstein's equation in u = −1/companion transform: x(u) = u (1 + c ∫ t/(u − t) dH), real on a curve.
    x, w = np.polynomial.legendre.leggauss(64)
    t, weights = np.exp(0.8 * x), w / 2
    law = VarianceProfile(np.repeat(t[:, None], 2, axis=1), weights, [0.5, 0.5], ratio)
    top = brentq(lambda u: ratio * weights @ (t / (u - t)) ** 2 - 1, t.max() + 1e-9, 100, xtol=1e-14)
    assert law.edge == pytest.approx(np.sqrt(top * (1 + ratio * weights @ (t / (top - t)))), abs=1e-10)
    for r in np.linspace(0.6, top - 0.05, 12):
        if ratio * weights @ (t / (r - t)) ** 2 < 1:
            continue
        v = brentq(lambda v, r=r: ratio * weights @ (t**2 / ((r - t) ** 2 + v**2)) - 1, 1e-12, 100, xtol=1e-15)
        u = r + 1j * v
        value = u * (1 + ratio * weights @ (t / (u - t)))
        assert abs(value.imag) < 1e-11
        s = np.sqrt(value.real)
        assert law.pdf(s) == pytest.approx(2 * s * v / (np.pi * abs(u) ** 2) / ratio, abs=1e-10)


@pytest.mark.parametrize("profile", [BLOCKS, np.array([[1.0, 0.0, 2.0], [1e-4, 3.0, 0.0]])])
def test_transform_is_the_fixed_point_of_the_equation(profile: np.ndarray) -> None:
    rows, columns, ratio = np.array([0.7, 0.3]), np.ones(profile.shape[1]) / profile.shape[1], 0.8
    law = VarianceProfile(profile, rows, columns, ratio)
    for z in (0.4 + 0.5j, 1.5 + 0.2j, 3 + 0.3j):
        g, gh = np.full(2, -1j), np.full(len(columns), -1j)
        for _ in range(3000):
            g = (g + 1 / (z - profile @ (columns * gh))) / 2
            gh = (gh + 1 / (z - ratio * (rows * g) @ profile)) / 2
        np.testing.assert_allclose(law.stieltjes(z**2), -(rows @ g) / z, rtol=1e-11)
    s = law.support[-1][0] * 0.5 + law.edge * 0.5
    assert law.stieltjes(s**2).imag == pytest.approx(np.pi * law.pdf(s) / (2 * s), rel=1e-10)


@pytest.mark.parametrize("law", [smooth_profile(), VarianceProfile(BLOCKS, [0.8, 0.2], [0.5, 0.5], 0.3)])
def test_transposed_matrix_has_the_same_singular_values(law: VarianceProfile) -> None:
    profile = np.asarray(law.profile)
    other = VarianceProfile(law.ratio * profile.T, law.column_weights, law.row_weights, 1 / law.ratio)
    np.testing.assert_allclose(other.support, law.support, atol=1e-11)
    s = np.linspace(0.01, law.edge, 60)
    np.testing.assert_allclose(other.pdf(s), law.ratio * law.pdf(s), atol=1e-9)
    np.testing.assert_allclose(1 - other.cdf(s), law.ratio * (1 - law.cdf(s)), atol=1e-11)
    assert other.atom == pytest.approx(1 - law.ratio, abs=1e-12)


def test_mass_and_second_moment() -> None:
    law = smooth_profile()
    middle = (law.support[0][0] + law.edge) / 2
    theta = np.pi * (np.arange(400) + 0.5) / 400
    s = middle - (law.edge - middle) * np.cos(theta)
    weights = np.pi / 400 * (law.edge - middle) * np.sin(theta) * law.pdf(s)
    exact = np.asarray(law.row_weights) @ np.asarray(law.profile) @ np.asarray(law.column_weights)  # tr M Mᵀ/N
    assert weights.sum() == pytest.approx(1, abs=1e-10)
    assert weights @ s**2 == pytest.approx(exact, abs=1e-10)
    np.testing.assert_allclose(law.cdf(s), np.cumsum(weights) - weights / 2, atol=1e-4)
    q = np.linspace(0.01, 0.99, 23)
    np.testing.assert_allclose(law.cdf(law.quantile(q)), q, atol=1e-12)


@pytest.mark.parametrize(
    "law",
    [
        VarianceProfile(BLOCKS, [0.9, 0.1], [0.5, 0.5], 0.3),  # two components
        VarianceProfile([[1.0], [25.0], [400.0]], [0.96, 0.02, 0.02], [1.0], 0.3),  # three
        VarianceProfile([[1.0, 1.0], [1.0, 0.0]], [0.3, 0.7], [0.5, 0.5], 2.0),  # an atom, of rank below min(N, D)
        VarianceProfile([[1.0, 1.0], [1.0, 0.0]], [0.5, 0.5], [0.5, 0.5], 1.0),  # a density like s^(−1/3) at zero
        VarianceProfile([[1.0, 4.0], [0.0, 0.0]], [0.6, 0.4], [0.5, 0.5], 1 / 0.6),  # empty rows, else square
    ],
)
def test_dense_matrices_follow_the_law(law: VarianceProfile) -> None:
    rng, n = np.random.default_rng(0), 250
    draws = np.zeros((3, n))
    for draw in draws:
        matrix = dense(law, n, rng)
        draw[:] = np.sqrt(np.maximum(np.linalg.eigvalsh(matrix @ matrix.T), 0))
    zero = draws < 1e-6
    assert zero.mean() == pytest.approx(law.atom, abs=1e-9)
    bulk = np.sort(draws[~zero])
    share = law.atom + (1 - law.atom) * (np.arange(bulk.size) + 0.5) / bulk.size
    assert np.abs(law.cdf(bulk) - share).max() < 0.01
    assert np.abs(law.cdf(1.08 * bulk) - share).max() > 0.02
    for low, high in law.support:  # every component holds its mass, and its draws reach both edges
        mass = law.cdf(high) - (law.cdf(low) if low > 0 else law.atom)
        found = bulk[(bulk > low - 0.05) & (bulk < high + 0.05 * high)]
        assert found.size / (3 * n) == pytest.approx(mass, abs=1e-3)
        assert found[0] == pytest.approx(low, abs=0.05 * high)
        assert found[-1] == pytest.approx(high, abs=0.05 * high)


def test_largest_singular_value_scatters_as_said(assert_within: Any) -> None:
    law, n, seeds = VarianceProfile(BLOCKS, [0.75, 0.25], [0.5, 0.5], 1.0), 100, 300
    rng = np.random.default_rng(0)
    matrices = (dense(law, n, rng) for _ in range(seeds))
    top = np.sqrt([np.linalg.eigvalsh(m @ m.T)[-1] for m in matrices])
    mean, sd = law.largest(n)
    # The next order moves the mean by about 0.19 sd at this size, as 1/N; a B twice too large moves it by 0.35.
    assert_within(top.mean(), mean - 0.19 * sd, sd / seeds**0.5, k=3)
    assert_within(top.std(), sd, sd / (2 * seeds) ** 0.5, k=3)
    assert mean < law.edge


def test_blocks_that_share_nothing_are_a_mixture() -> None:
    law = VarianceProfile([[1.0, 0.0], [0.0, 4.0]], [0.5, 0.5], [0.5, 0.5], 1.0)
    parts = [MarchenkoPastur(1.0, scale=v / 2) for v in (1.0, 4.0)]
    s = np.linspace(0, 3, 50)
    np.testing.assert_allclose(law.pdf(s), sum(p.root_pdf(s) for p in parts) / 2, atol=1e-10)
    np.testing.assert_allclose(law.cdf(s), sum(p.cdf(s**2) for p in parts) / 2, atol=1e-5)
    assert law.edge == pytest.approx(np.sqrt(8), abs=1e-10)


def test_outside_the_support_is_zero_and_shapes_are_kept() -> None:
    law = VarianceProfile(BLOCKS, [0.9, 0.1], [0.5, 0.5], 0.3)
    gap = (law.support[0][1] + law.support[1][0]) / 2
    outside = np.array([[-np.inf, -1.0, 0.0], [gap, law.edge * 1.001, np.inf]])
    np.testing.assert_array_equal(law.pdf(outside), np.zeros((2, 3)))
    np.testing.assert_allclose(law.cdf(outside), [[0, 0, 0], [0.9, 1, 1]], atol=1e-12)
    assert np.ndim(law.pdf(1.0)) == np.ndim(law.cdf(1.0)) == np.ndim(law.quantile(0.5)) == 0
    assert law.pdf([]).shape == (0,)


def test_a_density_too_sharp_to_integrate_is_an_error() -> None:
    law = VarianceProfile([[1.0, 1e-20], [1e-20, 1e-20]], [0.5, 0.5], [0.5, 0.5], 1.0)
    assert law.edge == pytest.approx(np.sqrt(2), abs=1e-9)
    with pytest.raises(RuntimeError, match="lack a mass"):
        law.cdf(1.0)


def test_bad_arguments_are_named() -> None:
    for profile in ([1.0, 2.0], [[-1.0]], [[0.0]], [[np.inf]]):
        with pytest.raises(ValueError, match="`profile` must be a matrix of finite variances"):
            VarianceProfile(profile, [1.0], [1.0], 1.0)
    with pytest.raises(ValueError, match="`row_weights` must be 2 shares"):
        VarianceProfile(BLOCKS, [0.5, 0.6], [0.5, 0.5], 1.0)
    with pytest.raises(ValueError, match="`column_weights` must be 2 shares"):
        VarianceProfile(BLOCKS, [0.5, 0.5], [1.0], 1.0)
    with pytest.raises(ValueError, match="`ratio` must be"):
        VarianceProfile(BLOCKS, [0.5, 0.5], [0.5, 0.5], 0.0)
    law = VarianceProfile(BLOCKS, [0.5, 0.5], [0.5, 0.5], 1.0)
    with pytest.raises(ValueError, match="`s` must not hold NaN"):
        law.pdf(np.nan)
    with pytest.raises(ValueError, match="`z` must be finite and not 0"):
        law.stieltjes(0)
    with pytest.raises(ValueError, match="`rows` must be"):
        law.largest(0)
