"""What a run returns: data and names, statuses, refusals, predictions, and what compiles anew."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import neural_limits as nl
from neural_limits.training._loop import advance, observe
from neural_limits.training._start import initial_parameters

NETWORK, STEPS, WIDTH = nl.MLP(hidden=2), 3, 64
TASK = nl.tasks.toy(samples=4, inputs=8)


def trained(weights: str, **options: object) -> nl.Run:
    """The run most tests share, changed by options; only a change of shape compiles again."""
    arguments = {"parametrization": nl.MuP(gamma=4.0), "optimizer": nl.SGD(lr=1.0), "width": WIDTH, "steps": STEPS}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # dense is cheaper at this width
        return nl.train(NETWORK, TASK, weights=weights, **arguments | options)


@pytest.fixture(scope="module")
def runs() -> dict[str, nl.Run]:
    return {weights: trained(weights, record=(0, STEPS)) for weights in ("conditioned", "dense")}


WEIGHTS = pytest.mark.parametrize("weights", ["conditioned", "dense"])


@WEIGHTS
def test_data_are_labelled(runs: dict[str, nl.Run], weights: str) -> None:
    run = runs[weights]
    data = run.data
    modes = data.sizes["mode"]
    assert (run.status, run.message) == ("completed", "")
    expected = {
        "loss": (("step",), (4,)),
        "accuracy": (("step",), (4,)),
        "outputs": (("step", "sample", "output"), (4, 4, 1)),
        "singular_value": (("record", "layer", "mode"), (2, 2, modes)),
        "overlap_left": (("record", "layer", "mode"), (2, 2, modes)),
        "overlap_right": (("record", "layer", "mode"), (2, 2, modes)),
        "record_edge": (("record", "layer"), (2, 2)),
        "threshold": (("record", "layer"), (2, 2)),
        "edge": (("layer",), (2,)),
    }
    if weights == "conditioned":
        expected |= dict.fromkeys(("rank_left", "rank_right", "discarded"), (("step", "layer"), (4, 2)))
    assert {name: (data[name].dims, data[name].shape) for name in expected} == expected
    assert ("rank_left" in data) == (weights == "conditioned")
    assert data.step.values.tolist() == [0, 1, 2, 3]
    assert data.record.values.tolist() == [0, 3]
    assert data.layer.values.tolist() == [0, 1]
    for name in expected:
        assert {"symbol", "long_name", "units"} <= set(data[name].attrs), name
    for name, value in {
        "status": "completed",
        "weights": weights,
        "width": 64,
        "lr": 1.0,
        "gamma": 4.0,
        "seed": 0,
    }.items():
        assert data.attrs[name] == value
    assert np.isfinite(data.loss).all()
    assert np.isfinite(data.outputs).all()


@WEIGHTS
def test_loss_and_accuracy_are_those_of_the_outputs(runs: dict[str, nl.Run], weights: str) -> None:
    data = runs[weights].data
    f = data.outputs.values
    np.testing.assert_allclose(data.loss, ((f - TASK.y) ** 2).sum(axis=(1, 2)) / 8, rtol=1e-12)
    np.testing.assert_array_equal(data.accuracy, (np.sign(f) == TASK.y).mean(axis=(1, 2)))
    assert data.loss[-1] < data.loss[0]


@WEIGHTS
def test_records_of_an_untrained_and_a_trained_weight(runs: dict[str, nl.Run], weights: str) -> None:
    data = runs[weights].data
    edge = 2.0  # σ_w (√n + √n)/√n
    np.testing.assert_allclose(data.record_edge, edge)
    np.testing.assert_allclose(data.edge, edge)
    assert (data.threshold > edge).all()
    assert data.singular_value.sel(record=0).isnull().all()
    values = data.singular_value.values
    assert (np.isfinite(values[1]).sum(axis=1) >= 1).all()
    assert not (values <= data.threshold.values[..., None]).any()  # outliers only, NaN elsewhere
    for name in ("overlap_left", "overlap_right"):
        overlap = data[name].values
        np.testing.assert_array_equal(np.isnan(overlap), np.isnan(values))
        assert not ((overlap < 0) | (overlap > 1 + 1e-9)).any()


def test_dense_records_are_measured(runs: dict[str, nl.Run]) -> None:
    data, start = runs["dense"].data.sel(record=STEPS), trained("dense", steps=0)
    for layer, (weight, untrained) in enumerate(zip(runs["dense"].weights, start.weights, strict=True)):
        u, s, vt = np.linalg.svd(np.asarray(weight.value))
        count = int((s > float(data.threshold[layer])).sum())
        assert count >= 1
        values = data.singular_value[layer].dropna("mode")
        np.testing.assert_allclose(values, s[:count], rtol=1e-8)
        ul, _, vlt = np.linalg.svd(np.asarray(weight.value - untrained.value))
        for name, mine, learned in (("overlap_left", u.T, ul.T), ("overlap_right", vt, vlt)):
            squared = np.einsum("ij,ij->i", mine[:count], learned[:count]) ** 2
            np.testing.assert_allclose(data[name][layer, :count], squared, atol=1e-6)
            assert squared[0] > 0.3


def test_watch_sees_the_weights_after_the_steps_asked_for(runs: dict[str, nl.Run]) -> None:
    seen = {}
    run = trained(
        "dense", watch=lambda step, now: seen.update({step: np.array(now.hidden[0].value)}), watch_steps=(3, 0)
    )
    assert list(seen) == [0, 3]
    np.testing.assert_array_equal(seen[3], run.weights[0].value)
    np.testing.assert_array_equal(seen[0], trained("dense", steps=0).weights[0].value)


def test_ranks_grow_by_at_most_the_samples_and_never_shrink(runs: dict[str, nl.Run]) -> None:
    data = runs["conditioned"].data
    for name in ("rank_left", "rank_right"):
        ranks = data[name].values
        assert ranks.dtype.kind == "i"
        if name == "rank_right":
            assert (ranks[0] == 4).all()
        increments = np.diff(ranks, axis=0)
        assert (increments >= 0).all()
        assert (increments <= 4).all()
    assert (data.discarded <= 1e-4).all()  # tolerance²
    for layer, weight in enumerate(runs["conditioned"].weights):
        assert int(weight.rank_left) == data.rank_left[-1, layer]
        assert int(weight.rank_right) == data.rank_right[-1, layer]
        assert int(weight.lost) == 0


def test_recording_nothing_gives_empty_records_and_changes_nothing(runs: dict[str, nl.Run]) -> None:
    for weights, run in runs.items():
        plain = trained(weights)
        assert plain.data.sizes["record"] == 0
        assert plain.data.singular_value.size == 0
        np.testing.assert_allclose(plain.data.loss, run.data.loss, rtol=1e-10)


def test_same_seed_same_run_other_seed_another(runs: dict[str, nl.Run]) -> None:
    for weights, run in runs.items():
        np.testing.assert_array_equal(trained(weights).data.outputs, trained(weights).data.outputs)
        assert np.abs(trained(weights, seed=1).data.outputs - run.data.outputs).max() > 1e-3


@pytest.mark.parametrize(("weights", "atol"), [("dense", 1e-12), ("conditioned", 1e-6)])
def test_predicting_the_training_inputs_gives_the_last_outputs(runs: dict, weights: str, atol: float) -> None:
    run = runs[weights]
    np.testing.assert_allclose(run.predict(TASK.x), run.data.outputs[-1], atol=atol)
    new = np.random.default_rng(0).standard_normal((4, 8))
    predicted = run.predict(new)
    assert predicted.shape == (4, 1)
    assert np.isfinite(predicted).all()
    np.testing.assert_array_equal(run.predict(new.tolist()), predicted)  # a copy was looked along, not the run


@pytest.mark.parametrize("x", [np.zeros(8), np.zeros((2, 7))])
def test_predict_refuses_other_shapes(runs: dict[str, nl.Run], x: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"`x` must have shape \(samples, 8\); got "):
        runs["dense"].predict(x)


@WEIGHTS
def test_other_numbers_do_not_compile_again(runs: dict[str, nl.Run], weights: str) -> None:
    def sizes() -> tuple[int, ...]:
        return tuple(f._cache_size() for f in (advance, observe, initial_parameters))

    trained(weights)
    before = sizes()
    changed = trained(weights, optimizer=nl.SGD(lr=0.1), parametrization=nl.MuP(gamma=2.0, sigma_w=1.2), seed=7)
    trained(weights, optimizer=nl.SGD(lr=0.1, weight_decay=0.5))
    trained(weights, record=(0, 1, 2))
    assert sizes() == before
    assert np.abs(changed.data.loss - runs[weights].data.loss).max() > 1e-3


@WEIGHTS
def test_divergence_is_a_status_with_the_data_up_to_then(weights: str) -> None:
    run = trained(weights, optimizer=nl.SGD(lr=1e12))
    assert run.status == run.data.attrs["status"] == "diverged"
    assert "lower `lr`" in run.message
    assert "at step 1;" in run.message
    assert "\n" not in run.message
    loss = run.data.loss.values
    assert np.isfinite(loss[0])
    assert not loss[1] <= 1e6
    assert np.isnan(loss[2:]).all()
    assert np.isnan(run.data.outputs.values[2:]).all()
    assert np.isnan(run.data.accuracy.values[2:]).all()


@WEIGHTS
def test_weights_that_are_not_finite_are_a_divergence_not_a_crash_of_the_records(weights: str) -> None:
    run = trained(weights, optimizer=nl.SGD(lr=1e200), record=(1, 2))
    assert run.status == "diverged"
    assert "not finite" in run.message


def test_a_touched_rank_beyond_memory_is_a_status_with_the_data_up_to_then() -> None:
    network, options = nl.MLP(hidden=1), {"width": WIDTH, "steps": 40, "tolerance": 1e-6}
    run = nl.train(network, TASK, nl.MuP(gamma=4.0), nl.SGD(lr=0.3), memory=1e5, **options)
    assert run.status == run.data.attrs["status"] == "rank_exhausted"
    assert "\n" not in run.message
    for remedy in ("touched rank", "raise `tolerance` or `memory`", "lower `width`"):
        assert remedy in run.message
    loss = run.data.loss.values
    reached = int(np.isfinite(loss).sum())
    assert f"at step {reached}:" in run.message
    assert 3 < reached < 40
    assert np.isfinite(loss[:reached]).all()
    assert (run.data.rank_left.values[reached:] == 0).all()
    assert run.data.rank_left.values[reached - 1].min() > 40


def test_a_warning_says_where_dense_is_cheaper() -> None:
    with pytest.warns(UserWarning, match=r'hidden weight of width 32 .*weights="dense" is likely cheaper'):
        nl.train(NETWORK, TASK, nl.MuP(gamma=4.0), nl.SGD(lr=1.0), width=WIDTH // 2, steps=STEPS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nl.train(NETWORK, TASK, nl.MuP(gamma=4.0), nl.SGD(lr=1.0), width=WIDTH, steps=STEPS, weights="dense")


def test_progress_is_told_in_order() -> None:
    told: list[tuple[int, int, float]] = []
    run = trained("dense", progress=lambda *now: told.append(now))
    steps = [step for step, _, _ in told]
    assert steps == sorted(set(steps))
    assert steps[-1] == STEPS
    assert {total for _, total, _ in told} == {STEPS}
    for step, _, loss in told:
        assert loss == pytest.approx(float(run.data.loss[step - 1]))


def test_batches_shuffle_each_epoch_without_repetition() -> None:
    task = nl.tasks.toy(samples=7, inputs=8)
    run = nl.train(NETWORK, task, width=16, steps=5, weights="dense", batch=3, seed=1)
    order = run.data.batch_index
    assert order.dims == ("step", "sample")
    assert order.shape == (6, 3)
    for epoch in order.values.reshape(3, 6):  # two batches an epoch, the seventh sample dropped
        assert len(set(epoch)) == 6
    assert len({tuple(epoch) for epoch in order.values.reshape(3, 6)}) == 3
    assert run.data.outputs.shape == (6, 3, 1)
    right = np.sign(run.data.outputs.values) == task.y[order.values]
    np.testing.assert_array_equal(run.data.accuracy, right.mean(axis=(1, 2)))
    np.testing.assert_allclose(
        run.data.loss, ((run.data.outputs.values - task.y[order.values]) ** 2).sum(axis=(1, 2)) / 6
    )


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"width": 0}, r"`width` must be at least 1; got 0"),
        ({"width": -64}, r"`width` must be at least 1; got -64"),
        ({"width": 64.5}, r"`width` must be a whole number; got 64.5"),
        ({"steps": -1}, r"`steps` must be at least 0; got -1"),
        ({"seed": -1}, r"`seed` must be at least 0; got -1"),
        ({"seed": 0.5}, r"`seed` must be a whole number; got 0.5"),
        ({"seed": 2**32}, r"`seed` must be"),
        ({"record": (0, 4)}, r"`record` must not exceed `steps` = 3; got 4"),
        ({"record": (-1,)}, r"`record` must be at least 0; got -1"),
        ({"record": (1.5,)}, r"`record` must be a whole number; got 1.5"),
        ({"batch": 5}, r"`batch` must not exceed the task's 4 samples; got 5"),
        ({"batch": 0}, r"`batch` must be at least 1; got 0"),
        ({"tolerance": 2.0}, r"`tolerance` must lie between .* and 1; got 2.0"),
        ({"tolerance": 1e-5, "dtype": "float32"}, r"`tolerance` must lie between .*use float64 for less"),
        ({"weights": "lazy"}, r"`weights` must be one of 'conditioned', 'dense'; got 'lazy'"),
        ({"weights": "Dense"}, r"Did you mean 'dense'\?"),
        ({"optimizer": "sgd"}, r"`optimizer` must be one of neural_limits' \(SGD, Muon, Adam\); got 'sgd'"),
        ({"optimizer": nl.Adam(lr=0.1)}, r"`optimizer` Adam divides .* not low rank .*use weights=\"dense\", or SGD"),
        ({"memory": -1.0}, r"`memory` must be"),
    ],
    ids=str,
)
def test_train_refuses(options: dict, match: str) -> None:
    with pytest.raises(ValueError, match=match) as refused:
        nl.train(NETWORK, TASK, **{"width": WIDTH, "steps": STEPS} | options)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: nl.SGD(lr=0), r"`lr` must be positive and finite; got 0"),
        (lambda: nl.SGD(lr=float("nan")), r"`lr` must be positive and finite; got nan"),
        (lambda: nl.SGD(lr=0.1, momentum=1.0), r"`momentum` must be below 1; got 1.0"),
        (lambda: nl.SGD(lr=0.1, momentum=-0.1), r"`momentum` must be zero or positive and finite; got -0.1"),
        (lambda: nl.SGD(lr=0.5, weight_decay=2.0), r"`weight_decay` must be below 1/lr = 2; got 2.0"),
        (lambda: nl.SGD(lr=0.5, weight_decay=-1.0), r"`weight_decay` must be zero or positive"),
        (lambda: nl.Adam(lr=-1), r"`lr` must be positive and finite; got -1"),
        (lambda: nl.Adam(lr=0.1, beta1=1.0), r"`beta1` must be below 1; got 1.0"),
        (lambda: nl.Adam(lr=0.1, beta2=1.5), r"`beta2` must be below 1; got 1.5"),
        (lambda: nl.Adam(lr=0.1, epsilon=0.0), r"`epsilon` must be positive and finite; got 0.0"),
    ],
)
def test_optimizers_refuse(make, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        make()


def test_float32_runs_stay_in_float32() -> None:
    run = trained("dense", dtype="float32", steps=1)  # conditioned matrices: tests/weights
    assert run.data.outputs.dtype == np.float32
    assert {w.std.dtype for w in run.weights} == {np.dtype("float32")}
    assert run.parameters.input.dtype == np.float32
