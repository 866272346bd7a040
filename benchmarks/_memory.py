"""Memory of the process that asks, by the kernel's account. Imports nothing large: it is measured too."""

from __future__ import annotations

import re
from pathlib import Path

STATUS = Path("/proc/self/status")


def memory(name: str) -> float:
    """VmRSS or VmHWM (its peak) of this process in MB; NaN where there is no /proc.

    Not by `getrusage`: there a new process begins with the peak of the one that started it.
    """
    if not STATUS.exists():
        return float("nan")
    return int(re.findall(rf"{name}:\s+(\d+) kB", STATUS.read_text())[0]) * 1024 / 1e6
