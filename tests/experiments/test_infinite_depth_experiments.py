"""Experiments of infinite depth: slopes found in data that have them, and their parts at small size."""

from __future__ import annotations

import numpy as np
import pytest

import neural_limits as nl
from neural_limits.experiments import coupling, gradient_independence, infinite_depth, nondegeneracy, two_layer_blocks
from neural_limits.experiments._rate_optima import best_rates
from neural_limits.experiments._slopes import signed, slope_over, slope_verdict

SIZES = (4, 8, 16, 32)


def test_slopes_with_errors():
    rng = np.random.default_rng(0)
    means = lambda all_: np.array([s.mean() for s in all_])  # noqa: E731
    samples = [3.0 / n * (1 + 0.1 * rng.standard_normal(100)) for n in SIZES]
    slope = slope_over(SIZES, samples, means)
    assert slope.value == pytest.approx(-1, abs=4 * slope.error)
    assert 0.003 < slope.error < 0.02
    assert slope_verdict("", "", slope, -1.0).verdict == "holds"
    assert slope_verdict("", "", slope, -0.5).verdict == "fails"
    assert slope_verdict("", "", slope, -0.5, bound=True).verdict == "holds"
    assert slope_verdict("", "", slope, -1.5, bound=True).verdict == "fails"
    few = [s[:3] * (1 + rng.standard_normal(3)) for s in samples]
    assert slope_verdict("", "", slope_over(SIZES, few, means), -1.0).verdict == "undecided"
    # differences with a sign, their noise subtracted
    noisy = [2.0 / n + 0.5 * rng.standard_normal((20_000, 3)) for n in SIZES]
    slope = slope_over(SIZES, noisy, signed)
    assert slope.value == pytest.approx(-1, abs=max(0.1, 4 * slope.error))


def test_initial_paths_have_their_rates():
    h, g = infinite_depth._depth_errors("tanh", (4, 8, 16), 4000, 0)
    assert 1.5 < g[0] / g[1] < 2.7
    assert h[1] < h[0]
    errors = np.array([[infinite_depth._width_error("tanh", 4, n, s)[1] for s in range(64)] for n in (64, 256)])
    assert errors[0].mean() / errors[1].mean() == pytest.approx(4, rel=0.3)


@pytest.mark.slow
def test_ladder_and_its_verdicts():
    found = infinite_depth.ladder("tanh", (2, 4, 8), 256, 1, 3, lambda line: None)
    assert found["outputs"][0].shape == (3, 1, 4)
    assert found["feature kernel"][1].shape == (3, 5, 8, 8)
    paths = [d.mean() for d in found["g_0, every neuron"]]
    assert paths[0] > 1.3 * paths[1]
    data = {}
    rows = infinite_depth._rate_verdicts("tanh", (2, 4, 8), found, data)
    assert len(rows) == 6
    assert data["tanh_loss_gap"][1].shape == (2,)


def test_coupling_measures():
    found = coupling.measure(4, 512, 0)
    # one layer's neighbour part is smaller than the whole, and the sums larger than one layer's
    assert found["local, one layer, forward"] < found["local, summed, forward"] < found["total, summed, forward"]
    rng = np.random.default_rng(0)
    response, gram = np.full((200, 2, 3, 3), 0.3), np.broadcast_to(np.eye(3), (2, 3, 3))
    noisy = response + rng.standard_normal(response.shape)
    assert coupling._crossed(response, gram) == pytest.approx(0.27)
    assert coupling._crossed(noisy, gram) == pytest.approx(0.27, abs=0.1)  # noise of size 3 would add 3


def test_smallest_eigenvalues(monkeypatch):
    monkeypatch.setattr(nondegeneracy, "STEPS", 1)
    found = nondegeneracy.smallest(4, 256, 0)
    assert found["features"].shape == (2, 5)
    assert (found["features over steps"] <= found["features"] + 1e-9).all()
    assert abs(found["gradients"][0, -1]) < 1e-5  # the readout is one vector for all samples
    assert found["gradients"][0, 0] > 1e-3


@pytest.mark.slow
def test_changes_in_two_layer_blocks():
    plain, boosted = two_layer_blocks.SCHEMES["depth-muP"], nl.DepthMuP(inner_exponent=0.5)
    a, b = (two_layer_blocks.change(scheme, 4, 0) for scheme in (plain, boosted))
    assert b.direct == pytest.approx(2 * a.direct, rel=1e-3)  # √L times the rate of W1
    assert b.function == pytest.approx(2 * a.function, rel=0.1)
    shallow = two_layer_blocks.change(plain, 2, 0)
    assert shallow.direct > 1.1 * a.direct


def test_best_rates_by_a_parabola():
    rates = np.log2(two_layer_blocks.RATES)
    losses = np.stack([np.exp(0.3 * (rates - best) ** 2) for best in (2.1, 3.05)], axis=1)
    losses[-1] = np.inf
    np.testing.assert_allclose(best_rates(losses, two_layer_blocks.RATES), [2.1, 3.05], atol=1e-9)
    depths = (4, 8, 16, 32, 64)
    moving = [np.array([-0.5 * np.log2(d)] * 4) + 3.137 + 0.01 * np.arange(4) for d in depths]
    assert two_layer_blocks._transfer_verdict("x", depths, moving).verdict == "fails"
    still = [np.array([0.25, 0.26, 0.24, 0.25])] * 5
    assert two_layer_blocks._transfer_verdict("x", depths, still).verdict == "holds"


@pytest.mark.slow
def test_gradient_independence_at_small_size(monkeypatch):
    monkeypatch.setattr(gradient_independence, "WIDTH", 32)
    monkeypatch.setattr(gradient_independence, "STEPS", 20)
    task = nl.tasks.digits(samples=200)
    losses = {
        b: [gradient_independence._losses(task, "depth-muP", d, b, 2) for d in (2, 4)] for b in ("reused", "decoupled")
    }
    assert losses["reused"][0].shape == (2, 2)
    assert np.all(losses["reused"][0] < 2.3)
    assert np.any(losses["reused"][0] != losses["decoupled"][0])
    assert gradient_independence._verdicts("digits", "depth-muP", (2, 4), losses)[0].verdict in (
        "holds",
        "fails",
        "undecided",
    )
