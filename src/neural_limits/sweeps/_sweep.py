"""`sweep` and `open_sweep`: a grid of trials in a folder, run to its end, and what came of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._checks import one_of, positive_float, positive_int
from ._driver import Driver, Tally, mark_damaged, retry
from ._engine import Engine
from ._folder import SweepFolder
from ._request import Request
from ._status import Status, status

if TYPE_CHECKING:
    import xarray as xr

ENGINES = ("local", "ray")
GRACE = 60.0  # seconds that trials in hand have to keep a checkpoint when the sweep is stopped


@dataclass(frozen=True)
class Options:
    """How a sweep is run. ``workers`` None: as many as there are cores; ``checkpoint_every`` None: by time."""

    engine: str = "local"
    workers: int | None = None
    address: str | None = None
    cpus: float = 1.0
    gpus: float = 0.0
    checkpoint_every: int | None = None
    retry_failed: bool = False

    def __post_init__(self) -> None:
        one_of("engine", self.engine, ENGINES)
        if self.engine == "local" and (self.address is not None or self.gpus or self.cpus != 1):
            raise ValueError("`address`, `cpus` and `gpus` belong to the engine ray; add --engine ray.")
        positive_float("cpus", self.cpus)
        positive_float("gpus", self.gpus, zero=True)
        for name in ("workers", "checkpoint_every"):
            if getattr(self, name) is not None:
                positive_int(name, getattr(self, name))


class Sweep:
    """The folder of a sweep. Made by `sweep` or `open_sweep`."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.folder = SweepFolder.open(path)

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.folder.path

    @property
    def data(self) -> xr.Dataset:
        """All trials as one labelled dataset, read anew: see `dataset`."""
        from ._data import dataset

        return dataset(self.folder)

    def status(self) -> Status:
        """Counts by state, rate, time remaining, trials in hand, failures."""
        return status(self.folder)

    def trial(self, name: str) -> xr.Dataset:
        """Everything that one finished trial recorded, by the name in ``data.trial_name``."""
        return self.folder.recorded(name)

    def __repr__(self) -> str:
        now = self.status()
        return f"<Sweep {self.path}: {now.finished} of {now.total} trials finished>"


def open_sweep(path: str | os.PathLike[str]) -> Sweep:
    """The sweep in a folder, running or finished; OSError in one line where there is none."""
    return Sweep(path)


def sweep(
    base: Mapping[str, Any] | None = None,
    grid: Mapping[str, Any] | None = None,
    *,
    out: str | os.PathLike[str],
    random: Mapping[str, Any] | None = None,
    halving: Mapping[str, Any] | None = None,
    progress: Callable[[Status], None] | None = None,
    **options: Any,
) -> Sweep:
    """Train every combination of the fields in ``grid``, what ``out`` already holds excepted; returns when all ended.

    ``base`` holds the fields (those of `neural-limits simulate`) that are the same for all; ``grid`` lists of values,
    or ranges {from, to, count, scale}; ``random`` and ``halving`` as in docs/sweeps.md. Trials that fail or diverge are
    marked and do not stop the others. May be stopped at any moment and called again; several at once on one folder
    share the work. ``options``: engine="local" or "ray", workers, address, cpus, gpus, checkpoint_every, retry_failed.
    ``progress`` is given the status every few seconds.

    ValueError for a field or value that there is none of; OSError in one line where the folder cannot be written to.

    >>> import neural_limits as nl
    >>> found = nl.sweep({"width": 32, "weights": "dense", "steps": 3}, {"lr": [0.1, 0.3]}, out=folder, workers=1)
    ... # doctest: +SKIP
    >>> found.data.loss  # doctest: +SKIP
    """
    tables = {"base": base, "grid": grid, "random": random, "halving": halving}
    request = Request.of({name: table for name, table in tables.items() if table is not None})
    chosen = Options(**options)
    folder = SweepFolder.create(out)
    folder.add_request(request)
    run(folder, chosen, lambda text: None, _every_few_seconds(folder, progress))
    return Sweep(out)


def run(
    folder: SweepFolder, options: Options, tell: Callable[[str], None], observe: Callable[[], None] = lambda: None
) -> Tally:
    """Run what a folder was asked for; what this driver did. ``tell`` gets a line on each thing that went wrong."""
    put_in_order(folder, options, tell)
    engine = engine_for(folder.path, options)
    try:
        return Driver(folder, engine, tell).run(observe)
    finally:
        stop(engine)


def put_in_order(folder: SweepFolder, options: Options, tell: Callable[[str], None]) -> None:
    """Remove what a killed driver left, mark what is damaged, let failures wait again if that is wanted."""
    folder.now()  # OSError where nothing can be written
    folder.sweep_up()
    mark_damaged(folder, tell)
    if options.retry_failed:
        retry(folder, folder.scan())


def stop(engine: Engine) -> None:
    """End its processes; trials in hand have a minute to keep a checkpoint."""
    try:
        engine.stop(GRACE)
    except KeyboardInterrupt:  # a second one: at once
        engine.stop(0.0)
        raise


def engine_for(path: Path, options: Options) -> Engine:
    """The engine that is chosen, its workers started."""
    if options.engine == "local":
        from ._local import LocalEngine

        return LocalEngine(path, options.workers, options.checkpoint_every)
    from ._ray import RayEngine

    return RayEngine(path, options)


def _every_few_seconds(folder: SweepFolder, progress: Callable[[Status], None] | None) -> Callable[[], None]:
    if progress is None:
        return lambda: None
    from ._pace import Pace

    pace = Pace()

    def observe() -> None:
        with suppress(OSError):
            pace(lambda: progress(status(folder)))

    return observe
