"""Which process writes a run, and whether it still lives."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any


def this_process() -> dict[str, Any]:
    """pid, host, and when the process started (empty where the system does not say).

    >>> is_alive(this_process())
    True
    """
    return {"pid": os.getpid(), "host": socket.gethostname(), "started": _started(os.getpid())}


def is_alive(process: dict[str, Any]) -> bool:
    """Whether the process of a record made by `this_process` lives; True where that cannot be known."""
    if process.get("host") != socket.gethostname():
        return True
    pid, started = process.get("pid"), process.get("started", "")
    if not isinstance(pid, int) or not pid_lives(pid):
        return False
    return not started or started == _started(pid)  # another process may have got the number since


def pid_lives(pid: int) -> bool:
    """Whether a process of this number lives on this host."""
    if os.name == "nt":  # there, signal 0 would interrupt the process instead of asking
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return _stat(pid)[:1] != ["Z"]  # ended, though nobody has asked how


def _started(pid: int) -> str:
    """The start time in clock ticks since boot, as Linux has it."""
    return "".join(_stat(pid)[19:20])


def _stat(pid: int) -> list[str]:
    """What Linux says of a process, from its state on; empty where it says nothing."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return stat.rpartition(")")[2].split()
