"""Loss curves that are read from their files when, and as far as, they are used."""

from __future__ import annotations

import io
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray
from xarray.backends import BackendArray
from xarray.core import indexing

from ._trial import CURVE


def read_curve(folder: Path | None, steps: int, dtype: Any = float) -> ndarray:
    """The curve of a finished trial; NaN where there is none or it cannot be read, and beyond its end."""
    curve = np.full(steps, np.nan, dtype)
    if folder is not None:
        with suppress(OSError, ValueError):
            content = (folder / CURVE).read_bytes()
            start = 10 + int.from_bytes(content[8:10], "little")
            (length,), kind = _layout(content[:start])
            curve[:length] = np.frombuffer(content, kind, length, start)
    return curve


@cache
def _layout(head: bytes) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type from the head of a file of `numpy.save`; parsing one takes longer than reading its numbers."""
    file = io.BytesIO(head)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("not a file of numpy.save")
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    return shape, dtype


class _Curves(BackendArray):
    """Curves of the trials in an array of folders (None: no curve), one more axis for the steps."""

    def __init__(self, folders: ndarray, steps: int, dtype: np.dtype[Any]) -> None:
        self.folders, self.shape, self.dtype = folders, (*folders.shape, steps), dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        support = indexing.IndexingSupport.OUTER
        return indexing.explicit_indexing_adapter(key, self.shape, support, self._read)

    def _read(self, key: tuple[Any, ...]) -> ndarray:
        """``key``: a number, slice or array of numbers for each axis, independent of each other."""
        chosen = self.folders
        for axis in range(len(key) - 2, -1, -1):
            chosen = chosen[(slice(None),) * axis + (key[axis],)]
        cells = np.asarray(chosen, object)
        rows = [self._curve(folder) for folder in cells.ravel()]
        whole = np.stack(rows) if rows else np.empty((0, self.shape[-1]), self.dtype)
        return whole.reshape(*cells.shape, self.shape[-1])[..., key[-1]]

    def _curve(self, folder: Any) -> ndarray:
        return read_curve(folder, self.shape[-1], self.dtype)


def curves(folders: ndarray, steps: int, dtype: np.dtype[Any]) -> Any:
    """What an xarray variable takes for its data."""
    return indexing.LazilyIndexedArray(_Curves(folders, steps, dtype))
