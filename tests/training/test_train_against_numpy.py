"""`train` against a training loop written out in NumPy, from the same initial weights: deterministic, no statistics.

A conditioned run is compared too: what it learned of its weights at the end fixes the matrices it started from.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest

import neural_limits as nl
from neural_limits.parametrizations import Rules

INPUTS = 3


class Plain(NamedTuple):
    """What the loop below returns."""

    losses: np.ndarray
    outputs: np.ndarray
    weights: list[np.ndarray]


def plain_task(samples: int, outputs: int, loss: str) -> nl.Task:
    rng = np.random.default_rng(samples)
    x = rng.standard_normal((samples, INPUTS))
    y = (
        np.eye(outputs)[rng.integers(outputs, size=samples)]
        if loss == "softmax"
        else rng.standard_normal((samples, outputs))
    )
    return nl.Task(x=x, y=y, loss=loss)


def gradients(weights: list, rules: list, x: np.ndarray, y: np.ndarray, loss: str) -> tuple[float, np.ndarray, list]:
    """Loss, outputs and the gradient of every weight of a tanh network, by hand; weights are (outputs, inputs)."""
    features, slopes = [x], []
    for rule, weight in zip(rules[:-1], weights[:-1], strict=True):
        features.append(np.tanh(rule.multiplier * features[-1] @ weight.T))
        slopes.append(1 - features[-1] ** 2)
    f = rules[-1].multiplier * features[-1] @ weights[-1].T
    if loss == "mse":
        value, chi = 0.5 * np.mean(np.sum((f - y) ** 2, axis=1)), (f - y) / len(x)
    else:
        p = np.exp(f) / np.exp(f).sum(axis=1, keepdims=True)
        value, chi = -np.mean(np.sum(y * np.log(p), axis=1)), (p - y) / len(x)
    found = []
    for l in reversed(range(len(weights))):
        found.insert(0, rules[l].multiplier * chi.T @ features[l])
        if l:
            chi = rules[l].multiplier * (chi @ weights[l]) * slopes[l - 1]
    return value, f, found


def plain_run(run: nl.Run, operators: list[np.ndarray], start: nl.Run, task: nl.Task, optimizer: Any) -> Plain:
    """Train from the weights of `start` and the given hidden operators, in the batches of `run`."""
    rules: Rules = run.rules
    layers = [rules.input, *[rules.hidden] * len(operators), rules.output]
    weights = [np.asarray(start.parameters.input).T.copy()]
    weights += [m / rules.hidden.multiplier for m in operators]
    weights += [np.asarray(start.parameters.output).copy()]
    first, second = ([np.zeros_like(w) for w in weights] for _ in range(2))
    losses, outputs = [], []
    for step in run.data.step.values:
        rows = run.data.batch_index.values[step] if "batch_index" in run.data else slice(None)
        value, f, found = gradients(weights, layers, task.x[rows], task.y[rows], task.loss)
        losses.append(value)
        outputs.append(f)
        if step == run.data.step.values[-1]:
            break
        factor = 1.0 if optimizer.schedule is None else optimizer.schedule.factors(run.data.step.values[-1])[step]
        for i, (w, g, rule) in enumerate(zip(weights, found, layers, strict=True)):
            if isinstance(optimizer, nl.SGD | nl.Muon):
                first[i] = optimizer.momentum * first[i] + g
                ahead = g + optimizer.momentum * first[i] if optimizer.nesterov else first[i]
                hidden = isinstance(optimizer, nl.Muon) and 0 < i < len(weights) - 1
                move = rule.rate_muon * plain_direction(ahead, optimizer) if hidden else rule.rate * ahead
            else:
                first[i] = optimizer.beta1 * first[i] + (1 - optimizer.beta1) * g
                second[i] = optimizer.beta2 * second[i] + (1 - optimizer.beta2) * g**2
                m = first[i] / (1 - optimizer.beta1 ** (step + 1))
                v = second[i] / (1 - optimizer.beta2 ** (step + 1))
                move = rule.rate_adam * m / (np.sqrt(v) + optimizer.epsilon)
            lr = factor * optimizer.lr
            weights[i] = (1 - lr * optimizer.weight_decay) * w - lr * move
    return Plain(np.array(losses), np.array(outputs), weights)


def plain_direction(matrix: np.ndarray, optimizer: nl.Muon) -> np.ndarray:
    """The step of Muon through a decomposition: the iteration's polynomial acts on singular values alone."""
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    if optimizer.newton_schulz:
        values = values / np.sqrt(np.sum(values**2))
        for _ in range(5):
            values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    else:
        values = (values > optimizer.cutoff * values[0]).astype(float)
    return left * values @ right


# cases of one kind differ in numbers only and share what JAX compiles
DENSE_CASES = {
    "gradient descent": (nl.NTK(gamma=0.5), nl.SGD(lr=0.5), 2, "mse", None),
    "gradient descent, decay": (nl.MuP(gamma=2.0), nl.SGD(lr=0.2, weight_decay=0.4), 2, "mse", None),
    "momentum, batches": (nl.MuP(gamma=2.0), nl.SGD(lr=0.2, momentum=0.9), 3, "softmax", 4),
    "momentum, decay, batches": (nl.Standard(), nl.SGD(lr=0.1, momentum=0.5, weight_decay=0.3), 3, "softmax", 4),
    "Nesterov, warm-up": (
        nl.MuP(gamma=2.0),
        nl.SGD(lr=0.2, momentum=0.8, nesterov=True, weight_decay=0.4, schedule=nl.Schedule(3)),
        2,
        "mse",
        None,
    ),
    "Muon, cosine": (nl.MuP(), nl.Muon(lr=0.05, weight_decay=0.2, schedule=nl.Schedule(1, "cosine")), 2, "mse", 4),
    "Muon, plain momentum": (nl.NTK(), nl.Muon(lr=0.3, momentum=0.6, nesterov=False), 2, "mse", 4),
    "Muon, polar": (nl.MuP(), nl.Muon(lr=0.05, newton_schulz=False, cutoff=0.02), 2, "mse", 4),
    "Adam": (nl.MuP(sigma_w=1.4), nl.Adam(lr=0.05), 2, "mse", 3),
    "Adam, decay": (nl.Standard(), nl.Adam(lr=0.05, beta1=0.8, beta2=0.9, weight_decay=0.5), 2, "mse", 3),
    "Adam, large epsilon": (nl.NTK(), nl.Adam(lr=0.05, epsilon=0.05), 2, "mse", 3),
}


