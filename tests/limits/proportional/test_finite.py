"""Deep linear networks of finite size: against plain NumPy, automatic differentiation, `nl.train` and the limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any

import equinox as eqx
import jax
import numpy as np
import pytest

import neural_limits as nl
from neural_limits.limits.proportional import DeepLinearNetwork, Setting, basis_limit, deep_linear_network
from neural_limits.limits.proportional._finite import _below_bulk, _form
from neural_limits.limits.proportional._finite_loop import Numbers, State, advance, initial_state
from neural_limits.weights import DenseMatrix

SETTING = {"depth": 2, "width_ratio": 1, "sample_ratio": 2, "lr": 0.05, "gamma": 2, "sigma_w": 0.5, "label_noise": 0.3}
WEIGHT_OUTLIERS = {20: (1.20410714, 1.22622607), 60: (1.30063549, 1.33310327)}  # of this setting, in the limit


def setting(**changes: Any) -> Setting:
    return Setting(**{**SETTING, **changes})


def start_of(s: Setting, inputs: int, weights: str = "dense", seed: int = 0, tolerance: float = 1e-3) -> State:
    """The draws that a run with this seed starts from."""
    form = _form(s, inputs, weights, None, tolerance)
    return initial_state(jax.random.key(seed), Numbers.of(s, form.dtype), form)


def arrays(state: State) -> tuple[list[np.ndarray], ...]:
    weights = [np.array(w.value) for w in state.weights]
    return weights, *(np.array(x)[0] for x in (state.readout, state.teacher, state.noise)), np.array(state.data.value)


def unscaled(state: State) -> tuple[list[np.ndarray], np.ndarray, np.ndarray, Iterator[Any]]:
    """W^l, readout, teacher and the one batch, again and again."""
    operators, readout, teacher, noise, data = arrays(state)
    weights = [np.sqrt(m.shape[1]) * m for m in operators]
    return weights, readout, teacher, repeat((np.sqrt(data.shape[1]) * data, noise))


DEPTHS = {
    "depth 1": {"depth": 1, "width_ratio": 2},
    "depth 2": {"sigma_w": (0.5, 0.7, 0.6), "width_ratio": 0.5},
    "depth 3, NTK": {"depth": 3, "width_ratio": 1.5, "parametrization": "ntk", "sigma_w": 0.8},
}


@pytest.mark.parametrize("case", DEPTHS)
def test_dense_against_plain_gradient_descent(case: str, gradient_descent: Callable[..., Any]) -> None:
    s = setting(steps=6, **DEPTHS[case])
    run, start = deep_linear_network(s, 40, seed=3), start_of(s, 40, seed=3)
    plain, _ = gradient_descent(s, *unscaled(start))
    assert np.mean(np.square(start.teacher)) == pytest.approx(1, rel=1e-12)
    assert np.mean(np.square(start.noise)) == pytest.approx(1, rel=1e-12)
    np.testing.assert_allclose(run.data.train_loss, plain[0], rtol=1e-10)
    np.testing.assert_allclose(run.data.test_loss, plain[1], rtol=1e-10)
    assert np.ptp(plain[0]) > 0.1


def test_conditioned_is_the_network_of_the_matrices_it_drew(gradient_descent: Callable[..., Any]) -> None:
    s = setting(steps=8, width_ratio=1.5)
    run = deep_linear_network(s, 60, "conditioned", seed=1, tolerance=1e-6)
    state = run.state

    def drawn(weight: Any) -> Any:
        dense = weight.to_dense(jax.random.key(9))
        return dense - weight.left_basis.T @ weight.core @ weight.right_basis

    start = start_of(s, 60, "conditioned", 1, tolerance=1e-6)
    *weights, data = (DenseMatrix(drawn(w), w.std) for w in (*state.weights, state.data))
    start = eqx.tree_at(lambda x: (x.weights, x.data), start, (tuple(weights), data))
    np.testing.assert_allclose(run.data.train_loss, gradient_descent(s, *unscaled(start))[0][0], atol=1e-6)
    assert int(state.data.rank_left) <= 9


def test_the_training_loop_gives_the_same_run() -> None:
    s, inputs = setting(steps=7, sigma_w=(1.0, 0.6, 1.0), sample_ratio=1.5), 30
    start = start_of(s, inputs, seed=5)
    _, _, teacher, noise, data = arrays(start)
    task = nl.Task(x=np.sqrt(inputs) * data, y=(data @ teacher + s.label_noise * noise)[:, None], loss="mse")
    options = {"width": inputs, "weights": "dense", "seed": 2}
    parametrization, optimizer = nl.MuP(gamma=s.gamma / np.sqrt(inputs), sigma_w=0.6), nl.SGD(lr=s.lr * inputs)
    network = nl.MLP(hidden=1, activation="linear")
    run = nl.train(network, task, parametrization, optimizer, steps=7, **options)
    parameters = nl.train(network, task, parametrization, optimizer, steps=0, **options).parameters

    form = _form(s, inputs, "dense", None, 1e-3)
    first = eqx.tree_at(lambda w: w.value, start.weights[0], parameters.input.T / np.sqrt(inputs))
    initial = ((first, parameters.hidden[0]), parameters.output)
    state = eqx.tree_at(lambda x: (x.weights, x.readout), start, initial)
    ours = advance(state, 8, Numbers.of(s, form.dtype), form)
    np.testing.assert_allclose(ours.train / 2, run.data.loss, rtol=1e-10)
    assert np.ptp(run.data.loss.values) > 0.1


@pytest.mark.parametrize(("form", "depth"), [("dense", 1), ("dense", 3), ("conditioned", 2)])
def test_ntk_against_automatic_differentiation(form: str, depth: int) -> None:
    s = setting(depth=depth, steps=12, width_ratio=1.5, sigma_w=0.8)
    run = deep_linear_network(s, 24, form, tolerance=1e-7)
    state = run.state
    if form == "conditioned":
        found, looked = _ntk_and_completed(state)
    else:
        found, looked = run.ntk_top(), [w.value for w in (*state.weights, state.data)]
    *operators, data = looked
    n, d = operators[0].shape
    sizes = [d, *[n] * depth]

    def outputs(weights: list[Any]) -> Any:
        h = np.sqrt(d) * data
        for width, weight in zip(sizes, weights[:-1], strict=False):
            h = h @ weight.T / np.sqrt(width)
        return np.sqrt(d) / (s.gamma0 * n) * h @ weights[-1]

    unscaled = [np.sqrt(p) * m for p, m in zip(sizes, operators, strict=False)]
    jacobian = jax.jacrev(outputs)([*unscaled, state.readout[0]])
    flat = np.concatenate([np.reshape(j, (len(data), -1)) for j in jacobian], axis=1)
    theta = s.gamma0**2 * n * flat @ flat.T / len(data)
    assert found == pytest.approx(np.linalg.eigvalsh(theta)[-1], rel=1e-5)


def _ntk_and_completed(state: State) -> tuple[float, list[Any]]:
    """`ntk_top` with the matrices as they are after its looks, completed."""
    from neural_limits.limits.proportional import _finite

    kept: list[Any] = []
    multiply = _finite.ntk_product_in_place
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_finite, "ntk_product_in_place", lambda *a: kept.append(multiply(*a)) or kept[-1])
        found = _finite.ntk_top(state, 24)
    _, weights, data = kept[-1]
    return found, [w.to_dense(jax.random.key(1)) for w in (*weights, data)]


RECORDED = {"inputs": 300, "weights": "conditioned", "record": (2, 5), "record_ntk": True}


def test_looks_of_the_ntk_leave_the_run_as_it_is() -> None:
    run = deep_linear_network(setting(steps=5), **RECORDED)
    without = deep_linear_network(setting(steps=5), 300, "conditioned")
    np.testing.assert_array_equal(run.data.train_loss, without.data.train_loss)
    assert run.ntk_top() == run.ntk_top() == without.ntk_top()
    assert run.data.singular_value.dims == ("record", "layer", "mode")
    assert run.data.edge.values == pytest.approx([1.0, 1.0])


def test_a_second_run_does_not_compile(compilations: Callable[[], int]) -> None:
    deep_linear_network(setting(steps=5), **RECORDED)
    before = compilations()
    deep_linear_network(setting(steps=5, lr=0.1, gamma=1.5, sigma_w=0.7), seed=1, **RECORDED)
    assert compilations() == before


@pytest.mark.slow
def test_a_singular_value_below_the_bulk_is_that_of_the_limit(assert_within: Callable[..., None]) -> None:
    s = setting(width_ratio=16, sigma_w=1.5, lr=0.08, steps=10)
    limit = basis_limit(s)
    found = [deep_linear_network(s, 150, seed=seed).below_bulk() for seed in range(8)]
    draws = np.array([values[:1] for values in found])  # so small a network may show a second one beside the edge
    assert limit.outliers_below(0, 0).size == limit.outliers_below(1, 10).size == 0
    stderr = draws.std(0, ddof=1) / np.sqrt(8)
    assert_within(draws.mean(0), limit.outliers_below(0, 10), stderr)
    assert 4 * stderr < 0.5  # of the 0.74 to the edge at 4.5


def test_divergence_is_a_status() -> None:
    run = deep_linear_network(setting(lr=30.0, steps=5), **RECORDED)
    assert run.status == "diverged"
    assert "lower `lr`" in run.message
    assert np.isnan(run.data.train_loss[-1])
    assert run.data.record.size < 2
    with pytest.raises(ValueError, match='weights="dense"'):
        run.below_bulk()


LIMITS = {
    "full batch": {"width_ratio": 1.5, "lr": 0.08},
    "one pass": {"width_ratio": 1.5, "batch_ratio": 0.75, "depth": 1, "lr": 0.08},
}


@pytest.mark.parametrize("case", LIMITS)
def test_conditioned_approaches_the_limit(case: str, assert_within: Callable[..., None]) -> None:
    s, inputs, seeds = setting(steps=8, **LIMITS[case]), 20_000, 4
    limit = basis_limit(s)
    runs = [deep_linear_network(s, inputs, "conditioned", seed=seed, dtype="float32") for seed in range(seeds)]
    for name in ("train_loss", "test_loss"):
        exact, draws = getattr(limit, name), np.stack([run.data[name] for run in runs])
        stderr = draws.std(0, ddof=1).max() / np.sqrt(seeds)  # the largest over steps: four draws tell little of each
        assert_within(draws.mean(0), exact, stderr)
        assert 4 * stderr < 0.05 * np.ptp(exact)


def test_singular_values_below_the_bulk() -> None:
    rng = np.random.default_rng(0)
    for shape in ((400, 100), (100, 400)):
        matrix = rng.standard_normal(shape) / 20
        assert len(_below_bulk(matrix, 1 / 20, 1e-3)) == 0
        u, values, v = np.linalg.svd(matrix, full_matrices=False)
        values[-1] = 0.3  # of an edge of 0.5
        assert _below_bulk((u * values) @ v, 1 / 20, 1e-3) == pytest.approx([0.3])
    with pytest.raises(ValueError, match="must be rectangular"):
        _below_bulk(np.eye(3), 1.0, 1e-3)


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({}, {"weights": "sparse"}, "`weights` must be one of"),
        ({}, {"record": (9,)}, "`record` must hold"),
        ({}, {"dtype": "float32", "tolerance": 1e-5}, "`tolerance` must lie"),
        ({"batch_ratio": 1.0}, {"record_ntk": True}, "`record_ntk` needs a full batch"),
    ],
)
def test_refusals(changes: dict[str, Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        deep_linear_network(setting(steps=3, **changes), 20, **options)


@pytest.mark.slow
@pytest.mark.parametrize(("form", "inputs", "seeds"), [("dense", 1000, 6), ("conditioned", 20_000, 4)])
def test_outliers_and_losses_of_the_limit(
    form: str, inputs: int, seeds: int, assert_within: Callable[..., None]
) -> None:
    s = setting(steps=60)
    runs = [deep_linear_network(s, inputs, form, seed=k, record=(20, 60), record_ntk=True) for k in range(seeds)]
    for r, step in enumerate((20, 60)):
        _check(runs, lambda run, r=r: run.data.singular_value.values[r, :, 0], WEIGHT_OUTLIERS[step], assert_within)
    assert all((run.data.singular_value.count("mode")[1] == 1).all() for run in runs)
    _check(runs, lambda run: run.data.train_loss.values[59], 0.04935157, assert_within)
    _check(runs, lambda run: run.data.ntk_top.values[1], 10.23401, assert_within)


def _check(runs: list[DeepLinearNetwork], value: Callable[..., Any], exact: Any, assert_within: Any) -> None:
    draws = np.stack([value(run) for run in runs])
    assert_within(draws.mean(0), exact, draws.std(0, ddof=1) / np.sqrt(len(draws)), k=3 + 3 * (len(draws) < 5))
