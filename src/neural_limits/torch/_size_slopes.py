"""Exponents of power laws in width and depth, with errors over seeds and sizes."""

from __future__ import annotations

import numpy as np
import xarray as xr


def ladder(data: xr.Dataset, axis: str) -> xr.Dataset:
    """The models that differ in ``axis`` only: those with the other size of the first."""
    other = {"width": "depth", "depth": "width"}[axis]
    if other not in data.coords:
        return data
    return data.isel(size=np.flatnonzero(data[other].values == data[other].values[0]))


def axes(data: xr.Dataset) -> list[str]:
    """Which of width and depth takes two values or more."""
    return [a for a in ("width", "depth") if a in data.coords and len(np.unique(ladder(data, a)[a])) > 1]


def slope(values: xr.DataArray, sizes: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Slope of log(values) in log(sizes) and its standard error, least squares through all (size, seed).

    Every point is a training run of its own, so that the scatter about the line is of seeds and of what is not a power
    law together. NaN where a value is not positive or not finite; the error is NaN with two points.
    """
    x = xr.apply_ufunc(np.log, sizes.astype(float))
    x = x - x.mean()
    with np.errstate(divide="ignore", invalid="ignore"):
        y = xr.apply_ufunc(np.log, values)
    y = y.where(np.isfinite(y.values))
    n = sizes.size * values.sizes["seed"]
    spread = float((x**2).sum()) * values.sizes["seed"]
    over = ("size", "seed")
    found = (y * x).sum(over, skipna=False) / spread
    residual = y - y.mean(over, skipna=False) - found * x
    error = np.sqrt((residual**2).sum(over, skipna=False) / (n - 2) / spread) if n > 2 else xr.full_like(found, np.nan)
    return found, error
