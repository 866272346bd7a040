"""`diagnose` on matrices whose answer is known: noise, planted spikes, trained networks, bulks of extensive rank."""

import numpy as np
import pytest
from scipy.linalg import eigvalsh_tridiagonal

import neural_limits as nl
from neural_limits.laws import largest_singular_value
from neural_limits.spectra import diagnose
from neural_limits.spectra._bulk import fit_bulk, ks_distance, last_gap


def noise_spectra(rows, columns, count, seed=0):
    """Singular values of Gaussian matrices, rows ≥ columns, from their bidiagonal form (Dumitriu and Edelman 2002)."""
    rng = np.random.default_rng(seed)
    diagonal = rng.chisquare(rows - np.arange(columns), (count, columns))
    below = rng.chisquare(columns - 1 - np.arange(columns - 1), (count, columns - 1))
    off = np.sqrt(diagonal[:, :-1] * below)
    diagonal[:, 1:] += below
    squares = [eigvalsh_tridiagonal(d, e) for d, e in zip(diagonal, off, strict=True)]
    return np.sqrt(np.maximum(squares, 0.0))


def at_most(hits, rate, sigmas=3.0):
    """A share of hits no larger than a rate, within its binomial error."""
    return np.mean(hits) <= rate + sigmas * np.sqrt(rate * (1 - rate) / len(hits))


@pytest.fixture(scope="module")
def noise():
    return noise_spectra(300, 200, 400)


def test_false_alarms_of_noise_are_those_stated(noise):
    rate = 0.1
    known = [diagnose(s, (300, 200), 1.0, false_alarm=rate) for s in noise]
    fitted = [diagnose(s, (300, 200), false_alarm=rate) for s in noise]
    for hits in (
        [d.count > 0 for d in known],
        [d.separated > 0 for d in fitted],
        [d.gap > 0 for d in fitted],
        [d.bulk == "deformed" for d in fitted],
    ):
        assert at_most(hits, rate)
        assert np.mean(hits) > 0.3 * rate  # and the level is not far above where it needs to be
    assert at_most([d.bulk != "unchanged" for d in known], rate)
    shifts = np.array([d.bulk_shift / d.bulk_shift_error for d in known])
    assert shifts.std() == pytest.approx(1, abs=0.1)
    assert abs(shifts.mean()) < 0.3


@pytest.mark.parametrize("shape", [(40, 40), (400, 50), (1000, 900)])
def test_levels_hold_for_other_sizes_and_shapes(shape):
    found = [diagnose(s, shape, false_alarm=0.05) for s in noise_spectra(*shape, 60 if shape[1] == 900 else 300)]
    for hits in ([d.bulk == "deformed" for d in found], [d.gap > 0 for d in found], [d.separated > 0 for d in found]):
        assert at_most(hits, 0.05)


def test_finite_centring_keeps_the_rate_nearer_than_the_edge():
    tops = noise_spectra(60, 60, 4000, seed=1)[:, -1]
    edge, finite = (
        np.mean(tops > largest_singular_value(60, 60, centring=c).threshold(0.1)) for c in ("edge", "finite")
    )
    assert edge < finite < 0.1 + 3 * np.sqrt(0.09 / 4000)
    assert finite == pytest.approx(0.1, abs=4 * np.sqrt(0.09 / 4000))
    with pytest.raises(ValueError, match="`centring` must be one of"):
        largest_singular_value(60, 60, centring="middle")


def test_spectra_of_uniform_entries_are_noise_too():
    rng = np.random.default_rng(5)
    spectra = [np.linalg.svd(rng.uniform(-1, 1, (150, 100)), compute_uv=False) for _ in range(150)]
    found = [diagnose(s, (150, 100), 3**-0.5, false_alarm=0.05) for s in spectra]
    assert at_most([d.count > 0 for d in found], 0.05)
    assert at_most([d.bulk != "unchanged" for d in found], 0.05)


