"""Files that are whole or not there: written under a temporary name, then renamed."""

from __future__ import annotations

import os
import re
import secrets
import socket
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ._disk import disk_message
from ._process import pid_lives

FOREIGN_AGE = 86400.0  # seconds after which another host's temporary file counts as left behind
_PATTERN = re.compile(r"neural-limits\.([0-9a-f]{8})\.(\d+)\.[0-9a-f]{8}\.tmp")
_writing: set[Path] = set()  # temporary files of this process


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A binary file to write to, which gets its name only when all is on the disk.

    Whatever ends the block (an error, a full disk, Ctrl-C), the temporary file is removed and what stood
    under the name before stays; a killed process leaves at most a file ``neural-limits.*.tmp`` beside it.
    OSError in one line, with the same errno, where the disk is full or cannot be written to.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_write(Path(folder) / "x.txt") as file:
    ...         _ = file.write(b"whole")
    ...     [(p.name, p.read_bytes()) for p in Path(folder).iterdir()]
    [('x.txt', b'whole')]
    """
    path = Path(path)
    temporary = path.with_name(f"neural-limits.{_host()}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    _writing.add(temporary)
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and (message := disk_message(error, path)):
            raise OSError(error.errno, message) from None
        raise
    finally:
        _writing.discard(temporary)
    sync_folder(path.parent)


def remove_stale(folder: Path) -> None:
    """Remove temporary files that no process is writing any more."""
    for path in folder.glob("neural-limits.*.tmp"):
        if _is_stale(path):
            path.unlink(missing_ok=True)


def is_temporary(path: Path) -> bool:
    """Whether a file has the name of one of our temporary files."""
    return _PATTERN.fullmatch(path.name) is not None


def _is_stale(path: Path) -> bool:
    found = _PATTERN.fullmatch(path.name)
    if found is None:
        return False
    if found[1] != _host():
        return time.time() - path.stat().st_mtime > FOREIGN_AGE
    pid = int(found[2])
    return path not in _writing if pid == os.getpid() else not pid_lives(pid)


def _host() -> str:
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"


def sync_folder(folder: Path) -> None:
    """The names in a folder on the disk, where the system can open folders."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
