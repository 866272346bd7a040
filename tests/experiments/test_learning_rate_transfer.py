"""Learning-rate transfer: best rates are found where they are, and verdicts follow from them."""

from __future__ import annotations

import numpy as np
import pytest

from neural_limits.experiments import _rate_ladders as ladders
from neural_limits.experiments import _rate_theory as theory
from neural_limits.experiments import learning_rate_transfer as transfer
from neural_limits.experiments._experiment import Context
from neural_limits.experiments._rate_figures import ladder_figure, theory_figure
from neural_limits.experiments._rate_optima import Minimum, best_rates, bracket, minima, rate
from neural_limits.sweeps import Session, open_sweep


def test_minima_of_a_curve_with_two_wells_and_a_cliff():
    def losses(x):
        left = 0.2 + (x + 2.03) ** 2  # smooth
        right = np.where(x < 1.237, 0.1 + 0.5 * np.abs(x - 1.237), 50.0)  # falls to a cliff
        return np.where(x > 3, np.inf, np.minimum(left, right))

    deep, shallow = minima(losses, np.arange(-4, 5, 0.25))
    assert np.log2(deep.rate) == pytest.approx(1.237, abs=2e-4)
    assert np.log2(shallow.rate) == pytest.approx(-2.03, abs=1e-6)
    assert deep.loss < shallow.loss
    assert minima(lambda x: np.exp(x), np.arange(-4, 5, 0.25)) == []  # none inside


def each(losses_at):
    """As a function of several points."""
    return lambda points: {k: losses_at(k) for k in points}


def test_bracket_sees_a_lower_minimum_past_an_oscillation_and_stops_at_divergence():
    losses = {0: 1.0, 1: 40.0, 2: 0.9, 3: 0.8, 4: np.inf}
    found = bracket(each(lambda k: np.array([losses.get(k, 1.0 - k if k < 0 else np.inf)])), start=0, reach=1)
    assert list(found) == [-1, 0, 1, 2, 3, 4]
    assert 2 ** best_rates(np.stack(list(found.values())), [rate(k) for k in found])[0] == rate(3)


def test_the_next_width_is_looked_for_where_the_last_two_point():
    found = [_rung(128, 0.5), _rung(256, 1.0)]
    assert ladders._expected(found[:1], 256) == 2
    assert ladders._expected(found, 1024) == 8


def test_bracket_goes_on_until_every_seed_has_its_minimum_inside():
    best = np.array([-5.0, 4.2])
    found = bracket(each(lambda k: (k - best) ** 2 + 1), start=0, reach=1)
    assert list(found) == list(range(-6, 8))  # from below the lowest to three points above the highest
    optima = best_rates(np.exp(np.stack(list(found.values()))), [rate(k) for k in found])
    np.testing.assert_allclose(optima, best / 4, atol=1e-9)  # a quarter of an octave a point
    with pytest.raises(ValueError, match="`start` must be within"):
        bracket(each(lambda k: np.array([float(k)])), start=0, reach=1)


@pytest.mark.parametrize(("name", "ratio", "expected"), [("muP", 4.0, 0.1927), ("NTK", 4.0, 0.4540)])
def test_best_rate_of_the_proportional_limit(name, ratio, expected, monkeypatch):
    monkeypatch.setattr(theory, "LOG_RATES", np.log2(expected) + np.arange(-0.5, 0.51, 0.125))
    found = theory.optimum(theory.CASES[name], ratio)
    assert found.best.rate == pytest.approx(expected, abs=1e-4)
    assert found.edge == pytest.approx(1.956, abs=0.004)  # of the tangent kernel: 2 is the edge of stability
    assert found.start < 0.2


def test_networks_have_the_best_rate_of_the_limit():
    found = theory.networks(theory.CASES["muP"], 1.0, 0.1965, inputs=150, seeds=3)
    assert found.losses.shape == (len(theory.BESIDE), 3)
    np.testing.assert_allclose(2.0**found.optima, 0.1965, rtol=0.12)
    limit = theory.losses(theory.CASES["muP"], 1.0, np.log2(found.rates[:1]))[0]
    assert np.exp(np.log(found.losses[0]).mean()) == pytest.approx(limit, rel=0.7)  # over decades


@pytest.fixture
def session(tmp_path, train_here):
    with Session(tmp_path) as session:
        yield session


