"""The exact linear theory: reference numbers of an independent code, causality, and clear refusals."""

from __future__ import annotations

import numpy as np
import pytest

import neural_limits as nl

linear = nl.limits.infinite_depth.linear
TASK = nl.tasks.toy(samples=4, inputs=8, seed=7, labels="sine")

# losses at steps 1..4, all rates 0.2, σ 1; None is infinite depth
REFERENCE = {
    ("reused", 4): [0.1213257, 0.0432593, 0.0250448, 0.0148393],
    ("reused", 16): [0.0951884, 0.0355102, 0.0194141, 0.0101515],
    ("reused", None): [0.0857871, 0.0334593, 0.0172754, 0.0084788],
    ("decoupled", 4): [0.1962483, 0.0794474, 0.0397589, 0.0259063],
    ("decoupled", 16): [0.1790318, 0.0663831, 0.0339913, 0.0220819],
    ("decoupled", None): [0.1723028, 0.0616918, 0.0321101, 0.0206282],
}
FROZEN = {
    "reused": [0.310374, 0.192719, 0.116817, 0.071342],
    "decoupled": [0.3741389, 0.2789075, 0.2032188, 0.1437135],
}


@pytest.mark.parametrize(("backward", "depth"), REFERENCE)
def test_reference_losses(backward, depth):
    found = linear(TASK.x, TASK.y, steps=4, lr=0.2, depth=depth, backward=backward)
    assert found.status == "completed"
    assert found.data.loss.values[0] == pytest.approx(0.5, abs=1e-12)
    np.testing.assert_allclose(found.data.loss.values[1:], REFERENCE[backward, depth], atol=6e-8)


@pytest.mark.parametrize("backward", FROZEN)
def test_frozen_input_and_readout(backward):
    found = linear(TASK.x, TASK.y, steps=4, lr=0.2, lr_input=0, lr_output=0, backward=backward)
    np.testing.assert_allclose(found.data.loss.values[1:], FROZEN[backward], atol=6e-7)


def test_outputs_and_gap_of_the_limits():
    reused, decoupled = (linear(TASK.x, TASK.y, backward=b).data.outputs for b in ("reused", "decoupled"))
    np.testing.assert_allclose(reused[4], [0.8332999, -0.8386462, 1.0893024, 1.0776617], atol=6e-8)
    assert float(abs(reused - decoupled).max()) == pytest.approx(0.2885, abs=5e-5)


def test_first_step_is_the_tangent_kernel():
    """(f¹ - f⁰)/η → -Θ χ, Θ of the untrained network; with one frozen sample c e^{σ²} against c (e^{σ²} - 1)/σ²."""
    kernels = nl.limits.infinite_depth.kernels_at_init(TASK.x, "linear", sigma_w=0.8)
    small = 1e-6
    moved = linear(TASK.x, TASK.y, steps=1, lr=small, sigma_w=0.8, backward="decoupled").data.outputs.values[1]
    phi = kernels.feature_kernel
    theta = kernels.covariance[-1].values + TASK.x @ TASK.x.T / 8 + phi.integrate("time").values
    np.testing.assert_allclose(moved / small, theta @ TASK.y[:, 0] / 4, rtol=1e-3)
    one = linear(TASK.x[:1], TASK.y[:1], steps=1, lr=small, sigma_w=0.8).data.outputs.values[1]
    np.testing.assert_allclose(one / small, kernels.tangent_kernel.values[0, 0], rtol=1e-5)
    for backward, expected in (("reused", np.exp(0.64)), ("decoupled", (np.exp(0.64) - 1) / 0.64)):
        frozen = linear(TASK.x[:1], [1.0], 1, small, 0.0, 0.0, sigma_w=0.8, backward=backward).data.outputs.values[1]
        np.testing.assert_allclose(frozen / small, expected, rtol=1e-5)


@pytest.mark.parametrize("depth", [6, None])
def test_later_steps_do_not_change_earlier_ones(depth):
    short, long = (linear(TASK.x, TASK.y, steps=s, lr=0.2, depth=depth).data for s in (2, 4))
    np.testing.assert_allclose(long.loss.values[:3], short.loss.values, atol=1e-10)
    np.testing.assert_allclose(long.feature_kernel.values[:, :3, :, :3], short.feature_kernel.values, atol=1e-9)


def test_depth_approaches_the_limit_at_rate_one():
    limit = linear(TASK.x, TASK.y).data.loss.values
    gaps = [np.abs(linear(TASK.x, TASK.y, depth=d).data.loss.values - limit).max() for d in (32, 64)]
    assert gaps[0] / gaps[1] == pytest.approx(2.0, rel=0.05)


def test_without_noise_the_hidden_weights_start_at_zero():
    """σ 0, hidden rate 0: the features never see a block, and f = v·h is a two-layer linear network."""
    found = linear(TASK.x, TASK.y, steps=3, lr=0.0, lr_input=0.3, lr_output=0.3, sigma_w=0.0, depth=3).data
    gram, y = TASK.x @ TASK.x.T / 8, TASK.y[:, 0]
    # order parameters of f = v·(U x): h·h, h·v, v·v over an orthonormal input basis
    basis = np.linalg.cholesky(gram)
    a, c, s = np.zeros(4), np.eye(4), 1.0  # <u, v>, <u, u>, <v, v> with f = basis @ a
    for k in range(4):
        f = basis @ a
        np.testing.assert_allclose(found.loss[k], np.mean((f - y) ** 2) / 2, rtol=1e-9)
        m = -0.3 * basis.T @ (f - y) / 4  # U moves by m vᵀ, v by mᵀ U
        a, c, s = (
            a + s * m + c @ m + m * (m @ a),
            c + np.outer(m, a) + np.outer(a, m) + s * np.outer(m, m),
            s + 2 * m @ a + m @ c @ m,
        )


def test_data_are_labelled():
    data = linear(TASK.x, TASK.y, steps=1, depth=5).data
    assert data.feature_kernel.dims == ("time", "step", "sample", "step_b", "sample_b")
    assert data.gradient_kernel.shape == (6, 2, 4, 2, 4)
    assert data.loss.attrs["units"]
    np.testing.assert_allclose(data.feature_kernel[0, 0, :, 0], TASK.x @ TASK.x.T / 8)
    np.testing.assert_allclose(data.gradient_kernel[-1, 0, :, 0], 1.0)


def test_divergence_is_a_status_with_what_was_reached():
    found = linear(TASK.x, TASK.y, steps=6, lr=8.0)
    assert found.status in ("diverged", "no_convergence")
    assert "lower the rates" in found.message
    assert found.data.loss[0] == pytest.approx(0.5)
    assert np.isnan(found.data.loss[-1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 0}, "`depth` must be at least 1; got 0."),
        ({"steps": -1}, "`steps` must be at least 0; got -1."),
        ({"lr": -0.1}, "`lr` must be zero or positive and finite; got -0.1."),
        ({"backward": "other"}, "`backward` must be one of 'reused', 'decoupled'; got 'other'."),
        ({"x": np.zeros((4, 8))}, "`x` must have no sample of norm zero; row 0 is: remove it."),
        ({"x": np.full((4, 8), np.nan)}, "`x` must be finite; clean it first."),
        ({"y": np.zeros((4, 2))}, r"`y` must have shape (4,), one output per sample; got (4, 2)."),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match="must") as error:
        linear(**({"x": TASK.x, "y": TASK.y} | arguments))
    assert str(error.value) == message
