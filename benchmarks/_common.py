"""Shared by the benchmarks: the machine's name, where results go, and what the suite reads of them."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import jax

from neural_limits.runs import versions

RESULTS = Path(__file__).parent / "results"
FIGURES = Path(__file__).parent.parent / "docs" / "figures"
HEADLINES = ["| headline | |", "|-|-|"]
PACKAGES = ("neural-limits", "jax", "numpy", "scipy", "torch")


def machine() -> str:
    """Processor, cores and JAX device, for the caption of every number."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        name = models[0] if models else name
    return f"{name}, {os.cpu_count()} cores; {jax.devices()[0].device_kind}; jax {jax.__version__}"


def write(name: str, lines: list[str], headlines: Mapping[str, str] | None = None) -> None:
    """A table as Markdown, printed and kept: its few headline figures at the end, the date and the versions."""
    RESULTS.mkdir(exist_ok=True)
    closing = ["", *HEADLINES, *(f"| {what} | {value} |" for what, value in headlines.items())] if headlines else []
    known = ", ".join(f"{package} {number}" for package, number in versions(PACKAGES).items() if number)
    text = "\n".join([*lines, *closing, "", f"Measured {datetime.now(UTC):%Y-%m-%d}; {known}"]) + "\n"
    (RESULTS / f"{name}.md").write_text(text)
    print(text)


def headlines_of(text: str) -> dict[str, str]:
    """What `write` was given, read back."""
    lines = text.splitlines()
    if HEADLINES[0] not in lines:
        return {}
    rows = lines[lines.index(HEADLINES[0]) + len(HEADLINES) :]
    return dict(row.strip("| ").split(" | ") for row in rows if row.startswith("| "))