def test_planted_spikes_are_counted_and_leave_the_bulk_alone():
    rows, columns, std = 600, 300, 600**-0.5
    level = diagnose([1.0], (rows, columns), std).threshold
    expected = level * np.array([1.05, 1.1, 1.3])
    middle = (expected**2 - 1 - columns / rows) / 2
    theta = np.sqrt(middle + np.sqrt(middle**2 - columns / rows))  # y² = (θ² + 1)(θ² + c)/θ²
    for seed in range(6):
        rng = np.random.default_rng(seed)
        u, v = (np.linalg.qr(rng.standard_normal((n, 3)))[0] for n in (rows, columns))
        matrix = std * rng.standard_normal((rows, columns)) + (u * theta) @ v.T
        s = np.linalg.svd(matrix, compute_uv=False)
        known, fitted = diagnose(s, matrix.shape, std), diagnose(s, matrix.shape)
        assert (known.count, known.separated, fitted.separated) == (3, 3, 3)
        assert (known.bulk, fitted.bulk) == ("unchanged", "undeformed")
        np.testing.assert_allclose(known.outliers[::-1], expected, rtol=0.05)
        assert known.outlier_energy == pytest.approx(np.sum(s[:3] ** 2) / np.sum(s**2))
        assert known.stable_rank == pytest.approx(np.linalg.norm(matrix) ** 2 / s[0] ** 2)


def test_many_strong_outliers_do_not_move_the_scale():
    rng = np.random.default_rng(2)
    u, v = (np.linalg.qr(rng.standard_normal((400, 60)))[0] for _ in range(2))
    s = np.linalg.svd(rng.standard_normal((400, 400)) / 20 + 8 * u @ v.T, compute_uv=False)
    found = diagnose(s, (400, 400), 1 / 20)
    assert (found.bulk, found.count, found.separated, found.gap) == ("unchanged", 60, 60, 60)
    assert abs(found.bulk_shift) < 4 * found.bulk_shift_error


def test_rescaled_noise_is_rescaled(noise):
    s = 1.2**0.5 * noise[0]
    found = diagnose(s, (300, 200), 1.0)
    assert found.bulk == "rescaled"
    assert found.count > 0  # seen from the start, that is
    assert found.separated == 0
    assert abs(1 + found.bulk_shift - 1.2**0.5) < 4 * found.bulk_shift_error
    before = np.array(diagnose(noise[0], (300, 200), 1.0).quantile_shifts)
    np.testing.assert_allclose(1 + np.array(found.quantile_shifts), 1.2**0.5 * (1 + before), rtol=1e-12)
    assert np.abs(before).max() < 0.05
    np.testing.assert_allclose(found.bulk_edge, 1.2**0.5 * found.edge, rtol=0.02)
    decayed = diagnose(0.98 * noise[0], (300, 200), 1.0)
    assert decayed.bulk == "rescaled"
    assert decayed.changed_rank > 0  # no change of low rank scales every value


def many_outputs(width, outputs, steps):
    """Gradient descent on |V M x − A x|²/2 with V fixed: a learned part of rank C."""
    rng = np.random.default_rng(outputs)
    readout = rng.standard_normal((outputs, width)) / width**0.5
    teacher = 3 * rng.standard_normal((outputs, width)) / width**0.5
    weight = rng.standard_normal((width, width)) / width**0.5
    for _ in range(steps):
        weight = weight - 0.2 * readout.T @ (readout @ weight - teacher)
    return np.linalg.svd(weight, compute_uv=False)


@pytest.mark.parametrize("steps", [3, 10, 30])
def test_extensive_rank_deforms_the_bulk_and_its_tail_is_no_set_of_outliers(steps):
    found = diagnose(many_outputs(400, 200, steps), (400, 400), 1 / 20)
    assert found.bulk == "deformed"
    assert found.count > 40
    assert (found.separated, found.gap) == (0, 0)
    assert found.bulk_edge is None
    assert found.changed_rank >= found.count
    assert found.bulk_distance > 10 * found.bulk_level


def test_a_learned_bump_with_a_gap_is_separated():
    found = diagnose(many_outputs(400, 25, 30), (400, 400), 1 / 20)
    assert (found.bulk, found.count, found.separated, found.gap) == ("unchanged", 25, 25, 25)


def test_hidden_matrix_of_a_network_with_few_outputs():
    task = nl.tasks.digits(samples=64, classes=(0, 1, 2))
    run = nl.train(nl.MLP(hidden=1), task, nl.MuP(gamma=1.0), nl.SGD(2.0), width=300, steps=40, weights="dense")
    s = np.linalg.svd(np.asarray(run.weights[0].value), compute_uv=False)
    found = diagnose(s, (300, 300), 300**-0.5)
    assert found.bulk == "unchanged"
    assert found.count == found.separated == 2


