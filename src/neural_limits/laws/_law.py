"""What every law here offers."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import ArrayLike, NDArray


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
