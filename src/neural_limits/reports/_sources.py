"""Which dataset holds predictions and which measurements."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr


class Sources(NamedTuple):
    """Outliers predicted on conditioned weights, and measured in a dense network; either may be missing."""

    predicted: xr.Dataset | None
    measured: xr.Dataset | None

    @property
    def known(self) -> list[xr.Dataset]:
        return [data for data in self if data is not None]


def sources(data: xr.Dataset, dense: xr.Dataset | None) -> Sources:
    """A run on dense weights is itself the measurement."""
    if data.attrs.get("weights") == "dense":
        return Sources(None, data)
    return Sources(data, dense)


def name_of(data: xr.Dataset) -> str:
    """How a run is called in legends and tables.

    >>> name_of(xr.Dataset(attrs={"weights": "dense", "width": 64}))
    'dense, n = 64'
    """
    weights, width = data.attrs.get("weights", "run"), data.attrs.get("width")
    return f"{weights}, n = {width}" if width is not None else str(weights)


def label_of(data: xr.Dataset) -> str:
    r"""The same for a figure, where a dollar sign would begin mathematics.

    >>> label_of(xr.Dataset(attrs={"weights": "$x"}))
    '\\$x'
    """
    return name_of(data).replace("$", r"\$")


def last_step(data: xr.Dataset) -> int:
    """The last step with a finite loss, 0 where there is none."""
    reached = np.flatnonzero(np.isfinite(data.loss.values))
    return int(reached[-1]) if reached.size else 0
