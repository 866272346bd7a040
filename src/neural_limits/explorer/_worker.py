"""One computation at a time, in a process of its own, so that a stop stops it whatever it is doing."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from ._child import serve_views
from ._view import View

STOP_SECONDS = 180.0  # three times what is accepted (`SECONDS`), for slow and busy machines


@dataclass(frozen=True)
class Job:
    """Where a computation stands: running, done, stopped or failed."""

    number: int
    view: View
    state: str = "running"
    message: str = ""
    done: int = 0
    total: int = 0
    started: float = 0.0
    data: Any = None  # an xarray dataset once it is done

    @property
    def seconds(self) -> float:
        """Since it was asked for."""
        return time.monotonic() - self.started


class Worker:
    """Computes the view last asked for; a new one stops the one before it.

    The process is kept between computations, so that what is compiled is there for the next; after a stop another
    one is started at once. Safe to use from several threads.
    """

    def __init__(self, stop_seconds: float = STOP_SECONDS) -> None:
        self._limit = stop_seconds
        self._lock = threading.RLock()
        self._job: Job | None = None
        self._numbers = 0
        self._closed = False
        self._start_process()

    def submit(self, view: View) -> int:
        """Begin; the number of the job."""
        with self._lock:
            if self._closed:
                raise RuntimeError("the worker is closed.")
            self._stop("stopped: other settings were chosen.")
            self._send(view)
            self._numbers += 1
            self._job = Job(self._numbers, view, message="starting", started=time.monotonic())
            threading.Thread(target=self._follow, args=(self._numbers, self._pipe), daemon=True).start()
            return self._numbers

    def look(self, number: int) -> Job | None:
        """The job of that number, None where a later one has taken its place."""
        with self._lock:
            return self._job if self._job is not None and self._job.number == number else None

    def cancel(self) -> None:
        """Stop what is running; nothing if nothing is."""
        with self._lock:
            self._stop("stopped.")

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._closed = True
            self._end_process()

    def _send(self, view: View) -> None:
        try:
            self._pipe.send(view)
        except OSError:  # the process has died meanwhile, as one does that takes too much memory
            self._end_process()
            self._start_process()
            self._pipe.send(view)

    def _stop(self, why: str) -> None:
        if self._job is not None and self._job.state == "running":
            self._job = replace(self._job, state="stopped", message=why)
            self._end_process()
            self._start_process()

    def _start_process(self) -> None:
        context = get_context("spawn")  # a fork would copy the threads of a web server and of JAX
        self._pipe, theirs = context.Pipe()
        self._process: BaseProcess = context.Process(
            target=serve_views, args=(theirs,), daemon=True, name="neural-limits explore"
        )
        self._process.start()
        theirs.close()

    def _end_process(self) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def _follow(self, number: int, pipe: Connection) -> None:
        """Take what the process sends until the job has ended."""
        while True:
            message = self._received(pipe)
            with self._lock:
                job = self._job
                if job is None or job.number != number or job.state != "running":
                    return
                if message is None:
                    if job.seconds > self._limit:
                        self._stop(f"stopped after {self._limit:.0f} s; lower {job.view.cheaper}.")
                elif message[0] == "progress":
                    done, total, note = message[1]
                    self._job = replace(job, done=done, total=total, message=note)
                elif message[0] == "done":
                    self._job = replace(job, state="done", message="", data=message[1])
                else:
                    self._job = replace(job, state="failed", message=message[1])

    def _received(self, pipe: Connection) -> Any:
        """A message; None where there is none yet."""
        try:
            return pipe.recv() if pipe.poll(0.1) else None
        except (EOFError, OSError, TypeError):  # ended, or closed by a stop in another thread
            code = self._process.exitcode
            return "failed", f"the computing process ended ({code}), perhaps for want of memory; choose smaller sizes."
