"""From a path to tensors: a file, an index of shards, or a folder."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from ._npz import read_npz
from ._safetensors import read_safetensors
from ._tensor import Tensor, by_numbers
from ._torch_file import read_torch_file

READERS: dict[str, Callable[[Path], list[Tensor]]] = {
    ".safetensors": read_safetensors, ".npz": read_npz,
    ".pt": read_torch_file, ".pth": read_torch_file, ".bin": read_torch_file,
}  # fmt: skip
INDEX = ".index.json"
PICKLES = ".pkl", ".pickle", ".joblib"


def open_checkpoint(path: str | os.PathLike[str]) -> list[Tensor]:
    """The tensors of a checkpoint: a .safetensors, .npz, .pt, .pth or .bin file, an index of shards, or a folder.

    Only headers are read (of torch files, all but the numbers); a tensor's ``read()`` gets its numbers. In a folder,
    safetensors are preferred. FileNotFoundError for a path or a shard that is not there, OSError for a file that is
    damaged, a pickle, or names a tensor twice, ValueError for an unknown kind of file; each in one line.

    >>> import numpy as np, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(Path(folder) / "weights.npz", first=np.ones((3, 2), np.float32))
    ...     open_checkpoint(Path(folder) / "weights.npz")
    [Tensor(name='first', shape=(3, 2), dtype='float32')]
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path}.")
    if path.is_dir():
        return _read_folder(path)
    return _read_index(path) if path.name.endswith(INDEX) else _read_file(path)


def _read_file(path: Path) -> list[Tensor]:
    kind = path.suffix.lower()
    if kind in PICKLES:
        raise OSError(f"{path} is a pickle, which is never read; save the weights as safetensors.")
    if kind not in READERS:
        raise ValueError(f"`path` must end in one of {', '.join(READERS)}, or be a folder of them; got {path}.")
    return READERS[kind](path)


def _read_folder(path: Path) -> list[Tensor]:
    """By the index if there is one, else every file of the first kind that is there."""
    for kind in READERS:
        indices = sorted(path.glob(f"*{kind}{INDEX}"))
        if len(indices) > 1:
            raise OSError(f"{path} holds several checkpoints ({', '.join(i.name for i in indices)}); name one of them.")
        if indices:
            return _read_index(indices[0])
        files = sorted(path.glob(f"*{kind}"), key=lambda file: by_numbers(file.name))
        if files:
            return _joined([(file, tensor) for file in files for tensor in _read_file(file)])
    raise FileNotFoundError(f"there is no checkpoint in {path}: no file ends in {', '.join(READERS)}.")


def _read_index(path: Path) -> list[Tensor]:
    """The tensors that an index names, from its shards."""
    try:
        places = json.loads(path.read_bytes())["weight_map"]
        shards = sorted(set(places.values()), key=by_numbers)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise OSError(f"{path} is damaged: it holds no weight_map from tensors to files; fetch it again.") from None
    found: dict[str, Tensor] = {}
    for shard in shards:
        if shard != Path(shard).name:
            raise OSError(f"{path} names the shard {shard!r}, which is not a file beside it; fetch it again.")
        if not (path.parent / shard).is_file():
            raise FileNotFoundError(f"the shard {shard} that {path} names is missing; fetch it.")
        found |= {t.name: t for t in _read_file(path.parent / shard) if places.get(t.name) == shard}
    missing = [name for name in places if name not in found]
    if missing:
        raise OSError(f"{missing[0]} is not in {places[missing[0]]}, where {path} places it; fetch both again.")
    return sorted(found.values(), key=lambda tensor: by_numbers(tensor.name))


def _joined(found: list[tuple[Path, Tensor]]) -> list[Tensor]:
    """Tensors of several files; a name in two of them would hide one."""
    seen: dict[str, Path] = {}
    for file, tensor in found:
        if tensor.name in seen:
            raise OSError(f"{tensor.name} is in {seen[tensor.name].name} and in {file}; audit one file at a time.")
        seen[tensor.name] = file
    return [tensor for _, tensor in found]
