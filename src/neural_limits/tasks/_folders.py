"""Where data sets are looked for: a folder given, else NEURAL_LIMITS_DATA, else places of the system."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

VARIABLE = "NEURAL_LIMITS_DATA"


def user_folder() -> Path | None:
    """The folder that NEURAL_LIMITS_DATA names, None where it is not set."""
    value = os.environ.get(VARIABLE, "")
    return Path(value).expanduser() if value else None


def candidates(folder: str | os.PathLike[str] | None, name: str, system: tuple[Path, ...]) -> list[Path]:
    """Folders to look in, in order; a folder given by argument is the only one."""
    if folder is not None:
        return [Path(folder).expanduser()]
    user = user_folder()
    return ([user / name, user] if user is not None else []) + list(system)


def first_holding(folders: list[Path], holds: Callable[[Path], bool]) -> Path | None:
    """The first folder that holds any of the data set's files."""
    return next((folder for folder in folders if holds(folder)), None)


def missing(title: str, folders: list[Path], ways: str) -> FileNotFoundError:
    """The one-line error of a data set that is nowhere: where it was looked for, and how to get it."""
    places = ", ".join(str(folder) for folder in folders) or "no folder"
    return FileNotFoundError(f"{title} was not found (looked in {places}); {ways}.")
