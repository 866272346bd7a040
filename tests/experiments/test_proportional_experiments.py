"""Experiments on deep linear networks: verdicts that can fail, and networks in the terms of `train`."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import neural_limits as nl
from neural_limits.experiments import edge_of_stability, proportional_limit
from neural_limits.experiments._experiment import Mean
from neural_limits.experiments._proportional import agreement, changed, pooled_spread, theory

NAN = float("nan")


def test_agreement_is_gated_by_the_error():
    assert agreement("", 1.0, Mean(1.02, 0.01)).verdict == "holds"
    assert agreement("", 1.0, Mean(1.04, 0.01)).verdict == "fails"
    assert agreement("", 1.0, Mean(1.0, float("nan"))).verdict == "fails"  # one network decides nothing


@pytest.mark.parametrize(("limit", "found", "verdict"), [
    ([NAN, 1.05], [[NAN, 1.04], [NAN, 1.06]], "holds"),
    ([NAN, 1.05], [[1.01, 1.04], [NAN, 1.06]], "fails"),  # one that the limit has not
    ([1.05, 1.05], [[NAN, 1.04], [NAN, 1.06]], "fails"),  # none where it has one
    ([NAN, 1.15], [[NAN, 1.04], [NAN, 1.06]], "fails"),  # another value
])  # fmt: skip
def test_outliers_must_be_in_the_same_layers(limit, found, verdict):
    spread = np.array([0.02, 0.02])
    assert proportional_limit._counts_and_values("", limit, np.array(found), spread).verdict == verdict


def test_scatter_pooled_over_sizes():
    rng = np.random.default_rng(0)
    spread, freedom = pooled_spread([3 + 0.2 * rng.standard_normal(n) for n in (400, 300)])
    assert freedom == 698
    assert spread == pytest.approx(0.2, rel=0.1)


def test_few_networks_are_given_a_wider_bound():
    assert agreement("", 1.0, Mean(1.05, 0.01), 5).verdict == "holds"
    assert agreement("", 1.0, Mean(1.07, 0.01), 5).verdict == "fails"


def test_first_step_with_an_outlier():
    assert proportional_limit._first((5, 6, 7), np.array([NAN, 1.1, 1.2])) == 6
    assert np.isnan(proportional_limit._first((5, 6, 7), np.array([NAN, NAN, NAN])))


def test_linear_networks_in_the_terms_of_train():
    """Initial standard deviations moved into data and rates: losses and curvature are those of the limit."""
    setting = changed(sigma_w=(0.6, 0.5, 0.4), steps=40)
    limit, losses, tops = theory(setting), [], []
    for seed in range(6):
        task, scheme, optimizer = edge_of_stability.linear_run(setting, 200, seed)
        run = nl.train(nl.MLP(1, "linear"), task, scheme, optimizer, width=200, steps=40, weights="dense", seed=seed)
        losses.append(2 * run.data.loss.values[[0, 40]])
        found = nl.curvature(run, task, count=1, kinds=("ntk",)).eigenvalue.values[0, 0]
        tops.append(found * optimizer.numbers.lr / setting.lr)
    for values, expected in (
        (np.array(losses)[:, 0], limit.data.train_loss[0]),
        (np.array(losses)[:, 1], limit.data.train_loss[40]),
        (np.array(tops), limit.ntk_top(40)),
    ):
        error = values.std(ddof=1) / len(values) ** 0.5
        assert abs(values.mean() - float(expected)) < 4 * error
        assert error < 0.06 * float(expected)


@pytest.mark.parametrize(("ntk", "hessian", "verdicts"), [
    ((0.93, 2.2, 10.24), (3.2, 3.5, 10.25), ["holds"] * 3),
    ((0.93, 2.2, 10.24), (1.0, 2.3, 11.0), ["fails"] * 3),
])  # fmt: skip
def test_hessian_beside_the_ntk(ntk, hessian, verdicts):
    found = xr.DataArray([ntk, hessian], dims=("kind", "step"), coords={"kind": ["ntk", "hessian"]})
    assert [row.verdict for row in edge_of_stability._hessian_verdicts(found)] == verdicts
