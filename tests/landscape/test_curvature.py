"""Curvature against explicitly formed Jacobians and Hessians, and conditioned weights against dense ones."""

from __future__ import annotations

import warnings
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from jax.flatten_util import ravel_pytree

import neural_limits as nl
from neural_limits.landscape._autodiff import hessian_product, kernel_product, parameter_count
from neural_limits.landscape._kernel import tangent_kernel
from neural_limits.landscape._metric import output_factor, rates_of
from neural_limits.landscape._second_order import Hessian, _zero
from neural_limits.networks import ACTIVATIONS, Parameters
from neural_limits.weights import DenseMatrix

TASK = nl.tasks.toy(samples=3, inputs=4, outputs=2, seed=1)
SOFTMAX = nl.Task(x=TASK.x, y=np.eye(2)[[0, 1, 0]], loss="softmax")
TASKS = pytest.mark.parametrize("task", [TASK, SOFTMAX], ids=["mse", "softmax"])
RATES = nl.SGD(0.3, lr_input=0.2, lr_output=0.7, layer_rates=(1.5, 0.5))


def trained(network: nl.MLP | nl.ResNet, task: nl.Task, optimizer: nl.SGD = RATES, width: int = 6, **options) -> nl.Run:
    options = {"weights": "dense", "steps": 3} | options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # dense is cheaper at these widths
        return nl.train(
            network, task, options.pop("parametrization", nl.MuP(gamma=2.0)), optimizer, width=width, **options
        )


def plain_outputs(run: nl.Run, values: tuple, x: np.ndarray) -> jax.Array:
    """The network written out, by hand, from arrays."""
    phi, rules, network = ACTIVATIONS[run.network.activation], run.rules, run.network
    u, hidden, v = values
    h = rules.input.multiplier * x @ u
    if isinstance(network, nl.MLP):
        for m in hidden:
            h = phi(h) @ m.T
        return rules.output.multiplier * phi(h) @ v.T
    for l in range(network.depth):
        inner = phi(h) @ hidden[0][l].T
        h = h + rules.branch * (inner if len(hidden) == 1 else phi(inner) @ hidden[1][l].T)
    return rules.output.multiplier * h @ v.T


def explicit(run: nl.Run, task: nl.Task, rates: list[float] | None = None) -> dict[str, np.ndarray]:
    """Eigenvalues of each kind, descending, from formed matrices; rates of (input, hidden..., output) by hand."""
    hidden = tuple(getattr(w, "layers", w).value for w in run.parameters.hidden)
    values = (run.parameters.input, hidden, run.parameters.output)
    flat, unravel = ravel_pytree(values)
    sizes = [x.size for x in jax.tree.leaves(values)]
    r = np.concatenate([np.broadcast_to(rate, size) for rate, size in zip(rates, sizes, strict=True)])
    f = lambda p: plain_outputs(run, unravel(p), task.x)  # noqa: E731

    def loss(out: jax.Array) -> jax.Array:
        if task.loss == "mse":
            return jnp.sum((out - task.y) ** 2) / (2 * len(task.x))
        return -jnp.sum(task.y * jax.nn.log_softmax(out, axis=1)) / len(task.x)

    jacobian = np.asarray(jax.jacobian(f)(flat)).reshape(task.y.size, -1)
    by_outputs = np.asarray(jax.hessian(loss)(f(flat))).reshape(task.y.size, task.y.size)
    hessian = np.asarray(jax.hessian(lambda p: loss(f(p)))(flat))
    root = np.sqrt(r)
    matrices = {
        "ntk": (jacobian * r) @ jacobian.T / len(task.x),
        "gauss_newton": root[:, None] * (jacobian.T @ by_outputs @ jacobian) * root,
        "hessian": root[:, None] * hessian * root,
    }
    return {kind: np.linalg.eigvalsh(m)[::-1] for kind, m in matrices.items()}


KINDS = ("ntk", "gauss_newton", "hessian")


def assert_matches(found: xr.Dataset, exact: dict[str, np.ndarray], count: int) -> None:
    assert found.attrs["status"] == "completed"
    assert bool(found.converged.all())
    for kind in KINDS:
        k = min(count, len(exact[kind]))
        np.testing.assert_allclose(found.eigenvalue.sel(kind=kind)[:k], exact[kind][:k], rtol=1e-7, atol=1e-12)


