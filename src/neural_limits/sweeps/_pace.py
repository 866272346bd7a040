"""Something done every few seconds, more seldom where it takes long."""

from __future__ import annotations

import time
from collections.abc import Callable

SECONDS = 1.0
SHARE = 0.05  # of the time that it may take


class Pace:
    """Calls what it is given, unless the last call was a moment ago."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, do: Callable[[], None]) -> None:
        begun = time.monotonic()
        if begun >= self._next:
            do()
            took = time.monotonic() - begun
            self._next = time.monotonic() + max(SECONDS, took / SHARE)