@pytest.mark.parametrize("case", DENSE_CASES)
def test_dense_training(case: str) -> None:
    parametrization, optimizer, outputs, loss, batch = DENSE_CASES[case]
    task = plain_task(10, outputs, loss)
    options = {"width": 12, "weights": "dense", "seed": 3, "batch": batch}
    network = nl.MLP(hidden=2)
    run = nl.train(network, task, parametrization, optimizer, steps=5, **options)
    start = nl.train(network, task, parametrization, optimizer, steps=0, **options)
    plain = plain_run(run, [np.asarray(w.value) for w in start.weights], start, task, optimizer)

    np.testing.assert_allclose(run.data.loss, plain.losses, rtol=1e-10)
    np.testing.assert_allclose(run.data.outputs, plain.outputs, rtol=1e-9, atol=1e-10)
    ours = [
        run.parameters.input.T,
        *[w.value / run.rules.hidden.multiplier for w in run.weights],
        run.parameters.output,
    ]
    for mine, theirs, before in zip(ours, plain.weights, [start.parameters.input.T, None, None, None], strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-10)
        assert before is None or np.abs(mine - before).max() > 1e-3  # it did move
    assert np.ptp(plain.losses) > 1e-3
    factors = np.ones(5) if optimizer.schedule is None else optimizer.schedule.factors(5)[:5]
    decay = np.prod(1 - factors * optimizer.lr * optimizer.weight_decay)
    for trained, untrained in zip(run.weights, start.weights, strict=True):
        assert float(trained.std) == pytest.approx(decay * float(untrained.std))


def initial_operator(trained: Any, std: float) -> np.ndarray:
    """The hidden operator a conditioned run started from: what it knows at the end, completed, less what it learned."""
    dense = np.asarray(jax.jit(lambda w: w.to_dense(jax.random.key(123)))(trained))
    learned = np.asarray(trained.left_basis).T @ np.asarray(trained.core) @ np.asarray(trained.right_basis)
    return (dense - learned) * (std / float(trained.std))


GROWING = "momentum, decay, batches"  # the touched rank outgrows the first buffers (64 directions), momentum with it
CONDITIONED_CASES = {
    GROWING: (nl.SGD(lr=0.3, momentum=0.7, weight_decay=0.1), 2, 80, 24, 3),
    "gradient descent": (nl.SGD(lr=0.5), 1, 64, 8, None),
    "Muon": (nl.Muon(lr=0.1, momentum=0.9), 1, 64, 6, None),
    "Muon, polar": (nl.Muon(lr=0.1, newton_schulz=False, cutoff=1e-3), 1, 64, 6, None),
    "Nesterov, linear": (
        nl.SGD(lr=0.3, momentum=0.7, nesterov=True, schedule=nl.Schedule(2, "linear")),
        1,
        64,
        8,
        None,
    ),
}


@pytest.mark.parametrize(
    "case", [pytest.param(name, marks=pytest.mark.slow if name == GROWING else ()) for name in CONDITIONED_CASES]
)
def test_conditioned_training_is_training_from_the_matrices_it_drew(case: str) -> None:
    optimizer, hidden, width, steps, batch = CONDITIONED_CASES[case]
    task, network, parametrization = plain_task(6 if batch else 3, 2, "mse"), nl.MLP(hidden=hidden), nl.MuP(gamma=2.0)
    options = {"width": width, "seed": 5, "batch": batch}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # dense is cheaper here
        run = nl.train(network, task, parametrization, optimizer, steps=steps, tolerance=1e-6, **options)
    start = nl.train(network, task, parametrization, optimizer, steps=0, weights="dense", **options)
    assert run.status == "completed"
    capacity = run.weights[0].capacity
    assert (min(capacity) > 64) == (case == GROWING), capacity

    std = run.rules.hidden.operator_std
    operators = [initial_operator(w, std) for w in run.weights]
    for operator in operators:  # and those are matrices of the right law: the mean square has error √2/n
        assert np.mean(operator**2) == pytest.approx(std**2, rel=4 * 2**0.5 / width)
    plain = plain_run(run, operators, start, task, optimizer)
    assert np.ptp(plain.losses) > 0.05
    np.testing.assert_allclose(run.data.loss, plain.losses, atol=1e-6)
    np.testing.assert_allclose(run.data.outputs, plain.outputs, atol=1e-5)
    for weight, operator, theirs in zip(run.weights, operators, plain.weights[1:-1], strict=True):
        learned = np.asarray(weight.left_basis).T @ np.asarray(weight.core) @ np.asarray(weight.right_basis)
        np.testing.assert_allclose(learned, theirs - operator * (float(weight.std) / std), atol=1e-5)
    assert float(run.weights[0].discarded) < 1e-12
