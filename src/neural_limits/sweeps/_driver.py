"""The driver: makes the trials, gives them to an engine's slots, and puts right what dies; it holds no truth."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ..runs import first_line
from ._configuration import name_of
from ._engine import Engine, News
from ._folder import Found, SweepFolder, is_result
from ._queue import Queue
from ._trial import Damaged

DEATHS = 5  # times that a trial may take its process down with it in one run
FULL = 5  # trials in a row that may find the disk full
POLL = 0.5  # seconds between looks at the engine
RESCAN = 15.0  # seconds between looks at the whole folder
WAIT = 2.0  # the same, while only others work


@dataclass
class Tally:
    """What one driver did: trials it finished, those that failed with the reason, processes that died."""

    finished: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    deaths: int = 0


class Driver:
    """Runs everything that a folder was asked for and that is not done yet; `run` returns when nothing is left.

    ``tell`` gets a line on each thing that went wrong.
    """

    def __init__(self, folder: SweepFolder, engine: Engine, tell: Callable[[str], None]) -> None:
        self.folder, self.engine, self.tell = folder, engine, tell
        self.requests = folder.requests()
        self.tally, self.queue = Tally(), Queue()
        self._adaptive = any(request.is_adaptive for request in self.requests)
        self._deaths: Counter[str] = Counter()
        self._shapes: dict[str, str] = {}
        self._losses: dict[str, float] = {}
        self._others = 0  # trials that other drivers have in hand
        self._left_alone: set[str] = set()  # those that cannot be taken: not tried again in this run
        self._looked = 0.0
        self._full = 0  # trials in a row that found the disk full

    def run(self, observe: Callable[[], None]) -> Tally:
        """Until every trial asked for has ended; ``observe`` is called now and then."""
        self.plan()
        self._look()
        while True:
            for slot in self.engine.idle():
                if self.queue:
                    self.engine.submit(slot, *self.queue.next(slot))
            resting = not self.engine.busy() and not self.queue
            if resting:
                self._look()
                if not self.queue and not self._others and not self._plan_more():
                    return self.tally
            for news in self.engine.news(WAIT if resting and not self.queue else POLL):
                self._hear(news)
            if time.monotonic() - self._looked > RESCAN:
                self._look()
            observe()

    # -- what there is to do -------------------------------------------------------------------------------

    def plan(self) -> bool:
        """Make folders for the trials that requests need, as far as results tell; whether there were new ones."""
        new = False
        for request in self.requests:
            for configuration in request.required(self._losses):
                name = name_of(configuration.canonical())
                if name not in self._shapes:
                    self._shapes[name] = configuration.shape()
                    self.folder.create_trial(configuration)
                    new = True
        return new

    def _plan_more(self) -> bool:
        """Whether results ask for further trials, which are then queued."""
        if not self._adaptive or not self.plan():
            return False
        self._look()
        return True

    def _look(self) -> None:
        """Read the whole folder: queue what nobody works on, drop what others did."""
        self._looked, self._others = time.monotonic(), 0
        in_hand = set(self.engine.busy().values())
        for found in self.folder.scan():
            if found.name in in_hand or found.name in self._left_alone:
                continue
            if found.state in ("waiting", "interrupted"):
                self._enqueue(found)
                continue
            self.queue.drop(found.name)
            self._others += found.state == "running"
            self._note(found)

    def _enqueue(self, found: Found) -> None:
        if found.name not in self._shapes:
            try:
                self._shapes[found.name] = self.folder.configuration(found.name).shape()
            except Damaged as error:
                self.folder.mark_failed(found, str(error), "DAMAGED")
                self._failed(found.name, str(error))
                return
        self.queue.add(found.name, self._shapes[found.name])

    def _note(self, found: Found) -> None:
        """A result, where later trials may depend on it."""
        if not self._adaptive or found.name in self._losses:
            return
        if is_result(found.state):
            try:
                self._losses[found.name] = float(self.folder.summary(found)["loss"])
            except Damaged as error:
                self._losses[found.name] = float("inf")
                self.tell(str(error))
        elif found.state in ("failed", "damaged"):
            self._losses[found.name] = float("inf")

    # -- what happened -------------------------------------------------------------------------------------

    def _hear(self, news: News) -> None:
        if news.ended is None:
            self.queue.forget(news.slot)
            self._died(news)
            return
        what, message = news.ended["what"], str(news.ended["message"])
        self._full = self._full + 1 if news.ended["status"] == "full" else 0
        if what == "finished":
            self.tally.finished += 1
            self._losses[news.trial] = float(news.ended["loss"])
        elif what == "failed":
            if news.ended["status"] == "blocked":
                self._left_alone.add(news.trial)
            self._losses[news.trial] = float("inf")
            self._failed(news.trial, message)
        if self._full >= FULL:
            raise OSError(f"the disk of {self.folder.path} is full; free some, then run again with --retry-failed.")
        if self._adaptive and what in ("finished", "failed"):
            self._plan_more()

    def _died(self, news: News) -> None:
        """A process is gone: its trial waits again, unless it has taken too many with it."""
        self.tally.deaths += 1
        if not news.trial:
            self.tell(f"a worker died ({news.message}); another takes its place")
            return
        self._deaths[news.trial] += 1
        found = self.folder.find(news.trial)
        held = found.state in ("running", "interrupted") and found.owner == news.owner
        if held and self._deaths[news.trial] >= DEATHS:
            message = (
                f"its process died {DEATHS} times ({news.message}); if memory ran out, lower `width` or samples, or "
                "run with fewer --workers; then --retry-failed."
            )
            self.folder.mark_failed(found, message)
            self._losses[news.trial] = float("inf")
            self._failed(news.trial, message)
            return
        self.tell(f"the worker of trial {news.trial} died ({news.message}); the trial goes on from its checkpoint")
        if held:
            self.folder.free(found)
            found = self.folder.find(news.trial)
        if found.state in ("waiting", "interrupted"):
            self._enqueue(found)

    def _failed(self, name: str, message: str) -> None:
        self.tally.failed[name] = message
        self.tell(f"trial {name} failed: {message}")


def retry(folder: SweepFolder, found: Iterable[Found]) -> int:
    """Let failed trials wait again; how many."""
    return sum(folder.retry(one) for one in found if one.state == "failed")


def mark_damaged(folder: SweepFolder, tell: Callable[[str], None]) -> None:
    """Mark finished trials whose results cannot be read as failed, so that --retry-failed runs them again."""
    for found in folder.scan():
        if not is_result(found.state):
            continue
        try:
            folder.summary(found)
        except Damaged as error:
            tell(f"trial {found.name}: {first_line(error)}")
            folder.mark_failed(found, str(error), "DAMAGED")
