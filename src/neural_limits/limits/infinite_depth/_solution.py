"""What the solvers of infinite depth return."""

from __future__ import annotations

from dataclasses import dataclass

import xarray as xr


@dataclass(frozen=True)
class Solution:
    """``status`` (completed, diverged, no_convergence) with a one-line ``message``, and the labelled ``data``."""

    status: str
    message: str
    data: xr.Dataset
