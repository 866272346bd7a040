"""JSON files: only plain values go in, and a damaged file is one line."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ._lines import first_line


def to_json(content: Mapping[str, Any]) -> bytes:
    """The content as JSON; TypeError naming the key of a value that has no plain form.

    >>> to_json({"lr": np.float32(0.5), "classes": (0, 1), "loss": float("nan")}).decode()
    '{\\n  "lr": 0.5,\\n  "classes": [\\n    0,\\n    1\\n  ],\\n  "loss": "nan"\\n}\\n'
    """
    return (json.dumps(_plain(content, ""), indent=2, allow_nan=False) + "\n").encode()


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; OSError in one line where the file is damaged or missing."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no {path.name} in {path.parent}.") from None
    except (ValueError, RecursionError) as error:
        raise OSError(f"{path} is damaged ({first_line(error)}); restore it, or run again.") from None
    if not isinstance(content, dict):
        raise OSError(f"{path} is damaged (it holds no JSON object); restore it, or run again.")
    return content


def _plain(value: Any, where: str) -> Any:
    """Numbers, strings, lists and objects of them; NaN and infinities, which JSON lacks, as strings."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item, f"{where}.{key}".strip(".")) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    raise TypeError(f"`{where}` must be a number, text, list or mapping to be kept as JSON; got {value!r}.")
