"""Rates of convergence: log-log slopes over a ladder of sizes against what they should be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator
from numpy import ndarray

from .._fits import Mean
from .._fits import slope_over as slope_over
from ._experiment import Verdict, decide

RESOLVED = 0.1  # a slope with a larger error decides nothing


def signed(differences: list[ndarray]) -> ndarray:
    """Root mean square of differences (seed, ...) averaged over seeds with their sign, the noise left subtracted."""
    squares = [np.mean(d.mean(0) ** 2 - d.var(0, ddof=1) / len(d)) for d in differences]
    return np.sqrt(np.maximum(squares, 0))


def label_sizes(axis: Axes, sizes: Sequence[float]) -> None:
    """A logarithmic axis with the sizes themselves as its ticks."""
    axis.set_xscale("log")
    axis.set_xticks(list(sizes), [f"{size:g}" for size in sizes])
    axis.xaxis.set_minor_locator(NullLocator())


def slope_verdict(
    claim: str, source: str, slope: Mean, expected: float, tolerance: float = 0.15, *, bound: bool = False
) -> Verdict:
    """Holds where the slope is the expected one within the tolerance and two errors, if the error resolves it.

    ``bound``: a steeper slope holds too.
    """
    excess = slope.value - expected
    near = (excess if bound else abs(excess)) < max(tolerance, 2 * slope.error)
    steeper = " or steeper" if bound else ""
    return Verdict(
        claim, source, f"slope {slope}", f"{expected:g}{steeper} within {tolerance:g}, error below {RESOLVED:g}",
        decide(near, resolved=bool(np.isfinite(slope.value)) and slope.error < RESOLVED),
    )  # fmt: skip
