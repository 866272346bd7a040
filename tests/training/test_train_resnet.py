"""Training residual networks: against plain NumPy, conditioned against dense, rates per layer, decoupled weights."""

from __future__ import annotations

import numpy as np
import pytest

import neural_limits as nl

TASK = nl.tasks.toy(samples=3, inputs=5)


def train(network, scheme, optimizer, **options):
    settings = {"width": 12, "steps": 3, "weights": "dense", "seed": 1}
    return nl.train(network, TASK, scheme, optimizer, **(settings | options))


def start(network, scheme, **options):
    """The untrained weights of the same run: input, hidden stacks, output."""
    run = train(network, scheme, nl.SGD(0.1), **({"steps": 0} | options))
    p = run.parameters
    return np.array(p.input), [np.array(w.layers.value) for w in p.hidden], np.array(p.output)


def test_two_layer_blocks_against_numpy():
    """Every rate different: h += L^-½ M2 tanh(M1 tanh h)."""
    depth, width = 2, 12
    network, scheme = nl.ResNet(depth, "two-layer"), nl.DepthMuP(sigma_w=1.2, inner_exponent=0.5)
    optimizer = nl.SGD(0.4, lr_input=0.1, lr_output=0.2, layer_rates=(1.0, 0.5))
    run = train(network, scheme, optimizer)
    u, (m1, m2), v = start(network, scheme)
    x, y = TASK.x, TASK.y
    branch, losses = depth**-0.5, []
    for _ in range(4):
        hs, zs = [x @ u / 5**0.5], []
        for l in range(depth):
            zs.append(np.tanh(hs[-1]) @ m1[l].T)
            hs.append(hs[-1] + branch * np.tanh(zs[-1]) @ m2[l].T)
        f = hs[-1] @ v.T / width
        losses.append(np.sum((f - y) ** 2) / 6)
        chi = (f - y) / 3
        delta = chi @ v / width
        dv = chi.T @ hs[-1] / width
        d1, d2 = np.zeros_like(m1), np.zeros_like(m2)
        for l in reversed(range(depth)):
            d2[l] = branch * delta.T @ np.tanh(zs[l])
            inner = branch * (delta @ m2[l]) / np.cosh(zs[l]) ** 2
            d1[l] = inner.T @ np.tanh(hs[l])
            delta = delta + (inner @ m1[l]) / np.cosh(hs[l]) ** 2
        rates = np.array([1.0, 0.5])[:, None, None]
        m1, m2 = m1 - 0.4 * depth**0.5 * rates * d1, m2 - 0.4 * rates * d2
        u, v = u - 0.1 * width * x.T @ delta / 5**0.5, v - 0.2 * width * dv
    np.testing.assert_allclose(run.data.loss, losses, rtol=1e-9)
    # all first layers, then all second ones
    np.testing.assert_array_equal(np.stack([w.value for w in run.weights[:2]]), run.parameters.hidden[0].layers.value)
    np.testing.assert_array_equal(np.stack([w.value for w in run.weights[2:]]), run.parameters.hidden[1].layers.value)


@pytest.mark.slow
def test_conditioned_residual_networks_have_the_law_of_dense_ones(assert_same_law):
    found = []
    for weights, seeds in (("conditioned", range(200)), ("dense", range(200, 400))):
        data, _ = nl.train_ensemble(
            nl.ResNet(2),
            TASK,
            nl.DepthMuP(),
            nl.SGD(0.5),
            width=48,
            steps=3,
            seeds=seeds,
            weights=weights,
            tolerance=1e-3,
        )
        found.append(data.loss.values)
    assert_same_law(*found)


@pytest.mark.parametrize("weights", [pytest.param("conditioned", marks=pytest.mark.slow), "dense"])
def test_decoupled_backward_weights_train_differently_and_learn(weights):
    options = {"weights": weights, "width": 256, "steps": 12, "tolerance": 1e-2}
    runs = [train(nl.ResNet(4), nl.DepthMuP(), nl.SGD(0.3), backward=b, **options) for b in ("reused", "decoupled")]
    losses = [run.data.loss.values for run in runs]
    assert losses[0][0] == pytest.approx(losses[1][0], rel=0.5)
    assert np.abs(losses[0] - losses[1]).max() > 0.02
    assert losses[1][-1] < 0.1 * losses[1][0]
    assert runs[1].data.attrs["backward"] == "decoupled"
    if weights == "conditioned":
        assert runs[1].data.rank_left.values[-1].min() > 3
        assert runs[1].data.rank_right.sizes["layer"] == 4


def test_frozen_weights_stay():
    network, scheme = nl.ResNet(2), nl.DepthMuP()
    run = train(network, scheme, nl.SGD(0.5, lr_input=0.0, lr_output=0.0, momentum=0.5, weight_decay=0.1))
    u, _, v = start(network, scheme)
    np.testing.assert_array_equal(run.parameters.input, u)
    np.testing.assert_array_equal(run.parameters.output, v)
    assert run.data.loss[-1] < run.data.loss[0]


def test_momentum_and_adam_reach_every_layer():
    for optimizer in (nl.SGD(0.3, momentum=0.5, layer_rates=(0.0, 1.0)), nl.Adam(0.05)):
        run = train(nl.ResNet(2), nl.DepthMuP(), optimizer)
        _, (m,), _ = start(nl.ResNet(2), nl.DepthMuP())
        moved = np.abs(np.asarray(run.parameters.hidden[0].layers.value) - m).max((1, 2))
        assert (moved[0] == 0) == isinstance(optimizer, nl.SGD)
        assert moved[1] > 1e-3


@pytest.mark.slow
def test_bases_grow_in_every_layer():
    run = nl.train(
        nl.ResNet(2), TASK, nl.DepthMuP(), nl.SGD(0.5), width=300, steps=40, weights="conditioned", tolerance=1e-3
    )
    assert run.status == "completed"
    ranks = run.data.rank_right.values
    assert (np.diff(ranks, axis=0) >= 0).all()
    assert run.weights[1].capacity[1] >= ranks[-1, 1]


def test_outliers_are_recorded_for_every_layer():
    run = nl.train(
        nl.ResNet(2, "two-layer"), TASK, nl.DepthMuP(gamma=4.0), nl.SGD(0.5), width=300, steps=10,
        weights="conditioned", record=(10,),
    )  # fmt: skip
    assert run.data.sizes["layer"] == 4
    assert len(run.weights) == 4
    np.testing.assert_allclose(run.data.edge, 2.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backward": "other"}, "`backward` must be one of 'reused', 'decoupled'; got 'other'."),
        ({"backward": "decoupled", "record": (1,)}, "`record` needs one matrix forward and backward"),
        ({"optimizer": {"layer_rates": (1.0,)}}, "`layer_rates` must hold one rate for each of 2 layers; got 1."),
        ({"optimizer": {"lr_input": -1.0}}, "`lr_input` must be zero or positive and finite; got -1.0."),
        ({"scheme": {"branch_exponent": -1.0}}, "`branch_exponent` must be zero or positive and finite; got -1.0."),
    ],
)
def test_bad_input(options, message):
    numbers, exponents = options.pop("optimizer", {}), options.pop("scheme", {})

    def run():
        train(nl.ResNet(2), nl.DepthMuP(**exponents), nl.SGD(0.1, **numbers), **options)

    with pytest.raises(ValueError, match="`") as error:
        run()
    assert str(error.value).startswith(message)
