"""Shared by the benchmarks: the machine's name, and where results go."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import jax

RESULTS = Path(__file__).parent / "results"
FIGURES = Path(__file__).parent.parent / "docs" / "figures"


def machine() -> str:
    """Processor, cores and JAX device, for the caption of every number."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        name = models[0] if models else name
    return f"{name}, {os.cpu_count()} cores; {jax.devices()[0].device_kind}; jax {jax.__version__}"


def write(name: str, lines: list[str]) -> None:
    """A table as Markdown, printed and kept."""
    RESULTS.mkdir(exist_ok=True)
    text = "\n".join(lines) + "\n"
    (RESULTS / f"{name}.md").write_text(text)
    print(text)
