"""`neural-limits audit` on single matrices: time and memory of a process that does nothing else, one thread.

A square bfloat16 matrix and an embedding, all singular values; a larger square one, of which only the leading values
are taken. Time is of the whole command, memory its peak above that of the same command asked for its help.

    python benchmarks/audit.py [--quick]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

from _common import machine, write

COMMAND = """
import sys
from _memory import memory
from neural_limits.cli import main
code = main(sys.argv[1:])
print(memory("VmHWM"))
sys.exit(code)
"""
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
CASES = {"all values, bfloat16": (4096, 4096, ml_dtypes.bfloat16), "an embedding": (50_257, 768, np.float32)}
LARGE = {"top values": (8192, 8192, np.float32)}
SMALL = {"all values, bfloat16": (512, 512, ml_dtypes.bfloat16)}


def command(*words: str) -> tuple[float, float]:
    """Seconds, and the peak of memory in MB, of the command in a process of its own."""
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *words],
        env=os.environ | THREADS, cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return time.perf_counter() - begun, float(done.stdout.split()[-1])


def matrix(rows: int, columns: int, dtype: Any) -> np.ndarray:
    return (np.random.default_rng(0).standard_normal((rows, columns), np.float32) / rows**0.5).astype(dtype)


def main(quick: bool) -> None:
    lines = [
        f"Machine: {machine()}; one thread",
        "",
        "| | shape | seconds | peak memory (MB) | above (MB) |",
        "|-|-|-|-|-|",
    ]
    told = {}
    _, idle = command("audit", "--help")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "matrix.safetensors"
        for name, (rows, columns, dtype) in (SMALL if quick else CASES | LARGE).items():
            save_file({"weight": matrix(rows, columns, dtype)}, file)
            seconds, peak = command("audit", str(file), "--out", str(Path(folder) / name))
            shape = f"{rows} x {columns}"
            lines.append(f"| {name} | {shape} | {seconds:.1f} | {peak:.0f} | {peak - idle:.0f} |")
            print(lines[-1], flush=True)
            told[f"audit of {shape}, {name}"] = f"{seconds:.1f} s"
    write("audit-quick" if quick else "audit", lines, told)


if __name__ == "__main__":
    main("--quick" in sys.argv[1:])
