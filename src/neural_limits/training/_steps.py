"""The compiled loop driven from Python: pauses to record, to report, to keep a checkpoint and to grow."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..networks import Parameters
from ..weights import with_bases
from ._checkpoint import Checkpoint
from ._hosts import ALONE, Hosts
from ._loop import Plan, Progress, Setting, State, advance, grow, observe
from ._memory import memory_message
from ._record import Records

REPORT_SECONDS = 0.5  # between calls of `progress`

Report = Callable[[int, int, float], None]


@dataclass
class Saving:
    """A checkpoint, what goes into it beside the state, and the step it holds."""

    checkpoint: Checkpoint
    records: Records
    saved: int

    def __call__(self, state: State, step: int, *, now: bool = False) -> None:
        """Write it if it is due, or ``now``, and new."""
        if step > self.saved and (now or self.checkpoint.is_due(step)):
            self.checkpoint.save(state, step, self.records)
            self.saved = step


def run_steps(
    state: State,
    setting: Setting,
    plan: Plan,
    steps: int,
    halts: Collection[int],
    take: Callable[[int, Parameters], None],
    memory: float | None,
    report: Report | None,
    *,
    start: int = 0,
    save: Saving | None = None,
    hosts: Hosts = ALONE,
) -> tuple[State, str, str]:
    """All steps from ``start`` on, stopping to record, to report, to save and to grow: final state, status and message.

    Where the loop pauses changes no number: the compiled code is the same, and bases grow when they are full. Several
    ``hosts`` pause together, where the first one's clock says.
    """
    vectors = setting.x.shape[0] if setting.order is None else setting.order.shape[-1]
    paced = report is not None or (save is not None and save.checkpoint.every is None)
    step, chunk = start, 1 if paced else steps
    while True:
        if step in halts and _finite(state.parameters):  # else the next loss says so
            take(step, state.parameters)
        target = min([halt for halt in (*halts, steps) if halt > step], default=step)
        target = target if save is None else save.checkpoint.next_stop(step, target)
        begun = time.perf_counter()
        last = step >= steps
        if last:
            state, at = _observe_with_room(state, step, setting, plan, vectors)
        else:
            state, at = advance(state, _int(step), _int(min(target, step + chunk)), setting, plan)
        done, step = int(at.step) - step, int(at.step)
        if bool(np.all(at.diverged)):
            return state, "diverged", _divergence(at)
        if last:
            return state, "completed", ""
        if save is not None:
            save(state, step)
        if report is not None:
            _report(report, state, step, steps, at, save)
        if paced:
            chunk = _chunk(chunk, done, hosts.first(time.perf_counter() - begun))
        if not at.room:
            message = memory_message(state, vectors, memory, step, hosts)
            if message:
                return state, "rank_exhausted", message
            state = grow(state, vectors)


def _report(report: Report, state: State, step: int, steps: int, at: Progress, save: Saving | None) -> None:
    """Tell the caller; one that stops the run by an exception finds the state kept."""
    try:
        report(step, steps, float(at.loss))
    except BaseException:
        if save is not None:
            save(state, step, now=True)
        raise


def _observe_with_room(state: State, step: int, setting: Setting, plan: Plan, vectors: int) -> tuple[State, Progress]:
    if not all(bool(np.all(w.has_room(vectors))) for w in with_bases(state.parameters.hidden)):
        state = grow(state, vectors)
    return observe(state, _int(step), setting, plan)


def _finite(parameters: Parameters) -> bool:
    """Whether the squares of all weights are finite, as the records' decompositions need."""
    return all(
        bool(jnp.isfinite(jnp.vdot(x, x))) for x in jax.tree.leaves(eqx.filter(parameters, eqx.is_inexact_array))
    )


def _int(value: int) -> jax.Array:
    return jnp.asarray(value, jnp.int32)


def _chunk(chunk: int, done: int, seconds: float) -> int:
    """Steps until the next report: about `REPORT_SECONDS` worth, changing by at most a factor of four."""
    return max(1, min(4 * chunk, int(REPORT_SECONDS * done / max(seconds, 1e-3))))


def _divergence(at: Progress) -> str:
    loss = float(np.ravel(at.loss)[0])
    what = f"grew to {loss:.3g}" if np.isfinite(loss) else "is not finite"
    return f"the loss {what} at step {int(at.step) - 1}; lower `lr`, or check the scale of the data."
