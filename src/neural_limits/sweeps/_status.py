"""How a sweep stands: counts, rate, time remaining, what runs and what failed."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from ._folder import Found, SweepFolder, is_result
from ._trial import PROGRESS, RESULTS

STATES = ("waiting", "running", "interrupted", *RESULTS, "failed", "damaged")
WINDOW = 600.0  # seconds over which the rate is taken
SHOWN = 20  # failures told in words


@dataclass(frozen=True)
class Running:
    """A trial in hand."""

    name: str
    owner: str
    step: int
    steps: int
    loss: float


@dataclass(frozen=True)
class Status:
    """A sweep at one moment."""

    counts: dict[str, int]
    per_minute: float  # trials finished, over the last ten minutes
    remaining_seconds: float | None  # None where no rate is known
    running: tuple[Running, ...]
    failures: tuple[tuple[str, str], ...]  # name and reason

    @property
    def total(self) -> int:
        """All trials there are."""
        return sum(self.counts.values())

    @property
    def finished(self) -> int:
        """Those with a result."""
        return sum(self.counts[state] for state in RESULTS)

    @property
    def open(self) -> int:
        """Those that are still to be done or finished."""
        return self.counts["waiting"] + self.counts["running"] + self.counts["interrupted"]

    def plain(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {"total": self.total, "finished": self.finished, **asdict(self)}


def status(folder: SweepFolder) -> Status:
    """Read off names and times: no result is opened, so ten thousand trials take a fraction of a second."""
    counts: Counter[str] = Counter(dict.fromkeys(STATES, 0))
    times: list[float] = []
    running: list[Running] = []
    failures: list[tuple[str, str]] = []
    for found in folder.scan():
        counts[found.state] += 1
        if is_result(found.state):
            with suppress(OSError):
                times.append(found.folder.stat().st_mtime)
        elif found.state == "running":
            running.append(_running(found))
        elif found.state in ("failed", "damaged") and len(failures) < SHOWN:
            failures.append((found.name, folder.reason(found)))
    rate = _per_minute(times)
    open_ = counts["waiting"] + counts["running"] + counts["interrupted"]
    left = 60 * open_ / rate if rate else (0.0 if not open_ else None)
    return Status(dict(counts), rate, left, tuple(running), tuple(failures))


def _per_minute(times: list[float]) -> float:
    """Finished per minute over the window, or since the first if that was later."""
    recent = [t for t in times if time.time() - t < WINDOW]
    if len(recent) < 2:
        return 0.0
    return 60 * (len(recent) - 1) / max(time.time() - min(recent), 1e-3)


def _running(found: Found) -> Running:
    step, steps, loss = "0", "0", "nan"
    with suppress(OSError, ValueError):
        step, steps, loss = (found.folder / PROGRESS).read_text().split()
    return Running(found.name, found.owner, int(step), int(steps), float(loss))
