"""A local worker: a process that trains one trial after another, told which by lines on its standard input."""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from pathlib import Path

from ._owner import this_owner

GROUPS = 16  # shapes after which compiled programs are dropped, as they would fill the memory


class Worker:
    """Trains trials in one process, so that JAX is imported once and programs of equal shapes compile once."""

    def __init__(self, folder: Path, every: int | None) -> None:
        from ._folder import SweepFolder

        self.folder, self.every = SweepFolder.open(folder), every
        self.stopping = threading.Event()
        self._shapes: set[str] = set()

    def run(self, name: str, shape: str) -> dict[str, object]:
        """Train a trial; what became of it."""
        from ..runs import first_line
        from ._execute import Ended, execute

        try:
            now = self.folder.now()
        except OSError as error:
            return Ended(name, "failed", "blocked", first_line(error)).plain()
        self._make_room(shape)
        return execute(self.folder.trials / name, now, self.stopping.is_set, self.every).plain()

    def _make_room(self, shape: str) -> None:
        if shape not in self._shapes and len(self._shapes) >= GROUPS:
            import jax

            jax.clear_caches()
            self._shapes.clear()
        self._shapes.add(shape)


def main() -> None:
    """Serve until standard input ends, which is also how the driver's death shows; then stop the trial in hand."""
    folder, every = sys.argv[1:3]
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever prints, prints into the log
    worker = Worker(Path(folder), json.loads(every))
    jobs: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(jobs, worker.stopping), daemon=True).start()
    print(json.dumps({"owner": this_owner()}), file=answers)
    while (job := jobs.get()) is not None and not worker.stopping.is_set():
        ended = worker.run(*json.loads(job))
        try:
            print(json.dumps(ended), file=answers)
        except BrokenPipeError:
            break
    os._exit(0)  # nothing is left to put right; interpreters with JAX in them take their time to close


def _listen(jobs: queue.SimpleQueue[str | None], stopping: threading.Event) -> None:
    for line in sys.stdin:
        jobs.put(line)
    stopping.set()
    jobs.put(None)
