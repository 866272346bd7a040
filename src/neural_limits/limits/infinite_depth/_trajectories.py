"""A residual network trained for a few steps with everything kept: the particles of Neural Feature Dynamics.

A network of width n on conditioned weights is exactly the causal particle system: neurons are particles, layers
the steps in t = l/L, and what has been looked at of each weight is the joint law of its noise over training steps.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy import ndarray

from ...networks import Parameters, ResNet, ResTrace
from ...parametrizations import DepthMuP, Rules
from ...tasks import Task
from ...training import SGD, prepare
from ...weights import ConditionedMatrix, Stack

DIVERGED = 1e6


class Trajectories(NamedTuple):
    """Every feature and backward vector of a run of K forward passes, and the weights after it.

    Blocks are indexed by (layer, step, sample, neuron); z (inner pre-activations) is None for one-layer blocks.
    """

    outputs: Float[ndarray, "K P"]
    h: Float[Array, "L1 K P n"]  # l = 0..L
    g: Float[Array, "L1 K P n"]  # n ∂f/∂h_l
    z: Float[Array, "L K P n"] | None
    rank_left: ndarray  # of each layer's first stack after each step, (K, L)
    rank_right: ndarray
    parameters: Parameters
    rules: Rules
    network: ResNet
    status: str
    message: str


def trajectories(
    network: ResNet,
    task: Task,
    parametrization: DepthMuP,
    optimizer: SGD,
    *,
    width: int,
    steps: int,
    seed: int = 0,
    backward: str = "reused",
    weights: str = "conditioned",
    tolerance: float = 1e-3,
    dtype: Any = None,
) -> Trajectories:
    """Train for ``steps`` updates on squared error with one output, keeping all layers of all steps.

    Memory: 2 (L + 1)(steps + 1) P n numbers beside the weights. Stops with status ``diverged`` where the loss does.
    """
    if task.outputs != 1 or task.loss != "mse":
        raise ValueError(f"`task` must have one output and squared error; got {task.outputs} and {task.loss!r}.")
    if optimizer.momentum:
        raise ValueError(f"`optimizer` must have no momentum here; got {optimizer.momentum!r}.")
    ready = prepare(
        network, task, parametrization, optimizer, width=width, steps=steps, weights=weights, seeds=seed,
        tolerance=tolerance, batch=None, dtype=dtype, backward=backward,
    )  # fmt: skip
    parameters, rules = ready.state.parameters, ready.rules
    x, y = (jnp.asarray(a, parameters.input.dtype) for a in (task.x, task.y))
    kept, left, right = [], [], []
    status, message = "completed", ""
    for step in range(steps + 1):
        parameters, seen = _pass(_with_room(parameters, task.samples), x, y, rules, optimizer.numbers, network)
        loss = float(jnp.mean((seen.outputs - y[:, 0]) ** 2)) / 2
        if not loss <= DIVERGED * max(1.0, float(jnp.mean(y**2))):
            status, message = "diverged", f"the loss {loss:.3g} at step {step} has left all bounds; lower the rates."
            break
        kept.append(seen)
        first = parameters.hidden[0].layers
        if weights == "conditioned":
            left.append(np.asarray(first.rank_left))
            right.append(np.asarray(first.rank_right))
    stack = lambda arrays: jnp.stack(arrays, axis=1)  # noqa: E731
    return Trajectories(
        np.stack([s.outputs for s in kept]), stack([s.h for s in kept]), stack([s.g for s in kept]),
        None if kept[0].z is None else stack([s.z for s in kept]), np.array(left), np.array(right),
        parameters, rules, network, status, message,
    )  # fmt: skip


class _Seen(NamedTuple):
    outputs: Array
    h: Array
    g: Array
    z: Array | None


@partial(jax.jit, static_argnames="network", donate_argnames="parameters")
def _pass(
    parameters: Parameters, x: Array, y: Array, rules: Rules, numbers: Any, network: ResNet
) -> tuple[Parameters, _Seen]:
    """Forward, backward, update."""
    outputs, trace, parameters = network.forward(parameters, x, rules)
    chi = (outputs - y) / len(y)
    delta = jnp.broadcast_to(rules.output.multiplier * parameters.output, trace.last.shape)
    signals, parameters = network.signals(parameters, trace, delta, rules)
    gradients = network.gradients(trace, signals, chi, rules)
    width = x.dtype.type(parameters.input.shape[1])
    g = width * jnp.concatenate([signals.first[None], signals.after])
    seen = _Seen(outputs[:, 0], features_of(trace), g, trace.inner)
    parameters, _ = SGD.update(parameters, None, gradients, numbers, rules, network.hidden_rates(rules))
    return parameters, seen


def _with_room(parameters: Parameters, vectors: int) -> Parameters:
    """Bases that one more step fits into."""
    hidden = tuple(
        w if bool(np.all(w.has_room(vectors))) else Stack(w.layers.reserve(vectors))  # type: ignore[union-attr]
        for w in parameters.hidden
    )
    return Parameters(parameters.input, hidden, parameters.output)


def features_of(trace: ResTrace) -> Float[Array, "L1 P n"]:
    """h_0 … h_L."""
    return jnp.concatenate([trace.before, trace.last[None]])


def flat(block: Float[Array, "... K P n"]) -> Float[Array, "... KP n"]:
    """Steps and samples in one axis."""
    return block.reshape(*block.shape[:-3], -1, block.shape[-1])


def gram(block: Float[Array, "l K P n"]) -> Float[ndarray, "l KP KP"]:
    """Means over neurons of products: the kernel of every layer."""
    vectors = flat(block)
    return np.asarray(jnp.einsum("lan,lbn->lab", vectors, vectors) / vectors.shape[-1], float)


def layer_weight(run: Trajectories, layer: int, stack: int = 0) -> ConditionedMatrix:
    """The conditioned matrix of a layer."""
    return run.parameters.hidden[stack][layer]  # type: ignore[index,return-value]
