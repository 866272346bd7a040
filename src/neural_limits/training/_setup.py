"""From arguments to the compiled loop's input: checks, initial weights, batches."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array
from numpy import ndarray

from .._checks import one_of, positive_int
from ..networks import Network
from ..parametrizations import MuP, Parametrization, Rules
from ..tasks import Task
from ..weights import check_tolerance, room_needed
from ._loop import Plan, Setting, State, empty_history
from ._optimizer import Optimizer, check_optimizer
from ._sgd import SGD
from ._start import Form, copied, initial_parameters, initial_state

FORMS = ("conditioned", "dense")
BACKWARD = ("reused", "decoupled")


class Prepared(NamedTuple):
    """A run that is ready to start."""

    state: State
    setting: Setting
    plan: Plan
    rules: Rules
    form: Form
    settings: dict[str, Any]  # what to write beside the results
    optimizer: Optimizer


def prepare(
    network: Network,
    task: Task,
    parametrization: Parametrization | None,
    optimizer: Optimizer | None,
    *,
    width: int,
    steps: int,
    weights: str,
    seeds: int | Sequence[int],
    tolerance: float,
    batch: int | None,
    dtype: Any,
    backward: str = "reused",
    mesh: Mesh | None = None,
) -> Prepared:
    """Check every argument and build the initial state; a sequence of seeds gives a batch of runs."""
    parametrization = parametrization or MuP()
    optimizer = check_optimizer(optimizer or SGD(lr=0.1), one_of("weights", weights, FORMS))
    width, steps = positive_int("width", width), positive_int("steps", steps, least=0)
    batch = check_batch(batch, task.samples)
    dtype = jnp.dtype(dtype or jnp.result_type(float))
    vectors = batch or task.samples
    # sixteen steps' worth of room to start with, fewer compilations than growing from one; or all there can be
    capacity = min(16 * vectors, max(64, 4 * vectors), (steps + 1) * room_needed(vectors))
    one_of("backward", backward, BACKWARD)
    form = Form(weights, check_tolerance(tolerance, dtype), capacity, dtype, backward)
    rules = network.rules(parametrization, width, task.inputs)
    check_layers(optimizer, network)
    one = not isinstance(seeds, Sequence)
    numbers = [positive_int("seed", s, least=0) for s in (seeds if isinstance(seeds, Sequence) else [seeds])]
    if not numbers:
        raise ValueError("`seeds` must hold at least one seed.")
    if max(numbers) >= 2**32:
        raise ValueError(f"`seed` must be below 2**32; got {max(numbers)}.")
    keys = jax.vmap(jax.random.key)(np.array(numbers, np.uint32))
    sizes = (task.inputs, task.outputs, width)
    parameters = initial_parameters(keys[0] if one else keys, rules, network, sizes, form, mesh)
    order = _stacked([batch_order(task.samples, batch, steps, s) for s in numbers], one)
    setting = Setting(
        jnp.asarray(task.x, dtype), jnp.asarray(task.y, dtype), order, rules, optimizer.numbers_for(steps)
    )
    layers = network.matrices if weights == "conditioned" else 0
    lead = () if one else (len(numbers),)
    history = partial(empty_history, lead, steps, vectors, task.outputs, layers, dtype)
    state = initial_state(parameters, optimizer, history, mesh, width)
    settings = {
        "task": task.name, "loss": task.loss, "samples": task.samples, "width": width, **network.describe(),
        "activation": getattr(network.activation, "__name__", network.activation),
        "parametrization": type(parametrization).__name__, "gamma": parametrization.gamma,
        "sigma_w": parametrization.sigma_w, "optimizer": type(optimizer).__name__, "lr": optimizer.numbers.lr,
        "weights": weights, "backward": backward, "tolerance": tolerance,
        "batch": batch or task.samples, "dtype": dtype.name,
    }  # fmt: skip
    plan = Plan(network, task.loss, optimizer.kind, not one)
    return Prepared(state, copied(setting, mesh), plan, rules, form, settings, optimizer)


def check_layers(optimizer: Optimizer, network: Network) -> None:
    """ValueError unless there is a rate for each layer, where rates per layer are given."""
    layers = optimizer.numbers.layers
    if layers is not None and len(layers) != network.depth:
        raise ValueError(f"`layer_rates` must hold one rate for each of {network.depth} layers; got {len(layers)}.")


def check_steps(name: str, wanted: Sequence[int], steps: int) -> tuple[int, ...]:
    """Numbers of updates, sorted; ValueError for one that the run does not reach."""
    stops = tuple(sorted({positive_int(name, r, least=0) for r in wanted}))
    if stops and stops[-1] > steps:
        raise ValueError(f"`{name}` must not exceed `steps` = {steps}; got {stops[-1]}.")
    return stops


def check_batch(batch: int | None, samples: int) -> int | None:
    """The mini-batch size, or None for the full batch; ValueError if there are fewer samples."""
    if batch is None:
        return None
    if positive_int("batch", batch) > samples:
        raise ValueError(f"`batch` must not exceed the task's {samples} samples; got {batch}.")
    return batch


def batch_order(samples: int, batch: int | None, steps: int, seed: int) -> ndarray | None:
    """Samples of the batch at each step 0..steps (steps + 1, batch): epochs shuffled, incomplete batches dropped."""
    if batch is None:
        return None
    rng = np.random.default_rng((seed, samples, batch))
    per_epoch = samples // batch
    epochs = -(-(steps + 1) // per_epoch)
    order = [rng.permutation(samples)[: per_epoch * batch].reshape(per_epoch, batch) for _ in range(epochs)]
    return np.concatenate(order)[: steps + 1]


def _stacked(orders: list[ndarray | None], one: bool) -> Array | None:
    if orders[0] is None:
        return None
    return jnp.asarray(orders[0] if one else np.stack(orders))  # type: ignore[arg-type]
