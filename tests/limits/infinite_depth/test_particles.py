"""The particle solver against the exact linear theory, and its extrapolation and coupling."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import neural_limits as nl

nfd = nl.limits.infinite_depth
TASK = nl.tasks.toy(samples=2, inputs=4, seed=7, labels="sine")


@pytest.mark.slow
@pytest.mark.parametrize("backward", ["reused", "decoupled"])
def test_linear_particles_follow_the_exact_theory(backward):
    other = {"reused": "decoupled", "decoupled": "reused"}[backward]
    found = nfd.solve(
        TASK, "linear", steps=2, lr=0.2, particles=2048, depths=(8, 16), seeds=12, backward=backward, dtype="float32"
    )
    assert found.status == "completed"
    exact, wrong = (nfd.linear(TASK.x, TASK.y, 2, 0.2, depth=8, backward=b).data.loss.values for b in (backward, other))
    at = found.data.sel(depth=8)
    z = np.abs(at.loss_at - exact)[1:] / at.loss_at_stderr[1:]
    assert float(z.max()) < 4
    far = np.abs(at.loss_at - wrong)[1:] / at.loss_at_stderr[1:]
    assert float(far.max()) > 6  # the two theories are told apart
    limit = nfd.linear(TASK.x, TASK.y, 2, 0.2, backward=backward).data
    # an O(1/L²) remainder of the extrapolation is below the noise here
    assert float((np.abs(found.data.loss - limit.loss)[1:] / found.data.loss_stderr[1:]).max()) < 4.5
    for name in ("feature_kernel", "gradient_kernel"):
        ends = getattr(limit, name).values[-1] if name == "feature_kernel" else getattr(limit, name).values[0]
        mine = getattr(found.data, name).values[-1 if name == "feature_kernel" else 0]
        error = getattr(found.data, name + "_stderr").values[-1 if name == "feature_kernel" else 0]
        assert np.mean((mine - ends) ** 2 / error**2) < 6, name


def test_extrapolation_is_exact_for_one_over_depth():
    rng = np.random.default_rng(0)
    depths = (8, 16, 24)
    values = np.stack([np.full((5, 2), 1.0) + 3.0 / d for d in depths])
    value, error, truncation = nfd.extrapolate(values, depths)
    np.testing.assert_allclose(value, 1.0)
    np.testing.assert_allclose([error, truncation], 0, atol=1e-12)
    noisy = values[:2, :1, :1] + 0.1 * rng.standard_normal((2, 4000, 1))
    value, error, truncation = nfd.extrapolate(noisy, depths[:2])
    assert error[0] == pytest.approx(0.1 / 4000**0.5 * 5**0.5, rel=0.05)  # 2 f_16 - f_8
    assert np.isnan(truncation).all()


@pytest.mark.slow
def test_coupling_is_the_response_of_the_theory():
    """⟨coupling_l^a, g_l^b⟩ = (σ/√L) Σ_b' R(a, b') G(b', b), and the same backward."""
    depth, width, seeds = 4, 4096, 10
    exact = nfd.linear(TASK.x, TASK.y, steps=1, lr=0.4, depth=depth).data
    r = exact.forward_response.values[:, 1, :, 0] / depth  # (l, sample): to the one g of step 0
    s = exact.backward_response.values[:, 1] / depth  # (l, step_b, sample_b)
    g = exact.gradient_kernel.values[1:, 0, 0, 0, 0]
    phi = exact.feature_kernel.values[:-1, :, :, 0, 0]
    forward, backward = [], []
    for seed in range(seeds):
        run = nfd.trajectories(
            nl.ResNet(depth, activation="linear"), TASK, nl.DepthMuP(), nl.SGD(0.4), width=width, steps=1, seed=seed
        )
        found = nfd.total_coupling(run)
        forward.append(np.einsum("lpn,ln->lp", found.forward[:, 1], run.g[1:, 0, 0]) / width)
        backward.append(np.einsum("ln,ln->l", found.backward[:, 1, 0], run.h[:-1, 0, 0]) / width)
    for samples, expected in ((forward, r * g[:, None]), (backward, np.einsum("lks,lks->l", s, phi))):
        mean, error = np.mean(samples, 0), np.std(samples, 0, ddof=1) / seeds**0.5
        assert np.abs((mean - expected) / error).max() < 4.5
        assert np.abs(expected / error).max() > 10


@pytest.mark.slow
def test_untrained_coupling_is_a_finite_width_effect():
    means = []
    for width in (128, 512):
        gaps = [nfd.initial_gap(TASK.x, "tanh", 1.0, 8, width, seed).gap for seed in range(4096 // width * 8)]
        means.append(width * np.mean(gaps))
    assert means[0] == pytest.approx(means[1], rel=0.25)
    assert means[1] > 0.2


def test_local_coupling_needs_an_earlier_step_and_a_neighbour():
    run = nfd.trajectories(nl.ResNet(3), TASK, nl.DepthMuP(), nl.SGD(0.4), width=64, steps=1, tolerance=0.01)
    local = nfd.local_coupling(run, 0.4, TASK.y[:, 0])
    assert not np.any(local.forward[:, 0])
    assert not np.any(local.forward[0])
    assert not np.any(local.backward[-1])
    assert np.abs(local.forward[1, 1]).max() > 0
    total = nfd.total_coupling(run)
    assert np.abs(total.forward[:, 0]).max() < 1e-12  # nothing was known before the first pass
    assert np.abs(total.backward[:, 0]).max() > 0  # features of the same step are


@pytest.mark.slow
@pytest.mark.parametrize("reused", [True, False])
def test_paths_on_shared_noise_follow_the_exact_theory(reused):
    """The second engine, and differences between depths that single networks would not resolve."""
    backward = "reused" if reused else "decoupled"
    losses = {4: [], 8: []}
    for seed in range(24):
        fine = nfd.draw_noise(jax.random.key(seed), 8, 6, 4, 2048)
        for depth in losses:
            noise = nfd.coarser(fine, depth)
            found = nfd.paths(TASK.x, TASK.y[:, 0], noise, activation="linear", steps=2, lr=0.3, reused=reused)
            losses[depth].append(np.mean((np.asarray(found.outputs) - TASK.y[:, 0]) ** 2, axis=1) / 2)
    exact = {d: nfd.linear(TASK.x, TASK.y, 2, 0.3, depth=d, backward=backward).data.loss.values for d in losses}
    for depth, values in losses.items():
        error = np.std(values, axis=0, ddof=1) / 24**0.5
        assert np.abs((np.mean(values, axis=0) - exact[depth]) / error)[1:].max() < 4
    gaps = np.array(losses[4]) - np.array(losses[8])
    error = gaps.std(axis=0, ddof=1) / 24**0.5
    z = (gaps.mean(axis=0) - (exact[4] - exact[8])) / error
    assert np.abs(z[1:]).max() < 4
    assert np.abs((exact[4] - exact[8]) / error)[1] > 10


def test_coarser_noise_is_the_same_brownian_path():
    fine = nfd.draw_noise(jax.random.key(0), 8, 2, 3, 5)
    coarse = nfd.coarser(fine, 2)
    np.testing.assert_allclose(coarse.up[1] / 2**0.5, fine.up[4:].sum(0) / 8**0.5, rtol=1e-6)
    np.testing.assert_array_equal(coarse.u, fine.u)


def test_divergence_is_a_status():
    found = nfd.solve(TASK, "relu", steps=3, lr=500.0, particles=64, depths=(2, 4), seeds=2, tolerance=0.01)
    assert found.status == "diverged"
    assert "lower the rates" in found.message
    assert np.isnan(found.data.loss).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depths": (8,)}, "`depths` must hold at least two depths to extrapolate from; got (8,)."),
        ({"depths": (8, 8)}, "`depths` must hold at least two depths to extrapolate from; got (8, 8)."),
        ({"depths": (0, 8)}, "`depths` must be at least 1; got 0."),
        ({"seeds": 1}, "`seeds` must be at least 2, for an error; got 1."),
        ({"lr": 0.0}, "`lr` must be positive and finite; got 0.0."),
        ({"activation": "tan"}, "`activation` must be one of 'tanh', 'relu', 'gelu', 'erf', 'linear'; got 'tan'."),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match="must") as error:
        nfd.solve(TASK, **({"particles": 64, "depths": (2, 4), "seeds": 2} | arguments))
    assert str(error.value).split(" Did")[0] == message


def test_tasks_that_do_not_fit_are_refused():
    two = nl.tasks.toy(outputs=2)
    with pytest.raises(ValueError, match="`y` must have shape"):
        nfd.solve(two)
    with pytest.raises(ValueError, match="`task` must have one output and squared error"):
        nfd.trajectories(nl.ResNet(2), two, nl.DepthMuP(), nl.SGD(0.1), width=32, steps=1)
    with pytest.raises(ValueError, match="`optimizer` must have no momentum here"):
        nfd.trajectories(nl.ResNet(2), TASK, nl.DepthMuP(), nl.SGD(0.1, momentum=0.5), width=32, steps=1)
    decoupled = nfd.trajectories(
        nl.ResNet(2), TASK, nl.DepthMuP(), nl.SGD(0.1), width=32, steps=1, backward="decoupled"
    )
    with pytest.raises(ValueError, match="reused conditioned weights"):
        nfd.total_coupling(decoupled)
