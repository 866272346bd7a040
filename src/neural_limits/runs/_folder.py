"""`RunFolder`: the files of one run, and the record run.json that says what they are."""

from __future__ import annotations

import os
import shutil
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import xarray as xr

from .._checks import one_of
from ._atomic import atomic_write, is_temporary, remove_stale
from ._json import read_json, to_json
from ._lines import first_line
from ._netcdf import read_netcdf, to_netcdf
from ._process import is_alive, this_process
from ._status import STATUSES, status_of
from ._versions import versions

RECORD = "run.json"
FORMAT = "neural-limits run 1"


@dataclass(frozen=True)
class RunFolder:
    """A folder with run.json (configuration, versions, status, timing), datasets, figures and a page.

    Made by `create` or `open`. Every file is written whole or not at all, and listed in run.json before it
    is written, so that overwriting a run removes what this library wrote and nothing else.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     folder = RunFolder.create(Path(place) / "run")
    ...     _ = folder.write_dataset("data.nc", xr.Dataset({"loss": ("step", [1.0, 0.5])}))
    ...     folder.finish("completed")
    ...     again = RunFolder.open(place + "/run")
    ...     again.status, again.read_dataset("data.nc").loss.values, again.info()["files"]
    ('completed', array([1. , 0.5]), ['data.nc'])
    """

    path: Path

    @classmethod
    def create(cls, path: str | os.PathLike[str], overwrite: bool = False) -> RunFolder:
        """A folder for a new run, its status ``running``.

        FileExistsError for a folder that is not empty, unless ``overwrite``; then also for one that holds no
        run of this library, or a run whose process lives. NotADirectoryError where a file is in the way.
        """
        folder = cls(Path(path))
        if folder.path.exists() and not folder.path.is_dir():
            raise NotADirectoryError(f"{path} is a file; name another folder.")
        folder.path.mkdir(parents=True, exist_ok=True)
        remove_stale(folder.path)
        if any(not is_temporary(entry) for entry in folder.path.iterdir()):
            folder._clear(overwrite)
        start = {"status": "running", "message": "", "created": _now(), "process": this_process()}
        folder._write_record({**start, "versions": versions()})
        return folder

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> RunFolder:
        """The folder of a run made before; FileNotFoundError or OSError in one line where it is none."""
        folder = cls(Path(path))
        if not folder.path.is_dir():
            raise FileNotFoundError(f"there is no folder {path}.")
        folder.info()
        remove_stale(folder.path)
        return folder

    # -- the record ----------------------------------------------------------------------------------------

    def info(self) -> dict[str, Any]:
        """What run.json holds."""
        if not (self.path / RECORD).exists():
            raise FileNotFoundError(f"{self.path} holds no run: there is no {RECORD} in it.")
        content = read_json(self.path / RECORD)
        if content.get("format") != FORMAT or not isinstance(content.get("files"), list):
            raise OSError(f"{self.path / RECORD} was not written by neural-limits; name another folder.")
        return content

    def update(self, **fields: Any) -> None:
        """Set fields of run.json."""
        self._write_record({**self.info(), **fields})

    @property
    def status(self) -> str:
        """One of `STATUSES`, or ``interrupted`` where the process ended without recording its end."""
        return status_of(self.info())[0]

    @property
    def message(self) -> str:
        """One line on the status, empty where there is nothing to say."""
        return status_of(self.info())[1]

    def finish(self, status: str, message: str = "", **fields: Any) -> None:
        """Record how the run ended, and when."""
        one_of("status", status, STATUSES[1:])
        self.update(status=status, message=message, finished=_now(), **fields)

    def resume(self) -> RunFolder:
        """This folder, its status ``running`` again in this process; its files stay.

        FileExistsError where the process that writes it lives.
        """
        self._check_not_running()
        self.update(status="running", message="", process=this_process(), versions=versions())
        return self

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Records the status ``failed``, the reason and the traceback if the block raises; the error goes on."""
        try:
            yield
        except KeyboardInterrupt as error:
            self._fail(f"interrupted by Ctrl-C {error}".rstrip())
            raise
        except BaseException as error:
            self._fail(first_line(error), traceback="".join(traceback.format_exception(error)))
            raise

    # -- files ---------------------------------------------------------------------------------------------

    def write_bytes(self, name: str, content: bytes) -> Path:
        """Write a file whole or not at all; its path."""
        self._claim(name)
        with atomic_write(self.path / name) as file:
            file.write(content)
        return self.path / name

    def write_text(self, name: str, content: str) -> Path:
        """Write text in UTF-8."""
        return self.write_bytes(name, content.encode("utf-8", "backslashreplace"))

    def write_json(self, name: str, content: Mapping[str, Any]) -> Path:
        """Write a JSON object; for run.json, the fields besides those that keep the folder."""
        if name == RECORD:
            self.update(**content)
            return self.path / name
        return self.write_bytes(name, to_json(content))

    def write_dataset(self, name: str, data: xr.Dataset) -> Path:
        """Write a dataset as netCDF."""
        return self.write_bytes(name, to_netcdf(data))

    def reserve(self, name: str) -> Path:
        """The path of a folder in this one for files of this run alone: overwriting the run removes it whole.

        FileExistsError where one stands there that was not reserved.
        """
        info = self.info()
        folders = list(info.get("folders", []))
        if _file_name(name) not in folders:
            if os.path.lexists(self.path / name):
                raise FileExistsError(f"{self.path / name} was not written by neural-limits; move it away.")
            self._write_record({**info, "folders": [*folders, name]})
        return self.path / name

    def read_dataset(self, name: str) -> xr.Dataset:
        """A dataset, read whole; OSError in one line where it is missing or damaged."""
        return read_netcdf(self.path / _file_name(name))

    def has(self, name: str) -> bool:
        """Whether the file is there."""
        return (self.path / _file_name(name)).is_file()

    def _fail(self, reason: str, **fields: Any) -> None:
        with suppress(OSError):  # a full disk may not take this either
            self.finish("failed", reason, **fields)

    # -- what keeps users' files safe ----------------------------------------------------------------------

    def _claim(self, name: str) -> None:
        """List a file in run.json before it is written; refuse to replace one that is not listed."""
        info = self.info()
        files = list(info["files"])
        if _file_name(name) in files:
            return
        if os.path.lexists(self.path / name):
            raise FileExistsError(f"{self.path / name} was not written by neural-limits; move it away.")
        self._write_record({**info, "files": [*files, name]})

    def _clear(self, overwrite: bool) -> None:
        """Remove the files that run.json lists; run.json itself is replaced later."""
        if not overwrite:
            raise FileExistsError(f"{self.path} is not empty; name another folder, or pass --overwrite.")
        try:
            info = self.info()
        except OSError as error:
            raise FileExistsError(f"{error} It is not overwritten; name another folder.") from None
        self._check_not_running()
        for name in info["files"]:
            (self.path / _file_name(name)).unlink(missing_ok=True)
        for name in info.get("folders", []):
            shutil.rmtree(self.path / _file_name(name), ignore_errors=True)

    def _check_not_running(self) -> None:
        info = self.info()
        if info.get("status") == "running" and is_alive(info.get("process", {})):
            writer = info.get("process", {}).get("pid")
            raise FileExistsError(f"{self.path} is being written by process {writer}; wait, or stop it.")

    def _write_record(self, fields: Mapping[str, Any]) -> None:
        content = to_json({"files": [], **fields, "format": FORMAT})
        with atomic_write(self.path / RECORD) as file:
            file.write(content)


def _file_name(name: str) -> str:
    """The name of a file in the folder itself; ValueError for a path, a hidden name, or the record."""
    plain = isinstance(name, str) and name == Path(name).name and not name.startswith(".")
    if not plain or not name or "\0" in name or "\\" in name or name == RECORD:
        raise ValueError(f"`name` must name a file in the run's folder, other than {RECORD}; got {name!r}.")
    return name


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
