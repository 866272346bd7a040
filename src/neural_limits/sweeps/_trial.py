"""The folder of one trial, and the one folder in it whose name says how the trial stands.

    trials/HASH/config.json                      the configuration; HASH is its hash
    trials/HASH/waiting/                         nobody works on it; a checkpoint may lie in it
    trials/HASH/claim-HOST-PID-START-NONCE/      that process works on it; the folder's time is its heartbeat
    trials/HASH/completed/  (diverged/, rank_exhausted/)   finished
    trials/HASH/failed/     (failed-ENOSPC/ ...)           gave up, error.json says why

The inner folder is made once and from then on only renamed, and a rename has one winner. So a trial is never
held by two, and who has lost it (suspended, cut off) finds his folder gone: nothing he writes arrives.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

from ..runs import read_json, sync_folder, to_json
from ._configuration import PLACES, Configuration, name_of
from ._owner import lives, this_owner

WAITING, CLAIM, FAILED = "waiting", "claim", "failed"
RESULTS = ("completed", "diverged", "rank_exhausted")
RETRY = "run again with --retry-failed"  # what to do once a failure's cause is mended
HEARTBEAT = 10.0  # seconds between signs of life
STALE = 180.0  # seconds without one after which another host's claim is void; network file systems show times late
CONFIG, SUMMARY, ERROR, CHECKPOINT, LOG, PROGRESS, DATA, CURVE = (
    "config.json", "summary.json", "error.json", "checkpoint", "log.txt", "progress", "data.nc", "loss.npy",
)  # fmt: skip
_CLAIM = re.compile(r"claim-([0-9a-f]{8}-\d+-\d+)-[0-9a-f]+")


class ClaimLost(Exception):
    """Another process took the trial over."""


class Damaged(OSError):
    """A file of a trial that cannot be read; one line that says which and what to do."""


class Baton(NamedTuple):
    """The inner folder as it was found."""

    path: Path
    state: str  # waiting, claim, failed, or one of RESULTS
    owner: str = ""

    def is_void(self, now: float) -> bool:
        """Of a claim: whether its process is gone; ``now`` on the clock of the folder's file system."""
        known = lives(self.owner)
        if known is not None:
            return not known
        try:
            return now - self.path.stat().st_mtime > STALE
        except OSError:  # it has moved on
            return False


def create(trials: Path, configuration: Configuration) -> str:
    """The folder of a trial that nobody has begun, unless there is one; its name."""
    canonical = configuration.canonical()
    name = name_of(canonical)
    if (trials / name).is_dir():
        return name
    places = {"data_folder": configuration.data_folder, "memory": configuration.memory}
    new = trials / f".new-{this_owner()}-{secrets.token_hex(4)}"
    try:
        (new / WAITING).mkdir(parents=True)
        (new / CONFIG).write_bytes(to_json(canonical | {k: v for k, v in places.items() if v is not None}))
        new.rename(trials / name)
    except OSError:
        shutil.rmtree(new, ignore_errors=True)
        if not (trials / name).is_dir():
            raise
    return name


def read_canonical(folder: Path) -> dict[str, Any]:
    """A trial's fields as `Configuration.canonical` gives them; the folder's name vouches that they are. `Damaged`."""
    try:
        found = {k: v for k, v in read_json(folder / CONFIG).items() if k not in PLACES}
        if name_of(found) == folder.name:
            return found
    except (OSError, ValueError, TypeError):
        pass  # said below
    return read_configuration(folder).canonical()


def read_configuration(folder: Path) -> Configuration:
    """The configuration of a trial; `Damaged` where it is unreadable or not the one its folder is named by."""
    remedy = f"remove the folder {folder} and run the sweep again"
    try:
        configuration = Configuration.of(read_json(folder / CONFIG))
    except (OSError, ValueError, TypeError):
        raise Damaged(f"{folder / CONFIG} is damaged; {remedy}.") from None
    if name_of(configuration.canonical()) != folder.name:
        raise Damaged(f"{folder / CONFIG} is not what the folder is named by; {remedy}.")
    return configuration


def baton(folder: Path) -> Baton:
    """How the trial stands; `Damaged` where its inner folder is missing.

    A rename may fall between the reading of the folder and now; whoever acts on the answer finds out.
    """
    for _ in range(100):
        with os.scandir(folder) as entries:
            for entry in entries:
                found = parse(entry.name)
                if found is not None:
                    return Baton(folder / entry.name, *found)
    raise Damaged(f"{folder} is damaged (nothing in it says how the trial stands); remove it and run the sweep again.")


def parse(name: str) -> tuple[str, str] | None:
    """State and owner from the name of an inner folder, None for any other name.

    >>> parse("claim-0badcafe-12-345-6f"), parse("failed-ENOSPC"), parse("config.json")
    (('claim', '0badcafe-12-345'), ('failed', ''), None)
    """
    if name == WAITING or name in RESULTS:
        return name, ""
    if name.partition("-")[0] == FAILED:
        return FAILED, ""
    found = _CLAIM.fullmatch(name)
    return (CLAIM, found[1]) if found else None


@dataclass
class Claim:
    """A trial that this process holds."""

    trial: Path
    folder: Path  # the inner one, under the name that only this claim has
    lost: bool = False

    @classmethod
    def take(cls, folder: Path, now: float) -> Self | None:
        """The trial if it waits or its holder is gone; None where another holds it or it is finished.

        `Damaged` for a folder without state; OSError where the folder cannot be written to.
        """
        found = baton(folder)
        if not (found.state == WAITING or (found.state == CLAIM and found.is_void(now))):
            return None
        mine = folder / f"{CLAIM}-{this_owner()}-{secrets.token_hex(4)}"
        with suppress(FileNotFoundError):
            os.utime(found.path)  # the heartbeat must not look old to another host once the claim is made
        return cls(folder, mine) if move(found.path, mine) else None

    def beat(self, progress: str) -> None:
        """A sign of life, and how far the trial is; `ClaimLost` where it was taken over."""
        try:
            os.utime(self.folder)
            (self.folder / PROGRESS).write_text(progress)
        except FileNotFoundError:
            self.lost = True
            raise ClaimLost(f"another process took over {self.trial.name}") from None

    def log(self, text: str) -> None:
        """A line in the trial's log."""
        with suppress(FileNotFoundError), open(self.folder / LOG, "a") as file:
            file.write(f"{datetime.now().astimezone().isoformat(timespec='milliseconds')} {text}\n")

    def write(self, name: str, content: bytes) -> None:
        """A file that is on the disk before the trial is finished; the finishing rename makes it count."""
        with open(self.folder / name, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def give(self, state: str) -> None:
        """Hand the trial over under its new state; `ClaimLost` where it was taken over before."""
        if state in RESULTS:
            sync_folder(self.folder)
        if not move(self.folder, self.trial / state):
            self.lost = True
            raise ClaimLost(f"another process took over {self.trial.name}")
        if state in RESULTS:
            sync_folder(self.trial)

    def fail(self, message: str, code: str = "", **fields: Any) -> None:
        """Give the trial up; the code in the name stays where no file can be written."""
        with suppress(OSError):
            self.write(ERROR, to_json({"message": message, **fields}))
        self.give("-".join(filter(None, (FAILED, code))))


def move(old: Path, new: Path) -> bool:
    """Rename; False where another was faster."""
    try:
        old.rename(new)
    except FileNotFoundError:
        return new.is_dir() and CLAIM in new.name  # a network file system may repeat a rename that was done
    return True
