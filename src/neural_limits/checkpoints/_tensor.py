"""One tensor of a checkpoint: what it is, and how to get at its numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import ml_dtypes
import numpy as np
from numpy import ndarray

REAL: dict[str, np.dtype] = {
    "float64": np.dtype(np.float64),
    "float32": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float8_e4m3fn": np.dtype(ml_dtypes.float8_e4m3fn),
    "float8_e5m2": np.dtype(ml_dtypes.float8_e5m2),
}


@dataclass(frozen=True)
class Tensor:
    """Name, shape and type of a tensor; ``read()`` gives its numbers, memory-mapped where the file allows it."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], ndarray] = field(repr=False, compare=False)

    @property
    def is_matrix(self) -> bool:
        """Two or more dimensions, none of them empty."""
        return len(self.shape) > 1 and 0 not in self.shape

    @property
    def is_real(self) -> bool:
        """Floating-point numbers of a kind that is read."""
        return self.dtype in REAL


def by_numbers(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts names with their numbers by value: layer 2 before layer 10.

    >>> sorted(["h.10.w", "h.2.w", "embed"], key=by_numbers)
    ['embed', 'h.2.w', 'h.10.w']
    """
    parts = re.split(r"(\d+)", name)
    return [(1, int(part), part) if part.isdecimal() else (0, 0, part) for part in parts]
