"""What memory this machine has."""

from __future__ import annotations

import os


def memory() -> tuple[float, float] | None:
    """Total and free bytes, None where the system does not say."""
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        return float(os.sysconf("SC_PHYS_PAGES") * page), float(os.sysconf("SC_AVPHYS_PAGES") * page)
    except (AttributeError, ValueError, OSError):
        return None
