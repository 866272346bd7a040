"""Who holds a trial: a process, named so that others on its host can tell whether it lives."""

from __future__ import annotations

import os
import socket
import zlib
from contextlib import suppress
from functools import cache
from pathlib import Path

from ..runs import is_alive, this_process


def this_owner() -> str:
    """HOST-PID-START of this process, for the name of a claim.

    >>> lives(this_owner())
    True
    """
    found = this_process()
    return f"{_host()}-{found['pid']}-{found['started'] or 0}"


def lives(owner: str) -> bool | None:
    """Whether the process lives; None where only its heartbeat can tell, as it belongs to another host."""
    host, pid, started = owner.split("-")
    if host != _host():
        return None
    return is_alive({"host": socket.gethostname(), "pid": int(pid), "started": "" if started == "0" else started})


@cache
def _host() -> str:
    """Of the host, since its last start; two containers are two hosts, as neither sees the other's processes."""
    words = [socket.gethostname(), _read("/proc/sys/kernel/random/boot_id")]
    with suppress(OSError):
        words.append(os.readlink("/proc/self/ns/pid"))
    return f"{zlib.crc32(' '.join(words).encode()):08x}"


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