@TASKS
@pytest.mark.parametrize("activation", ["tanh", "gelu", "linear"])
def test_mlp_against_formed_matrices(task: nl.Task, activation: str) -> None:
    network = nl.MLP(2, activation)
    run = trained(network, task)
    g2n, rules = 4.0 * 6, run.rules  # γ² n and γ² are muP's rates
    rates = [g2n * 0.2 / 0.3, 4.0 * 1.5, 4.0 * 0.5, g2n * 0.7 / 0.3]
    found = nl.curvature(run, task, count=4, kinds=KINDS, tolerance=1e-9)
    assert_matches(found, explicit(run, task, rates), 4)
    np.testing.assert_allclose(found.stability_limit, 2 / 0.3)
    assert rules.hidden.operator_rate == 4.0


@TASKS
@pytest.mark.parametrize("block", ["one-layer", "two-layer"])
def test_resnet_against_formed_matrices(task: nl.Task, block: str) -> None:
    network = nl.ResNet(2, block)
    parametrization = nl.DepthMuP(gamma=2.0, inner_exponent=1.0)
    run = trained(network, task, nl.SGD(0.1, layer_rates=(1.5, 0.5)), parametrization=parametrization)
    layers = np.repeat([1.5, 0.5], 36)
    hidden = [4.0 * layers] if block == "one-layer" else [2 * 4.0 * layers, 4.0 * layers]
    found = nl.curvature(run, task, count=4, kinds=KINDS, tolerance=1e-9)
    assert_matches(found, explicit(run, task, [24.0, *hidden, 24.0]), 4)


@TASKS
@pytest.mark.parametrize("hidden", [0, 2])
def test_products_with_weights_are_those_of_automatic_differentiation(task: nl.Task, hidden: int) -> None:
    """The whole kernel and every product of the Hessian, on the same dense weights."""
    network = nl.MLP(hidden, "gelu")
    run = trained(network, task, nl.SGD(0.3), width=7)
    x, y = jnp.asarray(task.x), jnp.asarray(task.y)
    rates = rates_of(network, run.parameters, run.rules, RATES if hidden else nl.SGD(0.3, lr_input=0.1))
    kernel, outputs = tangent_kernel(network, run.parameters, run.rules, rates, x)
    by_autodiff = [kernel_product(network, None, run.parameters, run.rules, rates, x, e) for e in jnp.eye(6)]
    np.testing.assert_allclose(kernel, by_autodiff, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(outputs, run.predict(task.x), rtol=1e-12)
    exact = Hessian(network, task.loss, run.parameters, run.rules, rates, x, y)
    ours = np.stack([exact.product(e) for e in jnp.eye(exact.size)])
    at = partial(hessian_product, network, task.loss, run.parameters, run.rules, rates, x, y)
    theirs = np.stack([at(e) for e in jnp.eye(parameter_count(run.parameters))])
    np.testing.assert_allclose(ours, ours.T, atol=1e-12)
    ours, theirs = np.linalg.eigvalsh(ours), np.linalg.eigvalsh(theirs)
    ours, theirs = (v[np.abs(v) > 1e-10] for v in (ours, theirs))  # the null spaces differ in size
    np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-12)


def test_kernel_by_products_is_the_formed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    run = trained(nl.MLP(2), SOFTMAX)
    formed = nl.curvature(run, SOFTMAX, kinds=("ntk", "gauss_newton"), tolerance=1e-9)
    monkeypatch.setattr("neural_limits.landscape._operators.FORMED", 0)
    products = nl.curvature(run, SOFTMAX, kinds=("ntk", "gauss_newton"), tolerance=1e-9)
    np.testing.assert_allclose(products.eigenvalue, formed.eigenvalue, atol=1e-9)


def test_a_loss_factor_squares_to_the_curvature_of_the_loss() -> None:
    f = np.random.default_rng(0).standard_normal((3, 4))
    factor = np.asarray(output_factor("softmax", jnp.asarray(f)))
    exact = jax.vmap(jax.hessian(lambda row: -jax.nn.log_softmax(row)[0]))(f)
    np.testing.assert_allclose(factor @ factor.transpose(0, 2, 1), exact, atol=1e-12)