def test_parametrizations_are_one_network_at_the_base_width(session, monkeypatch):
    monkeypatch.setitem(ladders.TASK, "steps", 10)
    width = ladders.Width(ladders.BASE, "dense", 1, 1)
    one, two = (ladders.rung(session, "relu", name, width, -10) for name in ("muP", "NTK"))
    np.testing.assert_array_equal(one.points, two.points)
    stays = one.losses < 0.5
    np.testing.assert_allclose(one.losses[stays], two.losses[stays], rtol=1e-2)
    assert one.stable == two.stable > 2 ** one.optima.max()
    narrow = ladders.Width(ladders.BASE // 4, "dense", 1, 1)
    one, two = (ladders.rung(session, "relu", name, narrow, -10) for name in ("muP", "NTK"))
    assert two.optima.mean() < one.optima.mean() - 0.5  # octaves: richer, so slower


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:hidden weight")  # dense is cheaper at this width
def test_conditioned_and_dense_rungs_agree(session, monkeypatch):
    monkeypatch.setitem(ladders.TASK, "steps", 4)
    forms = ("conditioned", 2), ("dense", 6)
    lazy, dense = (ladders.rung(session, "tanh", "muP", ladders.Width(512, form, n, 1), 6) for form, n in forms)
    assert np.isnan(lazy.stable)  # the edge is looked for on dense weights only
    assert lazy.optima.mean() == pytest.approx(dense.optima.mean(), abs=0.15)


@pytest.mark.usefixtures("train_here")
def test_a_ladder_is_a_sweep_that_goes_on_where_it_stopped(tmp_path, monkeypatch):
    monkeypatch.setitem(ladders.TASK, "steps", 5)
    widths = [ladders.Width(16, "dense", 2, 1), ladders.Width(32, "dense", 1, 1)]
    said = []
    context = Context(said.append, tmp_path)
    one = ladders.ladder("tanh", "muP", widths[:1], context)
    first = {path.name for path in tmp_path.glob("tanh-mup/trials/*")}
    both = ladders.ladder("tanh", "muP", widths, context)
    np.testing.assert_array_equal(both[0].losses, one[0].losses)
    data = open_sweep(tmp_path / "tanh-mup").data
    assert data.final_loss.dims == ("width", "lr", "seed")
    for found in both:
        rates = [rate(int(k)) for k in found.points]
        kept = data.final_loss.sel(width=found.width, lr=rates)[:, : found.losses.shape[1]]
        np.testing.assert_array_equal(kept, found.losses)
    logs = {path.parts[-3]: path.read_text() for path in tmp_path.glob("tanh-mup/trials/*/*/log.txt")}
    assert first < set(logs)
    assert {text.count("begins") for text in logs.values()} == {1}
    assert said == ["tanh, muP: width 16, dense, 2 seeds"] * 2 + ["tanh, muP: width 32, dense, 1 seeds"]


@pytest.mark.usefixtures("train_here")
def test_a_trial_that_fails_ends_the_experiment_with_its_reason(session, monkeypatch):
    monkeypatch.setitem(ladders.TASK, "samples", 10**6)
    with pytest.raises(OSError, match=r"a trial failed in .*: `samples` must"):
        ladders.rung(session, "tanh", "muP", ladders.Width(16, "dense", 1, 0), 0)


def _rung(width: int, best: float) -> ladders.Rung:
    points = np.arange(-8, 9)
    optima = best + 0.01 * np.array([-1, 0, 1])
    losses = np.exp((points[:, None] * 0.25 - optima) ** 2)
    return ladders.Rung(width, points, losses, optima, 2 ** (best + 0.5))


def test_verdicts_follow_the_best_rates():
    widths = (128, 256, 512, 1024, 4096, 16384)
    still = [_rung(n, 0.1) for n in widths]
    moving = [_rung(n, 0.3 * np.log2(n / 128) - 1) for n in widths]
    judged = lambda found: [row.verdict for row in transfer._ladder_verdicts("relu", found)]  # noqa: E731
    assert judged({"muP": still, "NTK": moving}) == ["holds", "holds"]
    assert judged({"muP": moving, "NTK": still}) == ["fails", "fails"]
    edge = [*still[:-1], _rung(16384, 2.0)._replace(optima=np.full(3, 2.0))]
    assert judged({"muP": edge}) == ["undecided"]
    assert ladder_figure({("relu", "muP"): still, ("relu", "NTK"): moving}).axes


def test_verdicts_of_the_theory():
    def optima(*rates):
        return [theory.Optimum(Minimum(r, 1e-3), None, 2.0, 0.1) for r in rates]

    still, moving = optima(0.3, 0.2, 0.2, 0.2, 0.2), optima(0.1, 0.2, 0.4, 0.8, 1.6)
    assert transfer._shift_verdict("x", still).verdict == "holds"  # from a ratio of one on
    assert transfer._shift_verdict("x", moving).verdict == "fails"
    assert transfer._shift_verdict("x", moving, moves=True).verdict == "holds"
    networks = theory.Networks(np.array([0.1, 0.2, 0.4]), np.full((3, 3), 0.1), np.log2([0.2, 0.201, 0.199]))
    measured = {("muP", 1.0): networks, ("NTK", 4.0): networks}
    rows = transfer._network_verdicts(measured, {"muP": still, "NTK": moving})
    assert [row.verdict for row in rows] == ["holds", "fails"]
    curves = {name: np.full((len(theory.RATIOS), len(theory.LOG_RATES)), 0.1) for name in theory.CASES}
    every = dict.fromkeys(theory.CASES, still)
    assert theory_figure(curves, every, measured).axes
