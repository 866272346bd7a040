"""`train`: one network, one task, one run, on conditioned or dense weights."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array

from .._checks import one_of, positive_int
from ..networks import MLP, Parameters
from ..parametrizations import MuP, Parametrization, Rules
from ..tasks import Task
from ..weights import ConditionedMatrix, DenseMatrix, WeightMatrix, check_tolerance, shard_particles
from ._dataset import dataset
from ._loop import Plan, Setting, State, advance, diverged, empty_history, grow, has_room, observe
from ._memory import memory_message
from ._optimizers import SGD, Optimizer, check_optimizer
from ._record import Records
from ._run import Run

TOLERANCE = 1e-2  # outliers within 0.1 % and losses within 1 %; see docs/touched-rank.md
FORMS = ("conditioned", "dense")

Progress = Callable[[int, int, float], None]


def train(
    network: MLP,
    task: Task,
    parametrization: Parametrization | None = None,
    optimizer: Optimizer | None = None,
    *,
    width: int,
    steps: int,
    weights: str = "conditioned",
    seed: int = 0,
    record: Sequence[int] = (),
    tolerance: float = TOLERANCE,
    batch: int | None = None,
    dtype: Any = None,
    mesh: Mesh | None = None,
    memory: float | None = None,
    progress: Progress | None = None,
) -> Run:
    """Train a network of the given width and record its loss, outputs and weight outliers.

    ``weights="conditioned"`` simulates the network exactly in law without forming a weight matrix, up to
    ``tolerance`` (the relative size of a direction too small to keep); ``"dense"`` trains the ordinary
    network. ``record`` names the numbers of updates after which outliers are computed. ``batch`` is the
    mini-batch size (None: full batch; each epoch shuffled, its incomplete last batch dropped). ``dtype``
    defaults to JAX's float. ``mesh`` spreads the width over devices (`weights.particle_mesh`). ``memory``
    bounds the bytes that bases may grow to (default: what the device has). ``progress(step, steps, loss)``
    is called now and then.

    Returns a `Run`; divergence and a touched rank beyond memory are its status, not exceptions. ValueError
    for arguments out of range. Warns where a dense matrix would be cheaper. Cost per step and hidden matrix:
    O(n r P) conditioned, O(n² P) dense, with r the touched rank.

    >>> import neural_limits as nl
    >>> run = nl.train(nl.MLP(hidden=2), nl.tasks.toy(), nl.MuP(gamma=4.0), nl.SGD(lr=0.3), width=512, steps=3)
    >>> run.status, run.data.loss.shape, len(run.weights)
    ('completed', (4,), 2)
    """
    parametrization = parametrization or MuP()
    optimizer = check_optimizer(optimizer or SGD(lr=0.1), one_of("weights", weights, FORMS))
    width, steps = positive_int("width", width), positive_int("steps", steps, least=0)
    stops = check_record(record, steps)
    batch = check_batch(batch, task.samples)
    dtype = jnp.dtype(dtype or jnp.result_type(float))
    rules = parametrization.rules(width, task.inputs)
    make = weight_maker(weights, batch or task.samples, check_tolerance(tolerance, dtype), dtype)

    key = jax.random.key(positive_int("seed", seed, least=0))
    parameters = network.init(key, task.inputs, task.outputs, width, rules, make, dtype)
    order = batch_order(task.samples, batch, steps, seed)
    setting = Setting(
        jnp.asarray(task.x, dtype), jnp.asarray(task.y, dtype), order, rules, optimizer.numbers
    )
    layers = network.hidden if weights == "conditioned" else 0
    history = empty_history(steps, batch or task.samples, task.outputs, layers, dtype)
    state = State(parameters, optimizer.init(parameters), history)
    if mesh is not None:
        state, setting = shard_particles((state, setting), mesh, width)
    plan = Plan(network, task.loss, type(optimizer), batched=False)

    records = Records(parameters, stops)
    started = time.perf_counter()
    state, step, status, message = _steps(state, setting, plan, steps, records, memory, progress)
    timing = {"seconds": time.perf_counter() - started, "record_seconds": records.seconds}
    if status == "completed" and weights == "conditioned":
        _warn_if_dense_is_cheaper(state.parameters.hidden)
    data = dataset(state, step, order, task, records, weights)
    data.attrs.update(
        status=status, message=message, width=width, weights=weights, seed=seed, gamma=parametrization.gamma,
        sigma_w=parametrization.sigma_w, lr=optimizer.numbers.lr, dtype=dtype.name, tolerance=tolerance,
    )  # fmt: skip
    return Run(status, message, data, state.parameters, network, rules, timing)


def _steps(
    state: State,
    setting: Setting,
    plan: Plan,
    steps: int,
    records: Records,
    memory: float | None,
    progress: Progress | None,
) -> tuple[State, int, str, str]:
    """All steps, with stops to record, to report progress and to grow: state, updates made, status, message."""
    vectors = (setting.x.shape[0] if setting.order is None else setting.order.shape[-1])
    step, chunk = 0, steps if progress is None else 1
    while True:
        if step in records.stops:
            records.take(step, state.parameters)
        if step >= steps:
            break
        until = min([stop for stop in (*records.stops, steps) if stop > step] + [step + chunk])
        while not has_room(state, vectors):
            message = memory_message(state, vectors, memory, step)
            if message:
                return state, step, "rank_exhausted", message
            state = grow(state, vectors)
        begun = time.perf_counter()
        state, reached = advance(state, jnp.asarray(step, jnp.int32), jnp.asarray(until, jnp.int32), setting, plan)
        done, step = int(reached) - step, int(reached)
        if bool(diverged(state.history, step)):
            return state, step, "diverged", _divergence(state, step)
        if progress is not None:
            progress(step, steps, float(state.history.loss[step - 1]))
            # aim at a report every half second
            chunk = max(1, min(4 * chunk, int(0.5 * done / max(time.perf_counter() - begun, 1e-3))))
    while not has_room(state, vectors):
        state = grow(state, vectors)
    state = observe(state, jnp.asarray(steps, jnp.int32), setting, plan)
    if bool(diverged(state.history, steps + 1)):
        return state, steps, "diverged", _divergence(state, steps + 1)
    return state, steps, "completed", ""


def _divergence(state: State, recorded: int) -> str:
    loss = float(state.history.loss[recorded - 1])
    what = f"grew to {loss:.3g}" if np.isfinite(loss) else "is not finite"
    return f"the loss {what} at step {recorded - 1}; lower `lr`, or check the data's scale."


def check_record(record: Sequence[int], steps: int) -> tuple[int, ...]:
    """The steps to record at, sorted; ValueError for one that the run does not reach."""
    stops = tuple(sorted({positive_int("record", r, least=0) for r in record}))
    if stops and stops[-1] > steps:
        raise ValueError(f"`record` must not exceed `steps` = {steps}; got {stops[-1]}.")
    return stops


def check_batch(batch: int | None, samples: int) -> int | None:
    """The mini-batch size, or None for the full batch; ValueError if there are fewer samples."""
    if batch is None:
        return None
    if positive_int("batch", batch) > samples:
        raise ValueError(f"`batch` must not exceed the task's {samples} samples; got {batch}.")
    return batch


def batch_order(samples: int, batch: int | None, steps: int, seed: int) -> Array | None:
    """Samples of the batch at each step 0..steps (steps + 1, batch): epochs shuffled, incomplete batches dropped."""
    if batch is None:
        return None
    rng = np.random.default_rng((seed, samples, batch))
    per_epoch = samples // batch
    epochs = -(-(steps + 1) // per_epoch)
    order = np.concatenate(
        [rng.permutation(samples)[: per_epoch * batch].reshape(per_epoch, batch) for _ in range(epochs)]
    )
    return jnp.asarray(order[: steps + 1])


def weight_maker(
    weights: str, vectors: int, tolerance: float, dtype: jnp.dtype
) -> Callable[[Array, int, float], WeightMatrix]:
    """How a hidden weight is made: ``make(key, width, std)``."""
    if weights == "dense":
        return lambda key, width, std: DenseMatrix.create(key, width, width, std=std, dtype=dtype)
    # room for the first four steps: fewer compilations than growing from one step's worth
    return lambda key, width, std: ConditionedMatrix.create(
        key, width, width, std=std, tolerance=tolerance, capacity=16 * vectors, dtype=dtype
    )


def _warn_if_dense_is_cheaper(hidden: tuple[WeightMatrix, ...]) -> None:
    for layer, weight in enumerate(hidden):
        if isinstance(weight, ConditionedMatrix) and weight.rank > min(weight.shape) / 4:
            warnings.warn(
                f"hidden weight {layer} of width {min(weight.shape)} has touched rank {weight.rank} (left and right), "
                'above a quarter of its width: weights="dense" is likely cheaper; or raise `width` or `tolerance`.',
                stacklevel=3,
            )
            return
