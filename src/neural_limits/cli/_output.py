"""Where a run goes when the user names no folder."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

PLACE = Path("runs")


def choose_folder(out: Path | None, name: str) -> Path:
    """The folder given, or a new one under runs/ with the time in its name."""
    if out is not None:
        return out
    path = PLACE / f"{name}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    number = 2
    unused = path
    while unused.exists():  # two runs in one second
        unused = path.with_name(f"{path.name}-{number}")
        number += 1
    return unused
