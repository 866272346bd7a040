"""Local processes: one worker a core, kept alive over many trials."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from .._checks import positive_int
from ._engine import STARTS, Engine, News, WorkerFailed, cores, environment
from ._folder import WORKERS

START = "from neural_limits.sweeps._worker import main; main()"


class _Process:
    """One worker, its pipes, and what it is doing."""

    def __init__(self, slot: str, folder: Path, every: int | None) -> None:
        self.slot, self.trial, self.owner = slot, "", ""
        self.log = folder / WORKERS / f"{slot}.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", START, str(folder.resolve()), json.dumps(every)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env={**os.environ, **environment()},
                start_new_session=True,  # Ctrl-C is the driver's to handle
            )  # fmt: skip
        self.input: IO[bytes] = self.process.stdin  # type: ignore[assignment]
        self.output: IO[bytes] = self.process.stdout  # type: ignore[assignment]
        os.set_blocking(self.output.fileno(), False)
        self._rest = b""

    def lines(self) -> tuple[list[bytes], bool]:
        """New lines, and whether the worker has closed its end."""
        closed = False
        with suppress(BlockingIOError):
            while not closed:
                read = os.read(self.output.fileno(), 65536)
                closed = not read
                self._rest += read
        *whole, self._rest = self._rest.split(b"\n")
        return whole, closed

    def how_it_ended(self) -> str:
        """By which signal or with which status, and the last line of its log."""
        code = self.process.wait()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        last = self.log.read_text(errors="replace").strip().splitlines()[-1:] if self.log.exists() else []
        return ": ".join([how, *last])


class LocalEngine(Engine):
    """``workers`` processes on this machine; default: one for each core that this process may use."""

    def __init__(self, folder: Path, workers: int | None = None, every: int | None = None) -> None:
        self.count = cores() if workers is None else positive_int("workers", workers)
        self.folder, self.every = folder, every
        self._slots: dict[str, _Process] = {}
        self._selector = selectors.DefaultSelector()
        self._failed_starts = self._started = 0
        for _ in range(self.count):
            self._start()

    def idle(self) -> list[str]:
        return [slot for slot, p in self._slots.items() if p.owner and not p.trial]

    def busy(self) -> dict[str, str]:
        return {slot: p.trial for slot, p in self._slots.items() if p.trial}

    def submit(self, slot: str, trial: str, shape: str) -> None:
        process = self._slots[slot]
        process.trial = trial
        with suppress(BrokenPipeError):  # it died; its closed pipe will tell
            process.input.write(json.dumps([trial, shape]).encode() + b"\n")
            process.input.flush()

    def news(self, timeout: float) -> list[News]:
        found: list[News] = []
        for key, _ in self._selector.select(timeout):
            process: _Process = key.data
            lines, closed = process.lines()
            for line in lines:
                found += self._heard(process, json.loads(line))
            if closed:
                found += self._died(process)
        return found

    def stop(self, grace: float) -> None:
        for process in self._slots.values():
            with suppress(OSError):
                process.input.close()
        end = time.monotonic() + grace
        for process in self._slots.values():
            try:
                process.process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.process.kill()
                process.process.wait()
            self._close(process)
        self._slots.clear()
        self._selector.close()

    def _start(self) -> None:
        self._started += 1
        process = _Process(f"{os.getpid()}-{self._started}", self.folder, self.every)
        self._slots[process.slot] = process
        self._selector.register(process.output, selectors.EVENT_READ, process)

    def _heard(self, process: _Process, answer: dict[str, object]) -> list[News]:
        if not process.owner:
            process.owner, self._failed_starts = str(answer["owner"]), 0
            return []
        trial, process.trial = process.trial, ""
        return [News(process.slot, trial, answer)]

    def _died(self, process: _Process) -> list[News]:
        """Put another in its place."""
        self._selector.unregister(process.output)
        del self._slots[process.slot]
        message = process.how_it_ended()
        if not process.owner:
            self._failed_starts += 1
            if self._failed_starts >= STARTS:
                self._close(process)
                raise WorkerFailed(f"workers end before they are ready ({message}); see {process.log}.")
        self._close(process)
        self._start()
        return [News(process.slot, process.trial, None, process.owner, message)]

    def _close(self, process: _Process) -> None:
        """Pipes, and the log if nothing was ever said."""
        for pipe in (process.input, process.output):
            with suppress(OSError):
                pipe.close()
        with suppress(OSError):
            if process.log.stat().st_size == 0:
                process.log.unlink()
