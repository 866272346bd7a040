"""Many seeds at once: the same runs as one by one, and the same law for conditioned and dense weights."""

from __future__ import annotations

from functools import cache

import jax
import numpy as np
import pytest
import xarray as xr

import neural_limits as nl
from neural_limits.training import member, train_ensemble

TASK = nl.tasks.toy(samples=3, inputs=5)
NETWORK, OPTIONS = nl.MLP(hidden=1), {"width": 64, "steps": 4, "tolerance": 1e-3}
OPTIMIZER = nl.SGD(lr=0.5, momentum=0.5, weight_decay=0.1)
SEEDS = 300


@cache
def ensemble(weights: str) -> tuple[xr.Dataset, nl.networks.Parameters]:
    seeds = {"conditioned": range(SEEDS), "dense": range(SEEDS, 2 * SEEDS)}[weights]
    return train_ensemble(NETWORK, TASK, nl.MuP(gamma=2.0), OPTIMIZER, seeds=seeds, weights=weights, **OPTIONS)


BOTH = ("conditioned", "dense")
# conditioned ensembles compile for long; that conditioning is exact in law is tested on single matrices as well
EACH = pytest.mark.parametrize("weights", ["dense", pytest.param("conditioned", marks=pytest.mark.slow)])


@pytest.mark.slow
def test_conditioned_networks_have_the_law_of_dense_ones(assert_same_law) -> None:
    losses, outputs = [], []
    for data, _ in map(ensemble, BOTH):
        assert data.attrs["status"] == "completed"
        losses.append(data.loss.values)
        outputs.append(data.outputs.values[:, [0, 2, 4]].reshape(SEEDS, -1))
    assert_same_law(*losses)
    assert_same_law(*outputs)
    # the comparison is sharp: what training changes exceeds the error of the means many times
    change = losses[1][:, 0].mean() - losses[1][:, 4].mean()
    assert change > 50 * losses[1].std(axis=0).max() / SEEDS**0.5


@pytest.mark.slow
def test_feature_kernels_have_the_law_of_dense_ones(assert_same_law) -> None:
    # after training: overlaps of the features of two samples, with the hidden weight looked at once more
    def kernels(parameters: nl.networks.Parameters, rules: nl.parametrizations.Rules) -> jax.Array:
        _, trace, _ = NETWORK.forward(parameters, jax.numpy.asarray(TASK.x), rules)
        k = trace.last @ trace.last.T / 64
        return jax.numpy.stack([k[0, 0], k[0, 1], k[1, 2]])

    rules = nl.MuP(gamma=2.0).rules(64, 5)
    found = [jax.jit(jax.vmap(lambda p: kernels(p, rules)))(p) for _, p in map(ensemble, BOTH)]
    assert_same_law(*found)


@pytest.mark.filterwarnings("ignore:hidden weight")  # dense is cheaper at this width
@EACH
def test_each_member_is_the_run_of_its_seed(weights: str) -> None:
    data, parameters = ensemble(weights)
    seed = int(data.seed[1])
    run = nl.train(NETWORK, TASK, nl.MuP(gamma=2.0), OPTIMIZER, seed=seed, weights=weights, **OPTIONS)
    np.testing.assert_allclose(data.loss.sel(seed=seed), run.data.loss, rtol=1e-9)
    np.testing.assert_allclose(data.outputs.sel(seed=seed), run.data.outputs, atol=1e-9)
    one = member(parameters, 1)
    np.testing.assert_allclose(one.output, run.parameters.output, atol=1e-9)
    assert one.hidden[0].shape == run.weights[0].shape
    if weights == "conditioned":
        np.testing.assert_array_equal(data.rank_left.sel(seed=seed), run.data.rank_left)


@EACH
def test_data_are_labelled(weights: str) -> None:
    data, _ = ensemble(weights)
    assert data.loss.dims == ("seed", "step")
    assert data.outputs.dims == ("seed", "step", "sample", "output")
    assert data.outputs.shape == (SEEDS, 5, 3, 1)
    assert data.seed.values.tolist() == list(range(SEEDS) if weights == "conditioned" else range(SEEDS, 2 * SEEDS))
    right = np.sign(data.outputs.values[..., 0]) == TASK.y[:, 0]
    np.testing.assert_array_equal(data.accuracy, right.mean(axis=-1))
    if weights == "conditioned":
        assert data.rank_left.dims == ("seed", "step", "layer")


def test_batches_of_each_seed_are_its_own() -> None:
    options = {"width": 16, "steps": 3, "weights": "dense", "batch": 2}
    data, _ = train_ensemble(NETWORK, TASK, seeds=[0, 1], **options)
    for seed in (0, 1):
        run = nl.train(NETWORK, TASK, seed=seed, **options)
        np.testing.assert_allclose(data.loss.sel(seed=seed), run.data.loss, rtol=1e-9)
        np.testing.assert_array_equal(data.accuracy.sel(seed=seed), run.data.accuracy)


@pytest.mark.parametrize(
    ("seeds", "match"),
    [
        ([], r"`seeds` must"),
        ([0, -1], r"`seeds?` must be at least 0; got -1"),
        ([0.5], r"`seeds?` must be a whole number"),
    ],
)
def test_refuses(seeds: list, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        train_ensemble(NETWORK, TASK, seeds=seeds, **OPTIONS)
