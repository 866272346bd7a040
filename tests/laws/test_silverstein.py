"""The generalised Marchenko-Pastur law: closed forms, the equation solved another way, and matrices."""

from typing import Any

import numpy as np
import pytest

from neural_limits.laws import MarchenkoPastur, Silverstein, SingularValues

TWO = ([1.0, 10.0], [0.5, 0.5])
# Populations of several shapes, as (values, weights): far apart, with a zero, heavy-tailed, of both signs.
RNG = np.random.default_rng(3)
POPULATIONS = {
    "two": TWO,
    "zero": ([0.0, 1.0, 3.0], [0.4, 0.3, 0.3]),
    "lognormal": (np.exp(RNG.normal(0, 1.0, 60)), np.full(60, 1 / 60)),
    "indefinite": (RNG.normal(0.3, 1.0, 40), np.full(40, 1 / 40)),
}
RATIOS = (0.1, 0.7, 1.0, 2.5)


def law_of(name: str, ratio: float) -> Silverstein:
    return Silverstein(POPULATIONS[name], ratio, indefinite=name == "indefinite")


def fixed_point(population: Any, ratio: float, z: complex) -> complex:
    """m(z) by iterating the textbook's equation for the companion in the upper half plane, damped."""
    t, w = (np.asarray(part) for part in population)
    companion = -1 / z
    for _ in range(20_000):
        new = -1 / (z - ratio * np.sum(w * t / (1 + t * companion)))
        if abs(new - companion) < 1e-15 * abs(new):
            break
        companion = (companion + new) / 2
    return (companion + (1 - ratio) / z) / ratio


