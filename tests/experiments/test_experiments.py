"""Experiments at small size: what they measure is right, and their verdicts follow from it."""

import numpy as np
import pytest

import neural_limits as nl
from neural_limits.experiments import digits_outliers, exactness_in_law, outlier_escape, registry
from neural_limits.experiments._experiment import Context, Mean, decide, mean_of, standard_errors


def test_registry_names_claims_and_times():
    experiments = registry()
    assert list(experiments) == [
        "outlier-escape", "exactness-in-law", "digits-outliers", "infinite-depth", "coupling", "nondegeneracy",
        "gradient-independence", "two-layer-blocks", "proportional-limit", "edge-of-stability",
        "learning-rate-transfer", "bulk-restructuring", "real-models", "muon-outliers",
    ]  # fmt: skip
    for experiment in experiments.values():
        assert experiment.claim.endswith(".")
        assert 0 < experiment.quick_minutes < experiment.full_minutes


def test_means_and_decisions():
    assert mean_of(np.array([1.0, 3.0])) == Mean(2.0, 1.0)
    assert str(Mean(2.78474, 0.00061)) == "2.78474 ± 0.00061"
    assert standard_errors(Mean(1.0, 0.3), Mean(2.0, 0.4)) == pytest.approx(2.0)
    assert [decide(True), decide(False), decide(True, resolved=False)] == ["holds", "fails", "undecided"]


def test_a_wrong_law_is_seen():
    rng = np.random.default_rng(0)
    same = exactness_in_law.compare(64, "loss", rng.standard_normal(20_000) + 10, rng.standard_normal(20_000) + 10)
    shifted = exactness_in_law.compare(64, "loss", rng.standard_normal(20_000) + 10.1, rng.standard_normal(20_000) + 10)
    assert exactness_in_law._verdict(same).verdict == "holds"
    assert exactness_in_law._verdict(shifted).verdict == "fails"  # 1 %
    few = exactness_in_law.compare(64, "loss", rng.standard_normal(100) + 10, rng.standard_normal(100) + 10)
    assert exactness_in_law._verdict(few).verdict == "undecided"


@pytest.mark.slow
def test_conditioned_and_dense_have_one_law_at_small_size(monkeypatch):
    monkeypatch.setitem(exactness_in_law.CHUNK, 64, 400)
    both = [exactness_in_law.observables(form, 64, 400, 60) for form in ("conditioned", "dense")]
    for name in both[0]:
        row = exactness_in_law.compare(64, name, both[0][name], both[1][name])
        assert abs(row["z"]) < 4, name
        assert row["ks_level"] > 1e-4, name


@pytest.mark.slow
def test_outlier_table_and_figures(monkeypatch):
    monkeypatch.setattr(outlier_escape, "WIDE", 3000)
    monkeypatch.setattr(outlier_escape, "NARROW", 400)
    case = outlier_escape.case_a()
    table = outlier_escape.outlier_table(case, 2)
    assert np.all(np.abs(table.wide_a.mean("seed") - [2.113, 2.360, 2.280, 2.785]) < 0.03)
    # independent spikes: none, 2.06, 2.02, 2.32
    assert np.all(np.isnan(table.independent_a[:, 0]))
    np.testing.assert_allclose(table.independent_a.mean("seed")[1:], [2.061, 2.022, 2.325], atol=0.02)
    rows = outlier_escape._case_verdicts(case, table)
    assert {row.verdict for row in rows if "independent" in row.claim} == {"fails"}


@pytest.mark.slow
def test_untrained_alarms():
    assert outlier_escape.untrained_alarms(8) == {"conditioned": 0, "dense": 0}


@pytest.mark.filterwarnings("ignore:hidden weight")  # dense is cheaper at this width
def test_digits_at_small_size(tmp_path, train_here):
    base = {"task": "digits", "samples": 20, "hidden": 1, "lr": 2.0, "steps": 30, "record": (10, 30)}
    context = Context(lambda text: None, tmp_path)
    runs = digits_outliers._full_batches(base, 512, (256,), context)
    assert list(runs) == ["conditioned 512", "dense 256"]
    run = runs["dense 256"]
    options = {"width": 256, "steps": 30, "weights": "dense", "record": (10, 30), "dtype": "float32"}
    same = nl.train(nl.MLP(1, "tanh"), nl.tasks.digits(samples=20), nl.MuP(), nl.SGD(2.0), **options)
    np.testing.assert_array_equal(run.singular_value, same.data.singular_value)
    assert digits_outliers._count(run, 0) >= 5
    fewer = run.isel(record=[0], mode=[0, 1]).assign_coords(record=[3])  # fewer outliers, other records
    data = digits_outliers._table({"dense 256": run, "dense 257": fewer}, 1)
    assert data.singular_value_1.sizes["mode_1"] == run.sizes["mode"]
    assert len(digits_outliers._full_batch_verdicts(runs, 1)) == 3
    assert data.loss_1.dims == ("run", "step_1")
    assert digits_outliers._figure(data, 1).axes
    assert digits_outliers._gaps(run, run, 0) == 0
