"""Many outputs: dense networks are trained as they say, and verdicts follow from what is measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from neural_limits.experiments import _bulk_agreement as agreement
from neural_limits.experiments import _bulk_beyond as beyond
from neural_limits.experiments import _bulk_gap as gap
from neural_limits.experiments import _bulk_laws as laws
from neural_limits.experiments import _bulk_networks as networks
from neural_limits.experiments._bulk_edge import Ladder, edge_verdicts
from neural_limits.experiments._bulk_networks import Flow
from neural_limits.experiments._experiment import Mean
from neural_limits.laws import largest_singular_value
from neural_limits.limits.extensive_outputs import Setting

POPULATION = Setting(0.5, 0.5, lr=0.2, steps=4, teacher=3.0)


def test_descent_is_the_closed_form_in_the_readouts_eigenbasis():
    m, rng = networks.descended(POPULATION, 24, 3), np.random.default_rng([3, 24])
    v, start = rng.standard_normal((12, 24)) / 24**0.5, rng.standard_normal((24, 48)) / 48**0.5
    a = 3 * rng.standard_normal((12, 48)) / 48**0.5
    l, u = np.linalg.eigh(v.T @ v)
    kept = (1 - 0.2 * l) ** 4
    gain = np.divide(1 - kept, l, out=np.full(24, 0.8), where=l > 1e-9)
    np.testing.assert_allclose(m, (u * kept) @ u.T @ start + (u * gain) @ u.T @ v.T @ a, atol=1e-12)


def test_more_samples_come_nearer_to_the_population():
    exact = networks.singular_values(networks.descended(POPULATION, 40, 0))
    few, many = (
        networks.singular_values(
            networks.descended(replace(POPULATION, lr=0.2, sample_ratio=p, label_noise=0.5), 40, 0)
        )
        for p in (2.0, 800.0)
    )
    np.testing.assert_allclose(many, exact, atol=0.05)
    assert np.abs(few - exact).max() > 0.1


def test_flow_conserves_the_imbalance_and_reaches_the_teacher(monkeypatch):
    flow = Flow(0.5, 3.0, 6.0, 1e-2)
    rng = np.random.default_rng([0, 20])
    rng.standard_normal((10, 20)), rng.standard_normal((20, 20))
    teacher = np.linalg.svd(3 * rng.standard_normal((10, 20)) / 20**0.5, compute_uv=False)
    found = networks.singular_values(networks.flowed(flow, 20, 0))
    np.testing.assert_allclose(found[:8], np.sqrt(teacher[:8]), rtol=1e-3)  # the slowest are still on their way
    monkeypatch.setattr(networks, "RUNGE_KUTTA", 0.03)
    short = Flow(0.5, 3.0, 1.0, 1e-2)
    finer = networks.singular_values(networks.flowed(short, 20, 0))
    monkeypatch.undo()
    np.testing.assert_allclose(networks.singular_values(networks.flowed(short, 20, 0)), finer, rtol=2e-4)


def test_singular_values_and_the_largest():
    m = np.random.default_rng(0).standard_normal((60, 30))
    exact = np.linalg.svd(m, compute_uv=False)
    np.testing.assert_allclose(networks.singular_values(m), exact, rtol=1e-7)
    assert networks.top(m) == pytest.approx(exact[0], rel=1e-9)
    np.testing.assert_array_equal(networks.over_seeds(lambda seed: np.array([seed, 1.0]), 3)[:, 0], [0, 1, 2])


def test_distance_sees_a_shift_and_counts_all_values_as_mass():
    values = (np.arange(1000) + 0.5).reshape(2, 500) / 1000
    uniform = lambda x: np.clip(x, 0, 1)  # noqa: E731
    assert laws.distance(values, uniform).value == pytest.approx(0.0005)
    assert laws.distance(values * 0.98, uniform).value == pytest.approx(0.0205, abs=1e-4)
    values = values[:, ::2].reshape(10, 50).T.reshape(10, 50)  # seeds alike
    moved = np.where(values < 0.5, values / 2, values)  # below the least value only
    assert laws.distance(moved, uniform, least=0.5).value < 0.01 < 0.2 < laws.distance(moved, uniform).value


def test_crossover_rows_hold_for_networks_and_fail_for_others(monkeypatch):
    def crossing(outputs, seeds, trained):
        setting = Setting(outputs / laws.WIDTH, lr=laws.RATE, steps=laws.STEPS if trained else 0, teacher=laws.TEACHER)
        limit = laws.law(Setting(outputs / laws.WIDTH, lr=laws.RATE, steps=laws.STEPS, teacher=laws.TEACHER))
        return laws.Crossing(outputs, limit, networks.spectra(setting, laws.WIDTH, seeds))

    rows = laws.crossover_verdicts([crossing(1, 8, True), crossing(64, 2, True)])
    assert [row.verdict for row in rows if "bump" not in row.claim] == ["holds"] * 6
    rows = laws.crossover_verdicts([crossing(1, 2, False), crossing(64, 2, False)])
    failed = [row.claim for row in rows if row.verdict == "fails"]
    assert failed[0].startswith("C = 64")
    assert sum("restructure" in claim or "few outputs" in claim for claim in failed) == 2  # the bulk, and the outlier


@pytest.mark.parametrize(
    "case",
    [*agreement.cases(quick=False)[1::30], pytest.param(Flow(0.5, 3.0, 1.0, 0.01), marks=pytest.mark.slow)],
)
def test_settings_agree(case, monkeypatch):
    least = 0.05 if isinstance(case, Flow) else 0.0
    apart = laws.distance(networks.spectra(case, 256, 2), laws.law(case).cdf, least)
    assert apart.value < 0.016  # twice that of twice the width
    row = agreement._agreement("x", [agreement.Agreement(case, Mean(0.02, 0.001), least)])
    assert row.verdict == "fails"
    assert laws.describe(case) in row.measured


def test_cases_cover_the_grid():
    found = agreement.cases(quick=False)
    assert len(found) == 91
    assert len({laws.describe(case) for case in found}) == 91
    assert {type(case) for case in agreement.cases(quick=True)} == {Setting, Flow}


def test_gap_is_seen_below_the_curve_and_not_above():
    below, above = gap.point(1.0, 3.0, 0.5, 0.2987), gap.point(1.0, 3.0, 1.5, 0.2987)
    assert below.gap > below.empty > 0 == above.gap
    assert below.inside == 0
    assert below.relative.value > gap.SEEN > above.relative.value
    found = gap.Diagram(np.zeros((2, 1)), [p._replace(width_ratio=w) for w in gap.WIDTH_RATIOS for p in (below, above)])
    assert [row.verdict for row in gap.gap_verdicts(found)] == ["holds"] * 6
    other = [p._replace(factor=2 - p.factor, inside=5) for p in found.points]
    assert [row.verdict for row in gap.gap_verdicts(found._replace(points=other))][1:3] == ["fails", "fails"]


def test_tail_is_the_tracy_widom_scale_of_an_untrained_matrix():
    untrained = laws.law(Setting(0.5, lr=0.1, steps=0, teacher=1.0))
    low, high = untrained.support[-1]
    expected = largest_singular_value(gap.WIDTH, gap.WIDTH, gap.WIDTH**-0.5).threshold(gap.TAIL) - 2
    assert gap.tail(untrained, high, low) == pytest.approx(float(expected), rel=0.02)


def test_edge_rows_follow_the_means():
    widths = (64, 256, 1024)
    rng = np.random.default_rng(0)
    values = {w: 2 - 1.3 * w ** (-2 / 3) + 0.01 * w ** (-2 / 3) * rng.standard_normal(40) for w in widths}
    ladder = Ladder(POPULATION, 2.0, {w: float(v.mean()) for w, v in values.items()}, values)
    assert [row.verdict for row in edge_verdicts({"x": ladder})] == ["holds", "holds"]
    other = ladder._replace(edge=2.5, expected=dict.fromkeys(widths, 2.5))
    assert [row.verdict for row in edge_verdicts({"x": other})] == ["fails", "fails"]


@pytest.mark.parametrize("activation", list(beyond.ACTIVATIONS))
def test_students_descend_their_own_gradient(activation):
    phi, slope = beyond.ACTIVATIONS[activation]
    h = np.linspace(-2, 2, 41) + 0.013
    np.testing.assert_allclose(slope(h), (phi(h + 1e-6) - phi(h - 1e-6)) / 2e-6, atol=1e-5)


@pytest.mark.slow
def test_students_learn_and_the_control_follows_the_law(monkeypatch):
    for module, name, value in ((beyond, "WIDTH", 128), (laws, "WIDTH", 128), (beyond, "SAMPLES", 256)):
        monkeypatch.setattr(module, name, value)
    found, linear = {}, beyond.Student("linear", False)
    for student in (linear, beyond.Student("tanh", True), beyond.Student("relu", True, "network")):
        runs = np.array([beyond.descend(student, 16, seed) for seed in (0, 1)])
        found[student, 16] = beyond.Spectrum(runs[:, :-2], runs[:, -2:])
        assert np.all(runs[:, -1] < 0.7 * runs[:, -2])
    limits = beyond.linear_laws(found)
    assert laws.distance(found[linear, 16].values, limits[16].cdf).value < 0.02
    rows = beyond.beyond_verdicts(found, limits)
    assert [row.verdict for row in rows][1:] == ["undecided"] * 2
