"""Files of torch.save, by torch's loader of plain tensors alone: no pickle in them is ever executed.

torch is imported here when such a file is asked for, and never before.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy import ndarray

from ._tensor import Tensor

STATES = "state_dict", "model_state_dict", "model"  # where training scripts keep the weights beside other things


def read_torch_file(path: Path) -> list[Tensor]:
    """The tensors of a state dict, nested ones under dotted names, in the file's order.

    OSError in one line for a file that holds anything but tensors and plain values, is in torch's format from
    before 1.6, or is damaged; ImportError where torch is missing.
    """
    try:
        import torch
    except ImportError:
        raise ImportError(
            f'{path.name} takes torch to read: pip install "neural-limits[torch]", or save it as safetensors.'
        ) from None
    if not zipfile.is_zipfile(path):
        raise OSError(
            f"{path} is a pickle or damaged, not a zip file of torch.save; pickles are never read. "
            "Save the weights as safetensors."
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # UnpicklingError for objects; many kinds for damaged files
        reason = "objects other than tensors" if "weights" in str(error).lower() else str(error).splitlines()[0]
        raise OSError(f"{path} is refused ({reason}); save its state dict alone, best as safetensors.") from None
    for key in STATES:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    return [_tensor(name, value) for name, value in _flat(content, "") if isinstance(value, torch.Tensor)]


def _flat(content: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield from _flat(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix or "tensor", content


def _tensor(name: str, value: Any) -> Tensor:
    dtype = str(value.dtype).removeprefix("torch.")
    return Tensor(name, tuple(value.shape), dtype, partial(_read, value))


def _read(value: Any) -> ndarray:
    """NumPy's view of a tensor; torch gives none of the types NumPy lacks, so their bytes are taken."""
    import torch

    value = value.detach()
    if value.dtype in (torch.float64, torch.float32, torch.float16):
        return value.numpy()
    name = str(value.dtype).removeprefix("torch.")
    raw = value.contiguous().view(torch.int16 if value.element_size() == 2 else torch.int8).numpy()
    return raw.view(np.dtype(getattr(ml_dtypes, name)))
