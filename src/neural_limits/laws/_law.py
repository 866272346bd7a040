"""What every law here offers, and how a law is turned from eigenvalues into singular values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._inputs import real_array


class Law(ABC):
    """A law on the real line: ``pdf`` (of its continuous part), ``cdf``, ``quantile``, ``rvs``."""

    @abstractmethod
    def pdf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Density of the continuous part; 0 outside the support."""

    @abstractmethod
    def cdf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Mass at or below x, atoms included."""

    @abstractmethod
    def quantile(self, q: ArrayLike) -> NDArray[np.float64]:
        """Smallest x with cdf(x) ≥ q."""

    def rvs(self, size: int | tuple[int, ...], seed: int) -> NDArray[np.float64]:
        """Independent draws from the law: quantiles of uniform numbers.

        They are not the spectrum of one matrix, whose values repel each other.
        """
        return self.quantile(np.random.default_rng(seed).random(size))


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
