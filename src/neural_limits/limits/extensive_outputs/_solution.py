"""What a limit with many outputs returns: the law of the hidden singular values, its error, and its Tracy-Widom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from ..._arrays import probability_array
from ..._checks import positive_int
from ..._notation import attributes
from ...laws import Largest, Law

LEAST_NODES, MOST_NODES = 32, 1024
TRUNCATION = 1e-9  # relative to the edge: nodes double until no end of the support moves by more
GRID = 400  # singular values in ``data``


@dataclass(frozen=True, eq=False)
class ManyOutputs(Law):
    """Law of the min(N, D) singular values of the hidden weight M, in operator norm.

    ``support`` holds every component, ``pdf`` is a density per unit singular value and integrates to
    1 − ``atom``; both count the min(N, D) values that ``svd`` returns. ``truncation`` is how far the support's ends
    moved in the last doubling of the quadrature nodes; ``status`` is "completed", or "no_convergence" with a
    ``message`` where that exceeds 1e-9 of the edge.
    """

    setting: Any
    law: Any = field(repr=False)
    width_ratio: float
    truncation: float
    status: str = "completed"
    message: str = ""

    @property
    def support(self) -> tuple[tuple[float, float], ...]:
        """(low, high) of every component of the bulk, from left to right."""
        return tuple(self.law.support)

    @property
    def edge(self) -> float:
        """Upper edge of the bulk."""
        return float(self.law.edge)

    @property
    def atom(self) -> float:
        """Share of singular values at zero."""
        return max(0.0, (self.law.atom - self._missing) / (1 - self._missing))

    @cached_property
    def masses(self) -> NDArray[np.float64]:
        """Share of the singular values in every component, in the order of ``support``."""
        ends = np.reshape(self.support, -1)
        return np.asarray(np.diff(self.law.cdf(ends).reshape(-1, 2), axis=1)[:, 0] / (1 - self._missing))

    @property
    def _missing(self) -> float:
        """Where N > D, the N − D eigenvalues of M Mᵀ at zero that are not singular values."""
        return max(0.0, 1 - 1 / self.width_ratio)

    def pdf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Density at x, per unit singular value; 0 outside the support. ValueError for NaN."""
        return np.asarray(self.law.pdf(x) / (1 - self._missing))[()]

    def cdf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Share of the singular values at or below x. ValueError for NaN."""
        return np.clip((self.law.cdf(x) - self._missing) / (1 - self._missing), 0.0, 1.0)[()]

    def quantile(self, q: ArrayLike) -> NDArray[np.float64]:
        """Smallest x with cdf(x) ≥ q; ValueError for q outside [0, 1]."""
        q = probability_array("q", q)
        least = self.support[0][0] if self.atom <= 0 else 0.0
        x = self.law.quantile(np.clip(self._missing + q * (1 - self._missing), 0.0, 1.0))
        return np.maximum(x, least)[()]

    def largest(self, width: int) -> Largest:
        """Mean and standard deviation of the top singular value at a finite width N, by its Tracy-Widom law.

        The next order, O(1/N), is left out. ValueError for a width below one. Cost: the first call takes 0.1 s.
        """
        return self.law.largest(positive_int("width", width))

    @cached_property
    def data(self) -> xr.Dataset:
        """``pdf`` and ``cdf`` over ``singular_value``; ``low``, ``high`` and ``mass`` of every ``component``."""
        grid = np.linspace(0, 1.1 * self.edge, GRID)
        low, high = np.reshape(self.support, (-1, 2)).T
        attrs = {"edge": self.edge, "atom": self.atom, "truncation": self.truncation, "status": self.status}
        variables = {
            "pdf": ("singular_value", self.pdf(grid)),
            "cdf": ("singular_value", self.cdf(grid)),
            "low": ("component", low),
            "high": ("component", high),
            "mass": ("component", self.masses),
        }
        return xr.Dataset(
            {name: (*variable, attributes(name)) for name, variable in variables.items()},
            coords={"singular_value": ("singular_value", grid, {"symbol": "σ", "units": "operator norm"})},
            attrs={**attrs, "setting": str(self.setting)},
        )


def solution(
    setting: Any,
    width_ratio: float,
    law_at: Callable[[int], Any],
    ends: Callable[[Any], tuple[tuple[float, ...], ...]] = lambda law: law.support,
    most: int = MOST_NODES,
) -> ManyOutputs:
    """The law at as many nodes as its support's ends need, with its error and status."""
    nodes, law, moved = LEAST_NODES, law_at(LEAST_NODES), np.inf
    while nodes < most and not moved <= TRUNCATION * law.edge:
        nodes *= 2
        finer = law_at(nodes)
        same = len(ends(finer)) == len(ends(law))
        moved = float(np.abs(np.subtract(ends(finer), ends(law))).max()) if same else np.inf
        law = finer
    if moved <= TRUNCATION * law.edge:
        return ManyOutputs(setting, law, width_ratio, moved)
    message = f"the support moves by {moved:.1e} at {nodes} quadrature nodes; take fewer steps or a smaller rate."
    return ManyOutputs(setting, law, width_ratio, moved, "no_convergence", message)
