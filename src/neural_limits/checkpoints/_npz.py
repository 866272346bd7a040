"""NumPy archives; arrays of Python objects, which are pickles, are listed and never read."""

from __future__ import annotations

import zipfile
from functools import partial
from pathlib import Path

import numpy as np
from numpy import ndarray
from numpy.lib import format as npy

from ._tensor import Tensor


def read_npz(path: Path) -> list[Tensor]:
    """The arrays in the file's order; OSError in one line where it is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".npy")]
            headers = [_header(archive, name) for name in names]
    except (zipfile.BadZipFile, ValueError, EOFError) as error:
        raise OSError(f"{path} is damaged or no NumPy archive ({error}); save it again.") from None
    return [
        Tensor(key, shape, str(dtype), partial(_read, path, key))
        for key, (shape, dtype) in zip((name.removesuffix(".npy") for name in names), headers, strict=True)
    ]


def _header(archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], np.dtype]:
    with archive.open(name) as file:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(file)
    return shape, dtype


def _read(path: Path, key: str) -> ndarray:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return archive[key]
    except (zipfile.BadZipFile, ValueError, EOFError) as error:
        raise OSError(f"{path} is damaged ({error}); save it again.") from None