@pytest.mark.slow
@TASKS
def test_a_conditioned_hessian_is_that_of_the_dense_network_it_turns_out_to_be(task: nl.Task) -> None:
    """Fill in, after the products, what was not yet drawn: the dense network must give the same products."""
    network = nl.MLP(2)
    run = trained(network, task, nl.SGD(0.3), 80, weights="conditioned", steps=2)
    rates = rates_of(network, run.parameters, run.rules, RATES)
    x, y = jnp.asarray(task.x), jnp.asarray(task.y)
    exact = Hessian(network, task.loss, run.parameters, run.rules, rates, x, y)
    vectors = jax.random.normal(jax.random.key(1), (2, exact.size))
    vectors = jnp.stack([exact.product(v) for v in vectors])  # in the range of the Hessian
    vectors = jnp.stack([v / jnp.linalg.norm(v) for v in vectors])
    images = [exact.product(v) for v in vectors]

    def dense_vector(vector: jax.Array) -> jax.Array:
        unravel = ravel_pytree(_zero((run.parameters.input, run.parameters.output), exact._frame))[1]
        tangent = unravel(vector)
        frames = zip(tangent.hidden, exact._frame.right, exact._frame.left, strict=True)
        hidden = tuple(pair.u.T @ a + d.T @ pair.w for pair, a, d in frames)
        return ravel_pytree((tangent.input, hidden, tangent.output))[0]

    weights = tuple(
        DenseMatrix(w.to_dense(key), w.std)
        for w, key in zip(exact._weights, jax.random.split(jax.random.key(2)), strict=True)
    )
    filled = Parameters(run.parameters.input, weights, run.parameters.output)
    for vector, image in zip(vectors, images, strict=True):
        expected = hessian_product(network, task.loss, filled, run.rules, rates, x, y, dense_vector(vector))
        scale = float(jnp.linalg.norm(expected))
        np.testing.assert_allclose(dense_vector(image), expected, atol=1e-5 * scale)


def kernels(weights: str, width: int, seeds: range, steps: int) -> np.ndarray:
    """Leading two NTK eigenvalues of trained networks, (seed, 2)."""
    task, values = nl.tasks.toy(), []
    for seed in seeds:
        run = trained(nl.MLP(2), task, nl.SGD(0.4), width, weights=weights, steps=steps, seed=seed)
        values.append(nl.curvature(run, task, count=2, kinds=("ntk",)).eigenvalue.values[0])
    return np.array(values)


@pytest.mark.slow
def test_conditioned_weights_have_the_law_of_dense_ones(sigmas_between) -> None:
    ours, theirs = (kernels(weights, 64, range(40), 4) for weights in ("conditioned", "dense"))
    assert (sigmas_between(ours, theirs)[0] < 4).all()
    assert (4 * theirs.std(axis=0) / np.sqrt(20) < 0.3 * theirs.mean(axis=0)).all()  # sharp enough to fail


@pytest.mark.slow
def test_the_kernel_of_a_wide_conditioned_network_is_near_the_mean_of_dense_ones() -> None:
    """Fluctuations fall as n^-1/2, the bias as 1/n: one network of width 8192 against the mean of 12 at 512."""
    wide, narrow = kernels("conditioned", 8192, range(1), 3)[0], kernels("dense", 512, range(12), 3)
    spread = narrow.std(axis=0, ddof=1)
    assert (np.abs(wide - narrow.mean(axis=0)) < 4 * spread * np.hypot(1 / 4, 12**-0.5)).all()
    assert (4 * spread < 0.5 * wide).all()  # a wrong rate or multiplier would fail


def test_looking_leaves_a_conditioned_run_as_it_is() -> None:
    task = nl.tasks.toy()
    options = {"weights": "conditioned", "steps": 6, "width": 64}
    alone = trained(nl.MLP(2), task, nl.SGD(0.4), **options)
    watch = nl.CurvatureWatch(nl.MLP(2), task, nl.MuP(gamma=2.0), nl.SGD(0.4), width=64, count=1, tolerance=0.05)
    watched = trained(nl.MLP(2), task, nl.SGD(0.4), **options, watch=watch, watch_steps=(0, 3, 6))
    np.testing.assert_allclose(watched.data.loss, alone.data.loss, rtol=1e-12)
    data = watch.dataset()
    assert data.eigenvalue.dims == ("step", "kind", "mode")
    assert data.step.values.tolist() == [0, 3, 6]
    np.testing.assert_allclose(data.stability_limit, 5.0)
    assert {"symbol", "long_name", "units"} <= set(data.eigenvalue.attrs)


