"""The training loop: compiled once for both forms of weights, for one run or a batch of seeds.

Steps run inside one compiled while loop; it returns to Python only when a requested step is reached, when
the bases are full (they are grown and the loop goes on), or when the loss has left all bounds.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from ..networks import MLP, Parameters
from ..parametrizations import Rules
from ..weights import ConditionedMatrix, WeightMatrix
from ._losses import loss_named
from ._optimizers import Numbers, Optimizer

DIVERGED = 1e6  # a loss that has grown by this factor over the larger of its start and 1 does not come back


class History(NamedTuple):
    """What is recorded at every step 0..steps."""

    loss: Float[Array, " T"]
    outputs: Float[Array, "T m C"]
    rank_left: Int[Array, "T L"]
    rank_right: Int[Array, "T L"]
    discarded: Float[Array, "T L"]


class State(NamedTuple):
    """Everything that changes during training. A batch of seeds has one more axis in front."""

    parameters: Parameters
    optimizer: Any
    history: History


class Setting(NamedTuple):
    """Everything that does not: traced, so that a change of numbers does not compile again."""

    x: Float[Array, "P d"]
    y: Float[Array, "P C"]
    order: Int[Array, "T m"] | None  # samples of each step; None for the full batch
    rules: Rules
    numbers: Numbers


class Plan(NamedTuple):
    """What the compiled code depends on."""

    network: MLP
    loss: str
    optimizer: type[Optimizer]
    batched: bool  # a leading axis of seeds


def empty_history(steps: int, samples: int, outputs: int, layers: int, dtype: jnp.dtype) -> History:
    """Room for steps 0..steps, filled with NaN."""
    nan = partial(jnp.full, fill_value=jnp.nan, dtype=dtype)
    ranks = [jnp.zeros((steps + 1, layers), jnp.int32) for _ in range(2)]  # two buffers: both are donated
    return History(nan((steps + 1,)), nan((steps + 1, samples, outputs)), *ranks, nan((steps + 1, layers)))


def has_room(state: State, vectors: int) -> bool:
    """Whether one more step fits into every basis."""
    return all(bool(jnp.all(w.has_room(vectors))) for w in state.parameters.hidden)


def diverged(history: History, step: int | Array) -> Array:
    """Whether the loss recorded before ``step`` is out of bounds (per seed)."""
    loss = jnp.take(history.loss, jnp.maximum(step - 1, 0), axis=-1)
    start = jnp.maximum(history.loss[..., 0], 1.0)
    return (step > 0) & ~(loss <= DIVERGED * start)


@partial(jax.jit, static_argnames="plan", donate_argnames="state")
def advance(state: State, step: Array, until: Array, setting: Setting, plan: Plan) -> tuple[State, Array]:
    """Train from ``step`` until ``until`` updates are made, a basis is full, or all seeds have diverged."""
    vectors = (setting.x if setting.order is None else setting.order).shape[0 if setting.order is None else -1]

    def goes_on(carry: tuple[State, Array]) -> Array:
        state, step = carry
        room = jnp.array([jnp.all(w.has_room(vectors)) for w in state.parameters.hidden], bool)
        return (step < until) & jnp.all(room) & ~jnp.all(diverged(state.history, step))

    def body(carry: tuple[State, Array]) -> tuple[State, Array]:
        state, step = carry
        return _over_seeds(_step, setting, plan)(state, step, setting.order), step + 1

    return lax.while_loop(goes_on, body, (state, step))


@partial(jax.jit, static_argnames="plan")
def observe(state: State, step: Array, setting: Setting, plan: Plan) -> State:
    """Record loss and outputs at ``step`` without an update."""
    return _over_seeds(_observe, setting, plan)(state, step, setting.order)


def _over_seeds(function: Any, setting: Setting, plan: Plan) -> Any:
    bound = partial(function, setting=setting, plan=plan)
    if not plan.batched:
        return bound
    return jax.vmap(bound, in_axes=(0, None, None if setting.order is None else 0))


def _step(state: State, step: Array, order: Array | None, *, setting: Setting, plan: Plan) -> State:
    """Forward, record, backward, update."""
    x, y = _batch(setting, order, step)
    outputs, trace, parameters = plan.network.forward(state.parameters, x, setting.rules)
    loss, chi = loss_named(plan.loss)(outputs, y)
    gradients, parameters = plan.network.backward(parameters, trace, chi, setting.rules)
    history = _record(state.history, step, loss, outputs, parameters)
    parameters, optimizer = plan.optimizer.update(
        parameters, state.optimizer, gradients, setting.numbers, setting.rules
    )
    return State(parameters, optimizer, history)


def _observe(state: State, step: Array, order: Array | None, *, setting: Setting, plan: Plan) -> State:
    x, y = _batch(setting, order, step)
    outputs, _, parameters = plan.network.forward(state.parameters, x, setting.rules)
    loss, _ = loss_named(plan.loss)(outputs, y)
    return state._replace(history=_record(state.history, step, loss, outputs, parameters))


def _batch(setting: Setting, order: Array | None, step: Array) -> tuple[Array, Array]:
    if order is None:
        return setting.x, setting.y
    rows = order[step]
    return setting.x[rows], setting.y[rows]


def _record(history: History, step: Array, loss: Array, outputs: Array, parameters: Parameters) -> History:
    weights = [w for w in parameters.hidden if isinstance(w, ConditionedMatrix)]
    now = (
        loss,
        outputs,
        [w.rank_left for w in weights],
        [w.rank_right for w in weights],
        [w.discarded for w in weights],
    )
    return History(*(old.at[step].set(jnp.asarray(new, old.dtype)) for old, new in zip(history, now, strict=True)))


def grow(state: State, vectors: int) -> State:
    """Room for one more step in every basis, the same capacity in every layer (fewer compilations)."""
    reserved: list[WeightMatrix] = [w.reserve(vectors) for w in state.parameters.hidden]
    conditioned = [w for w in reserved if isinstance(w, ConditionedMatrix)]
    left = max(w.capacity[0] for w in conditioned)
    right = max(w.capacity[1] for w in conditioned)
    hidden = tuple(w.resize(left, right) for w in conditioned)
    parameters = eqx.tree_at(lambda p: p.hidden, state.parameters, hidden)
    if state.optimizer is None:
        return state._replace(parameters=parameters)
    cores = tuple(w.grow_core(c) for w, c in zip(hidden, state.optimizer.hidden, strict=True))
    return state._replace(parameters=parameters, optimizer=state.optimizer._replace(hidden=cores))
