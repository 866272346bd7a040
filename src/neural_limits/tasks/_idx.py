"""IDX files, the format of MNIST and its relatives: a magic number, the sizes, then bytes."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """The array of unsigned bytes in an IDX file, plain or gzipped (name ending in .gz).

    Header, big-endian: 0, 0, 0x08 (unsigned byte), number of dimensions; one 32-bit size for each; the data.

    ``dimensions`` is 3 for images (N, rows, columns) and 1 for labels (N,). ValueError naming the file where
    the magic number is another, or the file is shorter or longer than its sizes say. Cost: one read.

    Source: LeCun, Cortes and Burges, The MNIST database.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "labels-idx1-ubyte")
    ...     _ = file.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9]))
    ...     read_idx(file, dimensions=1)
    array([7, 9], dtype=uint8)
    """
    content = _content(path)
    magic = bytes([0, 0, 0x08, dimensions])
    header = 4 + 4 * dimensions
    if content[:4] != magic[: len(content[:4])]:
        found = content[:4].hex()
        raise ValueError(
            f"{path} is not an IDX file of {dimensions}-d bytes: it starts with {found}, not {magic.hex()}."
        )
    if len(content) < header:
        raise ValueError(f"{path} is truncated: {len(content)} bytes, its header alone has {header}; fetch it again.")
    sizes = struct.unpack(f">{dimensions}I", content[4:header])
    expected = header + math.prod(sizes)
    if len(content) != expected:
        what = "truncated" if len(content) < expected else "too long"
        raise ValueError(f"{path} is {what}: {len(content)} bytes, its sizes {sizes} need {expected}; fetch it again.")
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(sizes)


def _content(path: Path) -> bytes:
    if path.suffix != ".gz":
        return path.read_bytes()
    try:
        with gzip.open(path) as file:
            return file.read()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is truncated or damaged ({error}); fetch it again.") from None
