"""The law of the singular values of an untrained weight matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._arrays import real_array
from .._checks import positive_float, positive_int
from ._law import Law
from ._marchenko_pastur import MarchenkoPastur


@dataclass(frozen=True)
class QuarterCircle(Law):
    """Limiting law of the min(rows, columns) singular values of a matrix with iid entries.

    f(s) = 2 s f_MP(s²), the square root of Marchenko-Pastur; for a square matrix of width n and entries of
    standard deviation τ it is the quarter circle √(4 n τ² − s²)/(π n τ²) on [0, 2 τ √n].

    ``rows`` and ``columns`` are counts, ``std`` τ the standard deviation of an entry; singular values carry
    its unit (operator norm). ValueError for counts below one or a standard deviation that is not positive.
    Cost: that of ``MarchenkoPastur``.

    Source: Marchenko and Pastur (1967) after x = s²; docs/theory.md for the edge τ(√n + √p).

    >>> law = QuarterCircle(400, 400, std=0.05)
    >>> law.edge, law.lower_edge
    (2.0, 0.0)
    >>> round(float(law.pdf(0.0) * np.pi), 12)
    2.0
    >>> QuarterCircle(100, 400).support
    (10.0, 30.0)
    """

    rows: int
    columns: int
    std: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", positive_int("rows", self.rows))
        object.__setattr__(self, "columns", positive_int("columns", self.columns))
        object.__setattr__(self, "std", positive_float("std", self.std))

    @property
    def edge(self) -> float:
        """Upper edge τ(√rows + √columns), in operator norm."""
        return float(self.std * (np.sqrt(self.rows) + np.sqrt(self.columns)))

    @property
    def lower_edge(self) -> float:
        """Lower edge τ|√rows − √columns|; 0 for a square matrix."""
        return float(self.std * abs(np.sqrt(self.rows) - np.sqrt(self.columns)))

    @property
    def support(self) -> tuple[float, float]:
        """(lower_edge, edge)."""
        return self.lower_edge, self.edge

    def pdf(self, s: ArrayLike) -> NDArray[np.float64]:
        """Density at s, per unit singular value; 0 outside the support. ValueError for NaN."""
        return self._squares().root_pdf(real_array("s", s) / self.std) / self.std

    def cdf(self, s: ArrayLike) -> NDArray[np.float64]:
        """Share of the singular values at or below s. ValueError for NaN."""
        unit = np.clip(real_array("s", s) / self.std, -1.0, 2 * self.edge / self.std)
        return self._squares().cdf(unit * np.abs(unit))

    def quantile(self, q: ArrayLike) -> NDArray[np.float64]:
        """The s with cdf(s) = q. ValueError for q outside [0, 1]."""
        return self.std * np.sqrt(self._squares().quantile(q))

    def _squares(self) -> MarchenkoPastur:
        """The law of s²/τ²: the smaller Gram matrix, so that it has no atom."""
        small, large = sorted((self.rows, self.columns))
        return MarchenkoPastur(small / large, float(large))