def test_only_the_largest_values(noise):
    whole, part = diagnose(noise[0], (300, 200), 1.0), diagnose(noise[0][-8:], (300, 200), 1.0)
    assert part.threshold == whole.threshold
    assert (part.count, part.complete) == (0, False)
    assert part.bulk is part.separated is part.stable_rank is None
    assert "bulk: unknown" in str(part)
    assert "at least 8 above" in str(diagnose(noise[0][-8:] + 10, (300, 200), 1.0))


def test_a_vector_has_a_level_and_no_bulk():
    rng = np.random.default_rng(0)
    found = [diagnose([s], (1, 200), 1.0, false_alarm=0.05) for s in np.sqrt(rng.chisquare(200, 400))]
    assert at_most([d.count > 0 for d in found], 0.05)
    assert found[0].bulk is None
    assert found[0].stable_rank == 1


def test_a_matrix_of_low_rank_is_deformed():
    found = diagnose(np.r_[3.0, 2.5, np.zeros(98)], (100, 100), 0.1)
    assert (found.bulk, found.bulk_std, found.count) == ("deformed", 0.0, 2)
    assert found.changed_rank > 90


def test_order_units_and_transposition_do_not_matter(noise):
    s = np.random.default_rng(0).permutation(noise[3])
    a, b = diagnose(s, (300, 200), 1.0), diagnose(7 * noise[3], (200, 300), 7.0)
    assert a.count == b.count
    assert a.bulk == b.bulk
    np.testing.assert_allclose([a.bulk_distance, a.bulk_shift], [b.bulk_distance, b.bulk_shift], rtol=1e-9)


def test_distance_and_gap_of_spectra_made_by_hand():
    law = nl.laws.QuarterCircle(50, 50)
    exact = law.quantile((np.arange(50)[::-1] + 0.5) / 50)
    assert ks_distance(exact, law) == pytest.approx(0.5 / 50)
    assert ks_distance(np.r_[exact[0] * np.ones(10), exact[10:]], law) == pytest.approx(0.5 / 50 + 9 / 50)
    assert last_gap(np.r_[exact[:5] + 3, exact[5:]], 0.01) == 5
    assert last_gap(exact, 0.01) == 0
    assert fit_bulk(exact, (50, 50), 0.01).std == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize(
    ("values", "shape", "std", "alarm", "line"),
    [
        ([1.0, -1.0], (4, 4), 1.0, 0.01, "`singular_values` must be finite and not negative; got -1.0"),
        ([1.0, np.inf], (4, 4), 1.0, 0.01, "`singular_values` must be finite and not negative; got inf"),
        ([1.0, np.nan], (4, 4), 1.0, 0.01, "`singular_values` must not hold NaN"),
        ([0.0, 0.0], (4, 4), 1.0, 0.01, "`singular_values` must not all be zero"),
        ([1.0] * 5, (4, 6), 1.0, 0.01, r"at most min\(shape\) = 4 values; got shape \(5,\)"),
        ([], (4, 6), 1.0, 0.01, r"`singular_values` must be a list of at most"),
        (np.eye(3), (4, 6), 1.0, 0.01, r"got shape \(3, 3\)"),
        ([1.0], (4, 6, 2), 1.0, 0.01, r"`shape` must be \(rows, columns\); got \(4, 6, 2\)"),
        ([1.0], 4, 1.0, 0.01, r"`shape` must be \(rows, columns\); got 4"),
        ([1.0], (4, 0), 1.0, 0.01, r"`shape\[1\]` must be at least 1"),
        ([1.0], (4, 6), 0.0, 0.01, "`init_std` must be positive"),
        ([1.0], (4, 6), 1.0, 0.9, r"`false_alarm` must lie in"),
        (
            [1.0],
            (40, 60),
            None,
            0.01,
            "`init_std` must be given unless all of at least 30 singular values are; got 1 of",
        ),
        ([1.0] * 4, (4, 6), None, 0.01, "`init_std` must be given unless"),
    ],
)
def test_bad_input_is_refused_in_one_line(values, shape, std, alarm, line):
    with pytest.raises(ValueError, match=line) as error:
        diagnose(values, shape, std, false_alarm=alarm)
    assert "\n" not in str(error.value)