@pytest.mark.parametrize("ratio", [0.25, 1.0, 3.0])
def test_one_atom_is_marchenko_pastur(ratio: float) -> None:
    law, known = Silverstein(([2.0], [1.0]), ratio), MarchenkoPastur(ratio, scale=2.0)
    np.testing.assert_allclose(law.support, [known.support], rtol=1e-14, atol=1e-14)
    x = np.linspace(*known.support, 601)[1:-1]
    np.testing.assert_allclose(law.pdf(x), known.pdf(x), rtol=1e-12)
    np.testing.assert_allclose(law.cdf(x), known.cdf(x), atol=1e-14)
    q = np.linspace(0, 1, 51)
    np.testing.assert_allclose(law.quantile(q), known.quantile(q), atol=1e-13)
    s = np.append(0.0, 10.0 ** np.arange(-12, 0.6, 0.25))
    np.testing.assert_allclose(law.root_pdf(s), known.root_pdf(s), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("name", POPULATIONS)
def test_transform_solves_the_equation_found_by_iteration(name: str, ratio: float) -> None:
    law = law_of(name, ratio)
    for z in (1 + 0.3j, -0.5 + 0.2j, 6 + 0.05j, 0.02 + 0.02j):
        assert law.stieltjes(z) == pytest.approx(fixed_point(POPULATIONS[name], ratio, z), rel=1e-9)
        assert law.stieltjes(np.conj(z)) == pytest.approx(np.conj(law.stieltjes(z)), rel=1e-12)
    far = np.array([law.support[-1][1] * 3, law.support[0][0] - 2.0])
    near = np.array([fixed_point(POPULATIONS[name], ratio, complex(x, 1e-7)) for x in far])
    np.testing.assert_allclose(law.stieltjes(far), near.real, rtol=1e-6)


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("name", POPULATIONS)
def test_mass_and_moments(name: str, ratio: float) -> None:
    """∫ f = mass of each component; ∫ x f = ∫ t dH; ∫ x² f = ∫ t² dH + c (∫ t dH)²."""
    law, (t, w) = law_of(name, ratio), (np.asarray(part) for part in POPULATIONS[name])
    total = np.zeros(3)
    for (low, high), mass in zip(law.support, law.masses, strict=True):
        # x = low + (high − low) sin²(φ/2) removes the square roots at both ends; then the midpoint rule converges.
        angle = (np.arange(800) + 0.5) * np.pi / 800
        x = low + (high - low) * np.sin(angle / 2) ** 2
        weights = law.pdf(x) * (high - low) * np.sin(angle) / 2 * np.pi / 800
        assert weights.sum() == pytest.approx(mass, abs=1e-6)
        total += [weights.sum(), weights @ x, weights @ x**2]
    expected = [1 - law.atom, t @ w, t**2 @ w + ratio * (t @ w) ** 2]
    np.testing.assert_allclose(total, expected, atol=1e-6 * (1 + abs(expected[2])))


@pytest.mark.parametrize("name", POPULATIONS)
def test_quantile_inverts_the_distribution(name: str) -> None:
    law = law_of(name, 0.7)
    q = np.linspace(0.001, 0.999, 201)
    x = law.quantile(q)
    smooth = x != 0
    np.testing.assert_allclose(law.cdf(x[smooth]), q[smooth], atol=1e-12)
    np.testing.assert_array_equal(law.cdf(np.zeros(1)) >= q[~smooth], True)
    assert (np.diff(x) >= 0).all()
    assert law.quantile(1.0) == pytest.approx(law.edge, rel=1e-12)


@pytest.mark.parametrize(("name", "ratio"), [(n, c) for n in POPULATIONS for c in (0.7, 2.5)])
def test_spectrum_of_a_matrix(name: str, ratio: float) -> None:
    """Xᵀ S X/n for a population drawn at its quantiles: rigid, so every eigenvalue within a few spacings."""
    law, (t, w) = law_of(name, ratio), (np.asarray(part) for part in POPULATIONS[name])
    p, n = 600, round(600 / ratio)
    full = np.repeat(t, np.diff(np.round(np.append(0, np.cumsum(w)) * p).astype(int)))
    x = np.random.default_rng(1).standard_normal((p, n))
    values = np.linalg.eigvalsh(x.T * full @ x / n)
    # Its n eigenvalues have the companion law: c F and 1 − c at zero, where c < 1.
    values = values[np.abs(values) > 1e-8] if ratio < 1 else values
    rank = (np.arange(len(values)) + 0.5) / len(values)
    bulk = law.cdf(values) - np.where(values > 0, law.atom, 0)
    assert np.abs(bulk / (1 - law.atom) - rank).max() < 0.012


def test_components_are_found() -> None:
    """A gap closes where the ratio grows; a density's nodes are not mistaken for atoms."""
    law = Silverstein(TWO, 0.1)
    assert len(law.support) == 2
    np.testing.assert_allclose(law.masses, 0.5, atol=1e-13)
    # For two atoms the gap closes at (a₁^⅓ + a₂^⅓)³ = (t₂ − t₁)², aᵢ = c wᵢ tᵢ².
    critical = 81 / (0.5 ** (1 / 3) * (1 + 100 ** (1 / 3))) ** 3
    assert len(Silverstein(TWO, critical * (1 - 1e-9)).support) == 2
    assert len(Silverstein(TWO, critical * (1 + 1e-9)).support) == 1

    def density(t: Any) -> Any:
        return np.full_like(t, 0.25)

    for intervals, parts in ((((1.0, 5.0),), 1), (((1.0, 3.0), (30.0, 32.0)), 2)):
        law = Silverstein(density, 1e-3, intervals=intervals)
        assert len(law.support) == parts
        np.testing.assert_allclose(law.masses, 1 / parts, atol=1e-9)


def test_product_of_two_square_matrices() -> None:
    """A population that is itself Marchenko-Pastur: the Fuss-Catalan law, edge 27/4, moments 1, 3, 12."""
    law = Silverstein(MarchenkoPastur(1.0), 1.0)
    assert law.edge == pytest.approx(27 / 4, abs=1e-9)
    angle = np.linspace(0.05, np.pi / 3 - 0.05, 50)
    x = np.sin(3 * angle) ** 3 / (np.sin(angle) * np.sin(2 * angle) ** 2)
    # Its density at x = sin³3φ/(sin φ sin²2φ) is sin²φ sin 2φ/(π sin²3φ).
    known = np.sin(angle) ** 2 * np.sin(2 * angle) / (np.pi * np.sin(3 * angle) ** 2)
    np.testing.assert_allclose(law.pdf(x), known, rtol=1e-6)


def test_a_density_a_sample_and_atoms_agree() -> None:
    """The same uniform population three ways; the sample's error is that of its size."""
    density = Silverstein(lambda t: np.full_like(t, 0.5), 0.5, intervals=[(1.0, 3.0)])
    grid = (np.arange(4000) + 0.5) / 2000 + 1
    atoms = Silverstein((grid, np.full(4000, 1 / 4000)), 0.5, intervals=[(1.0, 3.0)])
    sample = Silverstein(np.random.default_rng(0).permutation((np.arange(1000) + 0.5) / 500 + 1), 0.5)
    assert atoms.edge == pytest.approx(density.edge, abs=1e-6)
    assert sample.edge == pytest.approx(density.edge, abs=1e-5)
    x = np.linspace(0.2, 7, 50)
    np.testing.assert_allclose(atoms.pdf(x), density.pdf(x), atol=1e-6)
    np.testing.assert_allclose(sample.cdf(x), density.cdf(x), atol=1e-5)


def test_the_robust_path_agrees_with_newtons(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Newton's method is not believed, bisection along the graph takes over: same density."""
    x = np.linspace(0.01, 40, 101)
    expected = law_of("lognormal", 0.7).pdf(x)
    monkeypatch.setattr("neural_limits.laws._graph.RESIDUAL", -1.0)
    np.testing.assert_allclose(law_of("lognormal", 0.7).pdf(x), expected, atol=1e-10)


def test_scaling_and_draws() -> None:
    values, weights = np.array(TWO[0]), TWO[1]
    law, tiny = Silverstein(TWO, 0.3), Silverstein((1e-9 * values, weights), 0.3)
    x = np.linspace(0.1, 20, 30)
    np.testing.assert_allclose(tiny.pdf(1e-9 * x), 1e9 * law.pdf(x), rtol=1e-10)
    draws = law.rvs(4000, seed=0)
    assert draws.mean() == pytest.approx(law.mean(), abs=4 * draws.std() / 4000**0.5)
    np.testing.assert_array_equal(draws, law.rvs(4000, seed=0))


def test_singular_values() -> None:
    law = SingularValues(Silverstein(TWO, 0.3))
    s = np.linspace(0, 6, 200)
    np.testing.assert_allclose(law.pdf(s), 2 * s * law.law.pdf(s**2), rtol=1e-12)
    np.testing.assert_allclose(law.cdf(law.quantile([0.1, 0.9])), [0.1, 0.9], atol=1e-12)
    assert law.edge == pytest.approx(law.law.edge**0.5)
    with pytest.raises(ValueError, match="`law` must live on x >= 0"):
        SingularValues(law_of("indefinite", 0.7))


@pytest.mark.parametrize("shape", [(400, 400), (200, 400)])
def test_largest_eigenvalue(shape: tuple[int, int]) -> None:
    """Mean and scatter of the top eigenvalue over draws, within four of their errors (the next order left out)."""
    p, n = shape
    law = Silverstein(TWO, p / n).largest(p)
    root = np.sqrt(np.repeat(TWO[0], p // 2))[:, None]
    rng = np.random.default_rng(5)
    tops = np.array([np.linalg.norm(root * rng.standard_normal(shape), 2) ** 2 / n for _ in range(60)])
    error = tops.std(ddof=1) / 60**0.5
    assert abs(tops.mean() - law.mean) < 4 * error
    assert tops.std(ddof=1) == pytest.approx(law.sd, rel=4 / 120**0.5)


def test_outside_the_support() -> None:
    """Density zero, not NaN, below, between, above and at infinity."""
    law = Silverstein(TWO, 0.1)
    x = np.array([-np.inf, -1.0, 0.0, 3.0, 100.0, np.inf])
    np.testing.assert_array_equal(law.pdf(x), 0)
    np.testing.assert_array_equal(law.root_pdf(np.sign(x) * np.abs(x) ** 0.5), 0)
    np.testing.assert_allclose(law.cdf(x), [0, 0, 0, 0.5, 1, 1], atol=1e-14)
    assert law.pdf(1.0) > 0.1


@pytest.mark.parametrize(
    ("population", "options", "message"),
    [
        (([1.0], [1.0]), {"ratio": 0.0}, "`ratio` must be positive"),
        (([1.0], [1.0]), {"ratio": -1.0}, "`ratio` must be positive"),
        (([], []), {}, "must not be empty"),
        ([], {}, "must not be empty"),
        (([-1.0, 2.0], [0.5, 0.5]), {}, "must not be negative; got -1 .*indefinite=True"),
        (([1.0, 2.0], [1.5, -0.5]), {}, "weights must not be negative"),
        (([1.0, 2.0], [0.5, 0.4]), {}, "weights must sum to one; they sum to 0.9"),
        (([1.0, 2.0], [1.0]), {}, "as many weights as values; got 1 and 2"),
        (([0.0], [1.0]), {}, "a value other than zero"),
        (([np.inf], [1.0]), {}, "must be finite"),
        ([np.nan], {}, "must not hold NaN"),
        (np.ones_like, {}, "`intervals` must name the density's support"),
        (np.ones_like, {"intervals": [(0.0, 2.0)]}, "must have mass 1 on its intervals; its density has 2"),
        (np.ones_like, {"intervals": [(2.0, 1.0)]}, "pairs low < high"),
    ],
)
def test_bad_populations(population: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Silverstein(population, **{"ratio": 0.5, **options})


def test_bad_points() -> None:
    law = Silverstein(TWO, 2.0)
    with pytest.raises(ValueError, match="`x` must not hold NaN"):
        law.pdf([1.0, np.nan])
    with pytest.raises(ValueError, match="`q` must lie in"):
        law.quantile(1.1)
    with pytest.raises(ValueError, match="`z` must not be 0"):
        law.stieltjes(0.0)
    with pytest.raises(ValueError, match="`rows` must be at least 1"):
        law.largest(0)
