"""Safetensors files: checked by the package of that name, read by memory map.

The package's own NumPy side knows neither float8 nor, without help, bfloat16; the format is a header and raw bytes.
"""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path

import numpy as np
from numpy import ndarray

from ._tensor import REAL, Tensor, by_numbers

NAMES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
}  # fmt: skip
LENGTH = 8  # bytes that hold the header's length


def read_safetensors(path: Path) -> list[Tensor]:
    """The tensors of a file, numbers in their names by value; OSError in one line where it is damaged.

    The format sorts names as text, and so loses the order of the layers.
    """
    _check(path)
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(LENGTH), "little")
        header = json.loads(file.read(length))
    found = []
    for name in sorted(header.keys() - {"__metadata__"}, key=by_numbers):
        entry = header[name]
        shape, dtype = tuple(entry["shape"]), NAMES.get(entry["dtype"], entry["dtype"].lower())
        start = LENGTH + length + entry["data_offsets"][0]
        found.append(Tensor(name, shape, dtype, partial(_read, path, dtype, shape, start)))
    return found


def _check(path: Path) -> None:
    """Header, offsets and length, by the reference implementation."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy"):
            pass
    except SafetensorError as error:
        raise OSError(
            f"{path} is damaged or no safetensors file ({str(error).splitlines()[0]}); fetch or save it again."
        ) from None


def _read(path: Path, dtype: str, shape: tuple[int, ...], start: int) -> ndarray:
    count = math.prod(shape)
    size = count * REAL[dtype].itemsize
    raw = np.memmap(path, np.uint8, "r", offset=start, shape=(size,)) if size else np.zeros(0, np.uint8)
    return raw.view(REAL[dtype]).reshape(shape)
