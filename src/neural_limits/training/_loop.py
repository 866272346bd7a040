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
from jaxtyping import Array, Bool, Float, Int

from ..networks import Network, Parameters
from ..parametrizations import Rules
from ..weights import pad_core, resize, with_bases
from ._losses import loss_named
from ._optimizer import Numbers, Optimizer

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

    network: Network
    loss: str
    optimizer: type[Optimizer]
    batched: bool  # a leading axis of seeds


def empty_history(
    lead: tuple[int, ...], steps: int, samples: int, outputs: int, layers: int, dtype: jnp.dtype
) -> History:
    """Room for steps 0..steps, filled with NaN; ``lead`` is the leading axis of a batch of seeds."""
    nan = partial(jnp.full, fill_value=jnp.nan, dtype=dtype)
    times = (*lead, steps + 1)
    # two buffers of ranks, as both are donated
    left, right = jnp.zeros((*times, layers), jnp.int32), jnp.zeros((*times, layers), jnp.int32)
    return History(nan(times), nan((*times, samples, outputs)), left, right, nan((*times, layers)))


class Progress(NamedTuple):
    """Where the compiled loop stopped, and why."""

    step: Int[Array, ""]
    room: Bool[Array, ""]  # whether one more step fits into every basis
    diverged: Bool[Array, "*seeds"]
    loss: Float[Array, "*seeds"]  # last recorded


@partial(jax.jit, static_argnames="plan", donate_argnames="state")
def advance(state: State, step: Array, until: Array, setting: Setting, plan: Plan) -> tuple[State, Progress]:
    """Train from ``step`` until ``until`` updates are made, a basis is full, or all seeds have diverged."""
    vectors = setting.x.shape[0] if setting.order is None else setting.order.shape[-1]

    def goes_on(carry: tuple[State, Array]) -> Array:
        state, step = carry
        return (step < until) & _room(state, vectors) & ~jnp.all(_diverged(state.history, step))

    def body(carry: tuple[State, Array]) -> tuple[State, Array]:
        state, step = carry
        return _over_seeds(_step, setting, plan)(state, step, setting.order), step + 1

    state, step = lax.while_loop(goes_on, body, (state, step))
    return state, _progress(state, step, vectors)


@partial(jax.jit, static_argnames="plan", donate_argnames="state")
def observe(state: State, step: Array, setting: Setting, plan: Plan) -> tuple[State, Progress]:
    """Record loss and outputs at ``step`` without an update."""
    state = _over_seeds(_observe, setting, plan)(state, step, setting.order)
    return state, _progress(state, step + 1, 1)


def _progress(state: State, step: Array, vectors: int) -> Progress:
    last = jnp.take(state.history.loss, jnp.maximum(step - 1, 0), axis=-1)
    return Progress(step, _room(state, vectors), _diverged(state.history, step), last)


def _room(state: State, vectors: int) -> Array:
    room = [jnp.all(jnp.asarray(w.has_room(vectors))) for w in state.parameters.hidden]
    return jnp.all(jnp.array(room, bool))


def _diverged(history: History, step: Array) -> Array:
    """Whether the loss recorded before ``step`` is out of bounds (per seed); NaN counts."""
    loss = jnp.take(history.loss, jnp.maximum(step - 1, 0), axis=-1)
    return (step > 0) & ~(loss <= DIVERGED * jnp.maximum(history.loss[..., 0], 1.0))


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
        parameters, state.optimizer, gradients, setting.numbers.at(step), setting.rules,
        plan.network.hidden_rates(setting.rules),
    )  # fmt: skip
    return State(parameters, optimizer, history)


def _observe(state: State, step: Array, order: Array | None, *, setting: Setting, plan: Plan) -> State:
    x, y = _batch(setting, order, step)
    outputs, _, parameters = plan.network.forward(state.parameters, x, setting.rules)
    loss, _ = loss_named(plan.loss)(outputs, y)
    history = _record(state.history, step, loss, outputs, parameters)
    return state._replace(parameters=parameters, history=history)


def _batch(setting: Setting, order: Array | None, step: Array) -> tuple[Array, Array]:
    if order is None:
        return setting.x, setting.y
    rows = order[step]
    return setting.x[rows], setting.y[rows]


def _record(history: History, step: Array, loss: Array, outputs: Array, parameters: Parameters) -> History:
    weights = with_bases(parameters.hidden)
    per_layer = [
        jnp.concatenate([jnp.zeros(0), *(jnp.ravel(w_of) for w_of in quantity)])
        for quantity in (
            [w.rank_left for w in weights],
            [w.rank_right for w in weights],
            [w.discarded for w in weights],
        )
    ]
    now = (loss, outputs, *per_layer)
    return History(*(old.at[step].set(jnp.asarray(new, old.dtype)) for old, new in zip(history, now, strict=True)))


def grow(state: State, vectors: int) -> State:
    """Room for one more step in every basis, the same capacity in every layer (fewer compilations)."""
    needed = [w.capacities_for(vectors) for w in with_bases(state.parameters.hidden)]
    return resized(state, max(left for left, _ in needed), max(right for _, right in needed))


def capacity(state: State) -> tuple[int, int] | None:
    """Directions that every basis has room for: (left, right); None where there are no bases."""
    weights = with_bases(state.parameters.hidden)
    return weights[0].capacity if weights else None


@partial(jax.jit, static_argnames=("left", "right"))
def resized(state: State, left: int, right: int) -> State:
    """The state with bases of that capacity; never less than they have."""
    hidden = tuple(resize(w, left, right) for w in state.parameters.hidden)
    parameters = eqx.tree_at(lambda p: p.hidden, state.parameters, hidden)
    if state.optimizer is None:
        return state._replace(parameters=parameters)
    cores = tuple(pad_core(core, left, right) for core in state.optimizer.hidden)
    return state._replace(parameters=parameters, optimizer=state.optimizer._replace(hidden=cores))
