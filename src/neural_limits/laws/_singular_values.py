"""A law of eigenvalues turned into one of singular values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._arrays import real_array
from ._largest import Largest, LargestSingularValue
from ._law import Law


@dataclass(frozen=True)
class SingularValues(Law):
    """The law of √x where x follows ``law``, an eigenvalue law on x ≥ 0 with ``root_pdf``.

    f(s) = 2 s f_law(s²). ValueError for a law with mass below zero. Cost: that of ``law``.

    >>> from neural_limits.laws import MarchenkoPastur
    >>> SingularValues(MarchenkoPastur(0.25)).support
    ((0.5, 1.5),)
    """

    law: Any

    def __post_init__(self) -> None:
        if np.min(self.law.support) < 0:
            raise ValueError(f"`law` must live on x >= 0; its support starts at {np.min(self.law.support):g}.")

    @property
    def support(self) -> tuple[tuple[float, float], ...]:
        """(low, high) of every component of the bulk, from left to right."""
        return tuple((float(low), float(high)) for low, high in np.sqrt(np.reshape(self.law.support, (-1, 2))))

    @property
    def edge(self) -> float:
        """Upper edge of the bulk."""
        return self.support[-1][1]

    @property
    def atom(self) -> float:
        """Mass at zero."""
        return float(self.law.atom)

    def pdf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Density at x, per unit singular value; 0 outside the bulk, the atom left out. ValueError for NaN."""
        return np.asarray(self.law.root_pdf(x))[()]

    def cdf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Mass at or below x, the atom included. ValueError for NaN."""
        x = real_array("x", x)
        return np.where(x < 0, 0.0, self.law.cdf(np.abs(x) ** 2))[()]

    def quantile(self, q: ArrayLike) -> NDArray[np.float64]:
        """Smallest x with cdf(x) ≥ q; ValueError for q outside [0, 1]."""
        return np.sqrt(self.law.quantile(q))[()]

    def largest(self, rows: int) -> Largest:
        """Mean and standard deviation of √x₁ at p = ``rows``, x₁ the top eigenvalue by its Tracy-Widom law.

        ValueError for a count below one. Needs a ``law`` with ``edge_scale``.
        """
        top = LargestSingularValue(self.edge, self.law.edge_scale(rows) / (2 * self.edge))
        return Largest(top.mean(), top.std())
