"""What experiments that train a grid have in common: a session in their folder, and trials that all came to an end."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import xarray as xr

from ..sweeps import Session, cores
from ._experiment import Context

MEMORY = 4.0  # GiB of the largest trials, width 65,536 on conditioned weights


@contextmanager
def trials(context: Context, name: str) -> Iterator[Session]:
    """The sweep of that name, gone on with where an earlier run of the experiment stopped."""
    workers = context.workers or default_workers(cores(), _memory())
    with Session(context.sweeps / name, tell=context, workers=workers, retry_failed=True) as session:
        yield session


def default_workers(cores: int, memory: float | None) -> int:
    """One a core, as far as the machine's memory (GiB) goes.

    >>> default_workers(16, 30.9), default_workers(2, 3.0), default_workers(2, None)
    (7, 1, 2)
    """
    return cores if memory is None else max(1, min(cores, int(memory // MEMORY)))


def _memory() -> float | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (AttributeError, ValueError, OSError):
        return None


def ended(session: Session, base: Mapping[str, Any], grid: Mapping[str, Any]) -> xr.Dataset:
    """`Session.run`; OSError with the reason where a trial has neither completed nor diverged."""
    found = session.run(base, grid)
    known = np.isin(found.status, ("completed", "diverged"))
    if not known.all():
        trial = session.folder.find(str(found.trial_name.values[~known][0]))
        reason = session.folder.reason(trial)
        raise OSError(f"a trial {trial.state.replace('_', ' ')} in {session.folder.path}: {reason}")
    return found
