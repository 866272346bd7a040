"""Datasets as netCDF bytes, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ._lines import first_line


def to_netcdf(data: xr.Dataset) -> bytes:
    """The dataset as a netCDF file in memory, so that a full disk never meets the HDF5 library.

    Attributes netCDF has no type for are kept in the nearest form: booleans as 0 and 1, None left out,
    mappings and mixed lists as JSON, paths as text. TypeError naming one that has no such form.
    """
    clean = data.drop_encoding()
    clean.attrs = plain_attributes(data.attrs, "dataset")
    for name, variable in clean.variables.items():
        variable.attrs = plain_attributes(variable.attrs, str(name))
    return bytes(clean.to_netcdf(engine="h5netcdf"))


def read_netcdf(path: Path) -> xr.Dataset:
    """The whole dataset, file closed; OSError in one line where it is missing or damaged."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path.name} in {path.parent}.")
    try:
        return xr.load_dataset(path, engine="h5netcdf")
    except Exception as error:  # h5py fails on damaged files in many ways
        if isinstance(error, PermissionError | MemoryError):
            raise
        raise OSError(f"{path} is damaged ({first_line(error)}); restore it, or run again.") from None


def plain_attributes(attributes: Mapping[Any, Any], owner: str) -> dict[str, Any]:
    """Attributes in types that netCDF has.

    >>> plain_attributes({"on": True, "none": None, "lr": np.float32(0.5), "grid": {"lr": [1, 2]}}, "x")
    {'on': 1, 'lr': 0.5, 'grid': '{"lr": [1, 2]}'}
    """
    return {str(k): _plain(v, f"{owner}.{k}") for k, v in attributes.items() if v is not None}


def _plain(value: Any, where: str) -> Any:
    if isinstance(value, bool | np.bool_):
        return int(value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str | Path):
        return str(value).replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()
    if isinstance(value, int | float):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return value.astype(np.int8) if value.dtype.kind == "b" else value
    if isinstance(value, list | tuple):
        value = [item.item() if isinstance(item, np.generic) else item for item in value]
        if all(type(item) in (int, float) for item in value):
            return value
    if isinstance(value, list | Mapping):
        try:
            return json.dumps(value)
        except (TypeError, ValueError):
            pass
    raise TypeError(f"the attribute {where} must be a number, text or a list of them; got {value!r}.")
