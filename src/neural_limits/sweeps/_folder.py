"""The folder of a sweep: what was asked for, and a folder for each trial. Nothing in it is ever changed in place."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from ..runs import atomic_write, disk_message, read_json, to_json, writing_to
from . import _trial
from ._configuration import Configuration
from ._owner import lives
from ._request import Request
from ._trial import CLAIM, ERROR, FAILED, RESULTS, RETRY, SUMMARY, WAITING, Baton, Damaged

if TYPE_CHECKING:
    import xarray as xr

MARK, FORMAT = "sweep.json", "neural-limits sweep 1"
TRIALS, REQUESTS, WORKERS = "trials", "requests", "workers"


class Found(NamedTuple):
    """A trial as it stands: waiting, running, interrupted, failed, damaged, or how it ended."""

    name: str
    state: str
    folder: Path  # the inner one
    owner: str = ""


@dataclass(frozen=True)
class SweepFolder:
    """The files of a sweep. Made by `create` or `open`."""

    path: Path

    @classmethod
    def create(cls, path: str | os.PathLike[str]) -> Self:
        """The folder, made if it is not there; FileExistsError where it holds something else."""
        folder = cls(Path(path))
        if (folder.path / MARK).exists():
            return cls.open(path)
        if folder.path.exists() and any(folder.path.iterdir()) and not (folder.path / TRIALS).is_dir():
            raise FileExistsError(f"{path} is not empty and holds no sweep; name another folder.")
        with writing_to(folder.path):
            for name in (TRIALS, REQUESTS, WORKERS):
                (folder.path / name).mkdir(parents=True, exist_ok=True)
            with atomic_write(folder.path / MARK) as file:
                file.write(to_json({"format": FORMAT}))
        return folder

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """The folder of a sweep made before; OSError in one line where it is none."""
        folder = cls(Path(path))
        if not (folder.path / MARK).exists():
            raise FileNotFoundError(f"{path} holds no sweep: there is no {MARK} in it.")
        if read_json(folder.path / MARK).get("format") != FORMAT:
            raise OSError(f"{folder.path / MARK} was not written by this version of neural-limits.")
        return folder

    @staticmethod
    def holds(path: str | os.PathLike[str]) -> bool:
        """Whether there is a sweep in a folder."""
        return (Path(path) / MARK).exists()

    @cached_property
    def trials(self) -> Path:
        """Where the trials' folders are."""
        return self.path / TRIALS

    # -- what was asked for --------------------------------------------------------------------------------

    def add_request(self, request: Request) -> None:
        """Keep a request, once."""
        content = to_json(request.tables())
        path = self.path / REQUESTS / f"{hashlib.sha256(content).hexdigest()[:16]}.json"
        if not path.exists():
            with writing_to(self.path), atomic_write(path) as file:
                file.write(content)

    def requests(self) -> list[Request]:
        """Everything asked for so far, oldest first."""
        paths = [path for path in (self.path / REQUESTS).iterdir() if path.suffix == ".json"]
        return [Request.of(read_json(path)) for path in sorted(paths, key=lambda p: (p.stat().st_mtime, p.name))]

    # -- trials --------------------------------------------------------------------------------------------

    def create_trial(self, configuration: Configuration) -> None:
        """A folder for a trial, unless it has one."""
        with writing_to(self.path):
            _trial.create(self.trials, configuration)

    def scan(self) -> Iterator[Found]:
        """Every trial as it stands; a few microseconds each, as names say it all."""
        with os.scandir(self.trials) as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
        for name in names:
            yield self.find(name)

    def find(self, name: str) -> Found:
        """One trial as it stands."""
        try:
            found = _trial.baton(self.trials / name)
        except OSError:
            return Found(name, "damaged", self.trials / name)
        state = found.state if found.state != CLAIM else "interrupted" if self._void(found) else "running"
        return Found(name, state, found.path, found.owner)

    def configuration(self, name: str) -> Configuration:
        """What the trial is; `Damaged` where that cannot be read."""
        return _trial.read_configuration(self.trials / name)

    def summary(self, found: Found) -> dict[str, Any]:
        """What a finished trial came to; `Damaged` where that cannot be read."""
        try:
            summary = read_json(found.folder / SUMMARY)
            float(summary["loss"]), str(summary["message"]), float(summary["seconds"])
        except (OSError, KeyError, TypeError, ValueError):
            remedy = f"remove the folder {self.trials / found.name} and run the sweep again"
            raise Damaged(f"{found.folder / SUMMARY} is damaged; {remedy}.") from None
        return summary

    def recorded(self, name: str) -> xr.Dataset:
        """Everything that a finished trial recorded; OSError in one line where that cannot be read."""
        from ..runs import read_netcdf

        return read_netcdf(self.find(name).folder / _trial.DATA)

    def error(self, found: Found) -> str:
        """Why a trial failed."""
        with suppress(OSError, KeyError):
            return str(read_json(found.folder / ERROR)["message"])
        code = found.folder.name.partition("-")[2]
        full = disk_message(OSError(getattr(errno, code, None), ""), self.trials / found.name, RETRY)
        return full or f"{code or 'no message'}: the reason could not be written; see {found.folder / _trial.LOG}."

    def reason(self, found: Found) -> str:
        """Why a trial has no completed result; empty for one that has, or that is on its way."""
        if found.state == "failed":
            return self.error(found)
        if found.state == "damaged":
            return f"{found.folder} is damaged; remove it and run the sweep again."
        try:
            return str(self.summary(found)["message"]) if is_result(found.state) else ""
        except Damaged as error:
            return str(error)

    # -- putting right -------------------------------------------------------------------------------------

    def free(self, found: Found) -> bool:
        """Let a trial wait again whose holder is known to be gone."""
        return _trial.move(found.folder, self.trials / found.name / WAITING)

    def retry(self, found: Found) -> bool:
        """Let a failed trial wait again; its log and checkpoint stay."""
        with suppress(FileNotFoundError):
            (found.folder / ERROR).unlink()
        return self.free(found)

    def mark_failed(self, found: Found, message: str, code: str = "") -> bool:
        """Mark a trial that nobody holds."""
        with suppress(OSError):
            (found.folder / ERROR).write_bytes(to_json({"message": message}))
        return _trial.move(found.folder, self.trials / found.name / "-".join(filter(None, (FAILED, code))))

    def sweep_up(self) -> None:
        """Remove what killed processes left half made."""
        for path in self.trials.glob(".new-*"):
            if lives("-".join(path.name.split("-")[1:4])) is False:
                shutil.rmtree(path, ignore_errors=True)

    def now(self) -> float:
        """The time on the clock of the folder's file system, which the heartbeats show; OSError if it takes nothing."""
        path = self.path / WORKERS / f".clock-{secrets.token_hex(4)}"
        with writing_to(self.path):
            path.touch()
        try:
            return path.stat().st_mtime
        finally:
            path.unlink(missing_ok=True)

    def _void(self, found: Baton) -> bool:
        """Whether a claim's process is gone; taken to live where the folder's clock cannot be read."""
        try:
            return found.is_void(0.0 if lives(found.owner) is not None else self.now())
        except OSError:
            return False


def is_result(state: str) -> bool:
    """Whether a trial of this state is finished."""
    return state in RESULTS