@pytest.mark.parametrize("activation", ["linear", "tanh"])
def test_a_minimum_is_left_just_above_the_limit_and_held_just_below(activation: str) -> None:
    """At a minimum H decides: a small push grows at lr = 1.03 × 2/λ and dies out at 0.97 × 2/λ."""
    task = nl.tasks.toy(samples=2, inputs=4)
    run = trained(nl.MLP(1, activation), task, nl.SGD(0.1), 16, steps=6000)
    assert run.data.loss[-1] < 1e-14
    found = nl.curvature(run, task, count=1, tolerance=1e-8)
    np.testing.assert_allclose(*found.eigenvalue.values[:, 0], rtol=1e-5)  # no residual: Hessian = NTK
    edge = 2 / float(found.eigenvalue.sel(kind="hessian")[0])
    push = 1e-6 * jax.random.normal(jax.random.key(0), run.parameters.output.shape)
    moved = Parameters(run.parameters.input, run.parameters.hidden, run.parameters.output + push)
    losses = {factor: descend(run, moved, task, factor * edge, 300) for factor in (0.97, 1.03)}
    assert losses[0.97][-1] < 1e-3 * losses[0.97][0]
    assert losses[1.03][-1] > 1e3 * losses[1.03][0]


def descend(run: nl.Run, parameters: Parameters, task: nl.Task, lr: float, steps: int) -> list[float]:
    """Losses of plain gradient descent with the network's own passes."""
    optimizer, losses = nl.SGD(lr), []

    @jax.jit
    def step(parameters: Parameters) -> tuple[Parameters, jax.Array]:
        f, trace, parameters = run.network.forward(parameters, jnp.asarray(task.x), run.rules)
        loss, chi = nl.training.loss_named("mse")(f, jnp.asarray(task.y))
        gradients, parameters = run.network.backward(parameters, trace, chi, run.rules)
        hidden_rates = run.network.hidden_rates(run.rules)
        return nl.SGD.update(parameters, None, gradients, optimizer.numbers, run.rules, hidden_rates)[0], loss

    for _ in range(steps):
        parameters, loss = step(parameters)
        losses.append(float(loss))
    return losses


def test_mini_batches_and_momentum() -> None:
    """The full task's curvature whatever the batch; momentum moves the limit only."""
    task = nl.tasks.toy()
    options = {"width": 32, "steps": 4, "at": (0,), "weights": "dense"}
    _, full = nl.track_curvature(nl.MLP(1), task, nl.MuP(), nl.SGD(0.1), **options)
    _, mini = nl.track_curvature(nl.MLP(1), task, nl.MuP(), nl.SGD(0.1, momentum=0.5), **options, batch=2)
    np.testing.assert_allclose(mini.eigenvalue, full.eigenvalue, rtol=1e-10)
    np.testing.assert_allclose(mini.stability_limit, 3 / 0.1)


def test_a_second_measurement_compiles_nothing(compilations) -> None:
    task = nl.tasks.toy()
    run = trained(nl.MLP(2), task, nl.SGD(0.4), 64, weights="conditioned", steps=2)
    nl.curvature(run, task, count=1, tolerance=0.05)
    before = compilations()
    nl.curvature(run, task, count=1, tolerance=0.05, seed=1)
    assert compilations() == before


def test_refusals_say_what_to_use() -> None:
    task = nl.tasks.toy()
    run = trained(nl.MLP(1), task, nl.Adam(0.01))
    with pytest.raises(ValueError, match=r"`optimizer` must be SGD: Adam has no fixed metric"):
        nl.curvature(run, task)
    found = nl.curvature(run, task, count=1, kinds=("ntk",), optimizer=nl.SGD(0.1))
    assert found.attrs["status"] == "completed"
    with pytest.raises(ValueError, match="`kinds` must be one of"):
        nl.curvature(run, task, kinds=("fisher",), optimizer=nl.SGD(0.1))
    with pytest.raises(ValueError, match="`task` must fit the network: it has 4 inputs"):
        nl.curvature(run, TASK, optimizer=nl.SGD(0.1))
    residual = trained(nl.ResNet(1), task, nl.SGD(0.1), 32, weights="conditioned", steps=1)
    with pytest.raises(ValueError, match="ResNet has no curvature on conditioned weights; train it"):
        nl.curvature(residual, task)
    decoupled = trained(nl.MLP(1), task, nl.SGD(0.1), backward="decoupled")
    with pytest.raises(ValueError, match="move by no gradient of a loss"):
        nl.curvature(decoupled, task)


def test_a_diverged_network_is_a_status() -> None:
    task = nl.tasks.toy()
    run = trained(nl.MLP(1, "linear"), task, nl.SGD(1e3), steps=50)
    assert run.status == "diverged"
    broken = Parameters(jnp.full_like(run.parameters.input, jnp.nan), run.parameters.hidden, run.parameters.output)
    found = nl.landscape.measure(run.network, broken, run.rules, task, nl.SGD(1e3))
    assert found.attrs["status"] == "diverged"
    assert bool(found.eigenvalue.isnull().all())
