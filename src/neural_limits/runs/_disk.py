"""What to do about a disk that takes nothing more, in one line."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
REFUSED = {errno.EROFS, errno.EACCES, errno.EPERM}


def disk_message(error: OSError, path: str | os.PathLike[str], then: str = "run again") -> str | None:
    """That the disk is full or a file or folder cannot be written to, and the remedy; None for other errors.

    >>> disk_message(OSError(errno.ENOSPC, "No space left on device"), "runs/a")
    'no space left to write in runs/a; free some, then run again.'
    >>> disk_message(OSError(errno.EROFS, "Read-only file system"), "runs/a")
    'runs/a cannot be written to (Read-only file system); make it writable, then run again.'
    """
    if error.errno in FULL:
        return f"no space left to write in {path}; free some, then {then}."
    if error.errno in REFUSED:
        return f"{path} cannot be written to ({os.strerror(error.errno)}); make it writable, then {then}."
    return None


@contextmanager
def writing_to(path: str | os.PathLike[str]) -> Iterator[None]:
    """An error that comes of a full or read-only disk says so, in one line that names this folder and the remedy."""
    try:
        yield
    except OSError as error:
        message = disk_message(error, path)
        if message is None:
            raise
        raise OSError(error.errno, message) from None
