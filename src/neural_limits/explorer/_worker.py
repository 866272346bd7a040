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
        self._start_process()

    def submit(self, view: View) -> int:
        """Begin; the number of the job."""
        with self._lock:
            if self._busy or not self._process.is_alive():  # one that takes too much memory dies
                self._restart()
            self._numbers += 1
            self._job = Job(self._numbers, view, message="starting", started=time.monotonic())
            self._send()
            return self._numbers

    def look(self, number: int) -> Job | None:
        """The job of that number, None where a later one has taken its place."""
        with self._lock:
            return self._job if self._job is not None and self._job.number == number else None

    def cancel(self) -> None:
        """Stop what is running; nothing if nothing is."""
        with self._lock:
            self._end("stopped", "by Cancel.")

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._job = None
            self._end_process()

    def _start_process(self) -> None:
        context = get_context("spawn")  # a fork would copy the threads of a web server and of JAX
        self._pipe, theirs = context.Pipe()
        self._process: BaseProcess = context.Process(
            target=serve_views, args=(theirs,), daemon=True, name="neural-limits explore"
        )
        self._process.start()
        theirs.close()
        self._ready, self._busy = False, False  # whether it has imported the library; whether it computes
        threading.Thread(target=self._listen, args=(self._pipe,), daemon=True).start()

    def _end_process(self) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def _restart(self) -> None:
        self._end_process()
        self._start_process()

    def _send(self) -> None:
        """Hand the job over, if the process is there to take it; it is handed over later if not."""
        if self._ready and not self._busy and self._job is not None and self._job.state == "running":
            try:
                self._pipe.send(self._job.view)
            except OSError:
                return  # the process has just died: the listener says so
            self._busy = True

    def _end(self, state: str, message: str) -> None:
        """The running job ends without a result."""
        if self._job is not None and self._job.state == "running":
            self._job = replace(self._job, state=state, message=message)
            if self._busy:
                self._restart()

    def _listen(self, pipe: Connection) -> None:
        """Take what one process sends until another has taken its place."""
        while True:
            message = self._received(pipe)
            with self._lock:
                if pipe is not self._pipe or pipe.closed:
                    return
                if message is None:
                    if self._job is not None and self._job.seconds > self._limit:
                        self._end("stopped", f"it took {self._limit:.0f} s; lower {self._job.view.cheaper}.")
                elif message[0] == "ready":
                    self._ready = True
                    self._send()
                elif not self._take(*message):
                    return

    def _take(self, kind: str, content: Any) -> bool:
        """Progress or the end of the running job; whether the process lives on."""
        if self._job is not None and self._job.state == "running":
            if kind == "progress":
                done, total, note = content
                self._job = replace(self._job, done=done, total=total, message=note)
            elif kind == "done":
                self._job = replace(self._job, state="done", message="", data=content)
            else:
                self._job = replace(self._job, state="failed", message=content)
        self._busy = self._busy and kind == "progress"
        return kind != "died"

    def _received(self, pipe: Connection) -> Any:
        """A message; None where there is none yet."""
        try:
            return pipe.recv() if pipe.poll(0.1) else None
        except (EOFError, OSError, TypeError):  # ended, or closed by a stop in another thread
            return "died", "the computing process ended, perhaps for want of memory; choose smaller sizes."
