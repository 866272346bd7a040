"""`train`: one network, one task, one run, on conditioned or dense weights; `train_ensemble`: many seeds at once."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Sequence
from typing import Any

import jax
import xarray as xr

from .._checks import positive_float
from ..networks import Network, Parameters
from ..parametrizations import Parametrization
from ..tasks import Task
from ..weights import Devices, Weights, particle_mesh, with_bases
from ._checkpoint import Checkpoint, CheckpointError, fingerprint
from ._dataset import dataset, ensemble_dataset
from ._hosts import Hosts
from ._optimizer import Optimizer
from ._record import Records, Watch
from ._run import Run
from ._setup import check_steps, prepare
from ._steps import Report, Saving, run_steps

TOLERANCE = 1e-2  # chosen from benchmarks/touched_rank.py
DENSE_IS_CHEAPER = 0.5  # touched rank over width from which a dense matrix is faster (benchmarks/touched_rank.py)


def train(
    network: Network,
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
    devices: Devices | None = None,
    memory: float | None = None,
    progress: Report | None = None,
    watch: Watch | None = None,
    watch_steps: Sequence[int] | None = None,
    backward: str = "reused",
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int | None = None,
) -> Run:
    """Train a network of the given width and record its loss, outputs and weight outliers.

    ``weights="conditioned"`` simulates the network exactly in law without forming a weight matrix, up to
    ``tolerance`` (the relative size of a direction too small to keep); ``"dense"`` trains the ordinary
    network. ``record`` names the numbers of updates after which outliers are computed. ``batch`` is the
    mini-batch size (None: full batch; each epoch shuffled, its incomplete last batch dropped). ``dtype``
    defaults to JAX's float. ``devices`` cuts the width over so many devices, or over those of a list or
    mesh (None: one; docs/scale.md): the same numbers but for the order of sums. ``memory`` bounds the bytes that bases
    may grow to (default: what the devices have). ``progress(step, steps, loss)``
    is called now and then; ``watch(step, parameters)`` after ``watch_steps`` updates (default: ``record``), with
    the weights as they are (read them then: the next step reuses their memory). ``backward="decoupled"`` gives
    backpropagation initial weights of its own, with the same updates added to both (without ``record``).
    Parametrization and optimizer default to ``MuP()`` and ``SGD(lr=0.1)``.

    ``checkpoint`` names a file that the whole state is written to after every ``checkpoint_every`` updates (default:
    about every 30 seconds) and when ``progress`` raises; a run that finds its file there goes on from it, equal to the
    bit to one that was never stopped (same machine, devices and versions). The file stays. Not with ``watch``.

    Returns a `Run`; divergence and a touched rank beyond memory are its status, not exceptions. ValueError
    for arguments out of range, OSError for a checkpoint that is damaged or another run's. Warns where a dense matrix
    would be cheaper. Cost per step and hidden matrix: O(n r P) conditioned, O(n² P) dense, with r the touched rank.

    >>> import neural_limits as nl
    >>> run = nl.train(nl.MLP(hidden=2), nl.tasks.toy(), nl.MuP(gamma=4.0), nl.SGD(lr=0.3), width=512, steps=3)
    >>> run.status, run.data.loss.shape, len(run.weights)
    ('completed', (4,), 2)
    """
    mesh = None if devices is None else particle_mesh(devices)
    hosts = Hosts.of(mesh)
    ready = prepare(
        network, task, parametrization, optimizer, width=width, steps=steps, weights=weights, seeds=seed,
        tolerance=tolerance, batch=batch, dtype=dtype, backward=backward, mesh=mesh,
    )  # fmt: skip
    if memory is not None:
        positive_float("memory", memory)
    stops = check_steps("record", record, steps)
    if stops and backward == "decoupled":
        raise ValueError('`record` needs one matrix forward and backward; use backward="reused", or record=().')
    looks = check_steps("watch_steps", record if watch_steps is None else watch_steps, steps)
    records = Records(ready.state.parameters, stops)

    def take(step: int, parameters: Parameters) -> None:
        if step in stops:
            records.take(step, parameters)
        if watch is not None and step in looks:
            watch(step, parameters)

    halts = {*stops, *looks}
    state, setting = ready.state, ready.setting
    start, save = 0, None
    if checkpoint is None and checkpoint_every is not None:
        raise ValueError(f"`checkpoint_every` needs `checkpoint`, the file to write; got {checkpoint_every!r} alone.")
    if checkpoint is not None:
        if watch is not None:
            raise ValueError(f"`watch` keeps what a checkpoint cannot hold; leave one of the two out; got {watch!r}.")
        about = ready.settings | {"kind": ready.plan.optimizer.__name__}  # Muon's two forms have one name
        kept = Checkpoint(checkpoint, checkpoint_every, fingerprint(about, setting, seed, steps, stops), hosts)
        state, start = kept.load(state, records) or (state, 0)
        if not hosts.agree(start):
            raise CheckpointError(f"{kept.path} is not the same file on all machines; name one that all of them see.")
        save = Saving(kept, records, start)
    started = time.perf_counter()
    state, status, message = run_steps(
        state, setting, ready.plan, steps, halts, take, memory, progress, start=start, save=save, hosts=hosts
    )
    timing = {"seconds": time.perf_counter() - started, "record_seconds": records.seconds}
    if status == "completed":
        _warn_if_dense_is_cheaper(state.parameters.hidden)
    data = dataset(state, setting.order, task, records, weights)
    data.attrs.update(ready.settings, status=status, message=message, seed=seed)
    return Run(status, message, data, state.parameters, network, ready.rules, ready.optimizer, timing)


def train_ensemble(
    network: Network,
    task: Task,
    parametrization: Parametrization | None = None,
    optimizer: Optimizer | None = None,
    *,
    width: int,
    steps: int,
    seeds: Sequence[int],
    weights: str = "conditioned",
    tolerance: float = TOLERANCE,
    batch: int | None = None,
    dtype: Any = None,
    memory: float | None = None,
    backward: str = "reused",
) -> tuple[xr.Dataset, Parameters]:
    """The same run for many seeds at once, for means and errors; arguments as for `train`.

    Returns what was recorded, with a dimension ``seed`` in front (a run that diverged shows as NaN or inf), and
    the trained parameters with the same leading axis: `member` takes one of them out.

    >>> import neural_limits as nl
    >>> data, _ = nl.train_ensemble(nl.MLP(1), nl.tasks.toy(), width=64, steps=2, seeds=range(3), tolerance=0.05)
    >>> data.loss.dims, data.loss.shape
    (('seed', 'step'), (3, 3))
    """
    ready = prepare(
        network, task, parametrization, optimizer, width=width, steps=steps, weights=weights, seeds=list(seeds),
        tolerance=tolerance, batch=batch, dtype=dtype, backward=backward,
    )  # fmt: skip
    state, status, message = run_steps(
        ready.state, ready.setting, ready.plan, steps, (), lambda step, parameters: None, memory, None
    )
    data = ensemble_dataset(state, seeds, task, ready.setting.order, weights)
    data.attrs.update(ready.settings, status=status, message=message)
    return data, state.parameters


def member(parameters: Parameters, index: int) -> Parameters:
    """One network of an ensemble's parameters."""
    return jax.tree.map(lambda x: x[index], parameters)


def _warn_if_dense_is_cheaper(hidden: tuple[Weights, ...]) -> None:
    for weight in with_bases(hidden):
        if weight.rank > DENSE_IS_CHEAPER * min(weight.shape):
            warnings.warn(
                f"hidden weight of width {min(weight.shape)} has touched rank {weight.rank} (left and right), "
                'above half of its width: weights="dense" is likely cheaper; or raise `width` or `tolerance`.',
                stacklevel=3,
            )
            return
