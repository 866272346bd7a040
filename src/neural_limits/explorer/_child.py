"""The process that computes: it waits for a view, sends progress, then the numbers or one line of what went wrong."""

from __future__ import annotations

import signal
import time
import warnings
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from ..runs import first_line
from ._view import View

if TYPE_CHECKING:
    import xarray as xr

REPORT_SECONDS = 0.2  # between two lines of progress


def serve_views(pipe: Connection) -> None:
    """Compute every view that comes until the pipe closes. Ctrl-C is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import neural_limits as nl

    nl.train, nl.limits.deep_linear  # noqa: B018  # imported now, so that the first view need not wait
    try:
        pipe.send(("ready", None))
        while True:
            view: View = pipe.recv()
            try:
                pipe.send(("done", computed(view, pipe)))
            except BrokenPipeError:
                return
            except Exception as error:
                pipe.send(("failed", _explained(error)))
    except (EOFError, BrokenPipeError):  # the parent is gone
        return


def computed(view: View, pipe: Connection) -> xr.Dataset:
    """The view's numbers, with the time it took and the library's warnings as attributes."""
    begun = time.perf_counter()
    last = [-REPORT_SECONDS]

    def report(done: int, total: int, note: str) -> None:
        now = time.perf_counter()
        if now - last[0] >= REPORT_SECONDS:
            last[0] = now
            pipe.send(("progress", (done, total, note)))

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        data = view.compute(report)
    found = dict.fromkeys(str(each.message) for each in caught if each.category is UserWarning)
    data.attrs.update(seconds=time.perf_counter() - begun, warnings="\n".join(found))
    return data


def _explained(error: Exception) -> str:
    """One line; a mistake of the library's own keeps the name of its type."""
    if isinstance(error, ValueError | OSError):
        return first_line(error)
    return f"{type(error).__name__}: {first_line(error)}"
