"""What experiments that train a grid have in common: a session in their folder, and trials that all came to an end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import xarray as xr

from ..sweeps import Session
from ._experiment import Context


@contextmanager
def trials(context: Context, name: str) -> Iterator[Session]:
    """The sweep of that name, gone on with where an earlier run of the experiment stopped."""
    with Session(context.sweeps / name, tell=context, workers=context.workers, retry_failed=True) as session:
        yield session


def ended(session: Session, base: Mapping[str, Any], grid: Mapping[str, Any]) -> xr.Dataset:
    """`Session.run`; OSError with the reason where a trial has neither completed nor diverged."""
    found = session.run(base, grid)
    known = np.isin(found.status, ("completed", "diverged"))
    if not known.all():
        trial = session.folder.find(str(found.trial_name.values[~known][0]))
        reason = session.folder.reason(trial)
        raise OSError(f"a trial {trial.state.replace('_', ' ')} in {session.folder.path}: {reason}")
    return found
