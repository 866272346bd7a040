"""How a run stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._process import is_alive

STATUSES = ("running", "completed", "diverged", "rank_exhausted", "failed")
INTERRUPTED = "interrupted"  # never written: the process ended without a word


def status_of(info: Mapping[str, Any]) -> tuple[str, str]:
    """Status and message of a run.json; ``interrupted`` where it says running but its process is gone."""
    status, message = str(info.get("status", "")), str(info.get("message", ""))
    if status == "running" and not is_alive(info.get("process", {})):
        return INTERRUPTED, "the process that wrote this run ended before it was done; run it again."
    return status, message
