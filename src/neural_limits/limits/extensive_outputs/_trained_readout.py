"""Both layers trained from a small start: a Riccati flow, read off an indefinite population."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from ..._arrays import probability_array, real_array
from ..._checks import positive_int
from ...laws import Largest, LargestSingularValue, Law, MarchenkoPastur, Silverstein, largest_singular_value
from ._moving_population import Pieces, bulk, tilts
from ._quadrature import endpoint_nodes

GROWTH = 600.0  # 2 z₊ t beyond which e^{2zt} would overflow; the edge has long reached its limit
SCAN = 200  # singular values at which the support is looked for, 3 % to 5 % apart
LEAST_CELLS, MOST_CELLS = 256, 2048  # pieces of the population's density, 10 for each e-fold that it spans
CHUNK = 2**18  # points × cells at a time


@dataclass(frozen=True, eq=False)
class TrainedReadout(Law):
    """Law of the singular values of M when V and M are trained from entries N(0, s₀²/N), N = D, s₀ small.

    With S = [[0, Aᵀ], [A, 0]] and Q₀ = [M₀ᵀ; V₀] the flow is of Riccati type: the share of eigenvalues of
    M Mᵀ + VᵀV above y is that of Q₀ᵀ T_y(S) Q₀ above y,  T_y(z) = e^{2zt} − y (e^{2zt} − 1)/(2z). Q₀ is white, so
    this is a Silverstein law of indefinite population s₀² T_y(z), z = ±a√l and 0, at ratio 1 + κ. M Mᵀ and VᵀV differ
    by O(s₀²), so σ(M) = √(y/2) up to O(s₀²/σ): values of the order of s₀ are not described.

    ``nodes`` of the quadrature serve the edge. The bulk has the population in pieces, of second order in their
    size: its density is within about 1 % while 2(z₊ − z₋)t < 200, z± = a(1 ± √κ).
    """

    output_ratio: float
    teacher: float
    time: float
    init_scale: float
    nodes: int

    @property
    def atom(self) -> float:
        """Mass at zero: none."""
        return 0.0

    @property
    def ratio(self) -> float:
        """1 + κ: rows of Q₀ to its columns."""
        return 1 + self.output_ratio

    @cached_property
    def _rates(self) -> tuple[Float[ndarray, " m"], Float[ndarray, " m"]]:
        """Eigenvalues z of S, positive ones first, and their weights."""
        roots, w = endpoint_nodes(self.output_ratio, self.nodes)
        z = self.teacher * roots
        idle = abs(1 - self.output_ratio)
        return np.concatenate([z, -z, [0.0]]), np.concatenate([w, w, [idle]]) / self.ratio

    def _growth(self, z: Float[ndarray, " m"]) -> tuple[Float[ndarray, " m"], Float[ndarray, " m"]]:
        """s₀² e^{2zt} and s₀² (e^{2zt} − 1)/(2z): the population is the first − y times the second."""
        square, time = self.init_scale**2, min(self.time, GROWTH / (2 * self._rates[0].max()))
        lifted = np.expm1(2 * z * time)
        return square * (lifted + 1), square * np.divide(lifted, 2 * z, out=np.full_like(z, time), where=z != 0)

    def _at(self, y: float) -> Silverstein:
        start, slope = self._growth(self._rates[0])
        return Silverstein((start - y * slope, self._rates[1]), self.ratio, indefinite=True)

    @cached_property
    def edge(self) -> float:
        """Upper edge: the y with x₊(s₀² T_y) = y, as a singular value √(y/2)."""

        def excess(log_y: float) -> float:
            law = self._at(float(np.exp(log_y)))
            # A population without positive values has x₊ ≤ 0; numbers like e^{600} would not tell.
            return float(np.arcsinh(law.edge * np.exp(-log_y) - 1)) if np.max(law.population[0]) > 0 else -1.0

        z, time = float(self._rates[0].max()), self.time
        # Above 2z₊/(1 − e^{−2z₊t}) the whole population is negative.
        beyond = 2 * z / -np.expm1(-2 * z * time) if time > 0 else np.inf
        low, high = 1e-6 * self.init_scale**2, 1.01 * min(self._at(0.0).edge, beyond)
        return float(np.sqrt(np.exp(brentq(excess, np.log(low), np.log(high), xtol=1e-13)) / 2))

    @cached_property
    def support(self) -> tuple[tuple[float, float], ...]:
        """(low, high) of every component, from left to right, found on ``SCAN`` points and refined to 1e-8.

        Components or gaps narrower than the scan's spacing are not seen; below a tenth of s₀ it is not looked.
        """
        grid = np.geomspace(self.init_scale / 10, self.edge, SCAN)
        inside = np.append(self.pdf(grid[:-1]) > 0, True)
        turns = np.flatnonzero(np.diff(inside.astype(int)))
        low, high, rising = grid[turns], grid[turns + 1], ~inside[turns]
        while (high - low > 1e-8 * high).any():
            middle = (low + high) / 2
            past = (self.pdf(middle) > 0) == rising
            low, high = np.where(past, low, middle), np.where(past, middle, high)
        ends = [*([0.0] if inside[0] else []), *((low + high) / 2).tolist(), self.edge]
        return tuple(zip(ends[::2], ends[1::2], strict=True))

    def pdf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Density at x, per unit singular value; 0 outside the support. ValueError for NaN.

        4x (1/π) Im[−1/u + c Σ w (∂t/∂y)/(u − t)] at y = 2x²: how the mass above y falls, the population moving too.
        """
        x = real_array("x", x)
        return 4 * np.where(x < self.edge, x, 0.0) * self._map("density", x, above=0.0)

    def cdf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Mass at or below x. ValueError for NaN."""
        return self._map("below", x, above=1.0)

    def quantile(self, q: ArrayLike) -> NDArray[np.float64]:
        """Smallest x with cdf(x) ≥ q, to 1e-12 of the edge; ValueError for q outside [0, 1]."""
        q = probability_array("q", q)
        low, high = np.zeros(q.shape), np.full(q.shape, self.edge)
        for _ in range(40):
            middle = (low + high) / 2
            short = self.cdf(middle) < q
            low, high = np.where(short, middle, low), np.where(short, high, middle)
        return high[()]

    def largest(self, rows: int) -> Largest:
        """Mean and standard deviation of the top singular value at N = ``rows``.

        The top y solves λ₁(T_y) = y, λ₁ = x₊(y) + s S: y₁ = y + s S/(1 − x₊′(y)), S Tracy-Widom (β = 1). That is the
        scatter of the start; late, the teacher's takes over, as σ₁(M) cannot pass √σ₁(A). The smaller of the two
        means is returned.
        """
        y, step = 2 * self.edge**2, 1e-5
        slope = (self._at(y * (1 + step)).edge - self._at(y * (1 - step)).edge) / (2 * step * y)
        scale = self._at(y).edge_scale(round(positive_int("rows", rows) * self.ratio)) / (1 - slope)
        start = LargestSingularValue(self.edge, scale / (4 * self.edge))
        teacher = largest_singular_value(max(1, round(rows * self.output_ratio)), rows, self.teacher / rows**0.5)
        ceiling = np.sqrt(teacher.mean())
        return min(Largest(start.mean(), start.std()), Largest(float(ceiling), teacher.std() / float(2 * ceiling)))

    @cached_property
    def _pieces(self) -> tuple[Float[ndarray, "2 m"], Float[ndarray, " m"]]:
        """z at both ends of every piece, on either branch and at zero, and the pieces' weights."""
        law = MarchenkoPastur(1 / self.output_ratio, self.output_ratio)  # of AᵀA/a², an atom at 0 where κ < 1
        low, high = law.support
        efolds = 2 * self.teacher * (high**0.5 - low**0.5) * self.time
        cells = int(np.clip(10 * efolds, LEAST_CELLS, MOST_CELLS))
        angle = np.linspace(0, np.pi, cells + 1)
        l = low + (high - low) * np.sin(angle / 2) ** 2
        z, w = self.teacher * np.sqrt(l), np.diff(law.cdf(l)) / self.ratio
        idle = abs(1 - self.output_ratio) / self.ratio
        ends = np.stack([np.concatenate([z[:-1], -z[:-1], [0.0]]), np.concatenate([z[1:], -z[1:], [0.0]])])
        return ends, np.concatenate([w, w, [idle]])

    def _map(self, part: str, x: ArrayLike, above: float) -> NDArray[np.float64]:
        """What ``bulk`` calls ``part`` at the points inside (0, edge); 0 to their left, ``above`` to their right."""
        x = real_array("x", x)
        value = np.where(x >= self.edge, above, 0.0)
        inside = np.flatnonzero((x > 0) & (x < self.edge))
        (left, right), weights = self._pieces
        (start, slope), (end, end_slope) = self._growth(left), self._growth(right)
        size = max(1, CHUNK // len(left))
        for i in range(0, len(inside), size):
            here = inside[i : i + size]
            y = 2 * x.flat[here][:, None] ** 2
            first, last = start - y * slope, end - y * end_slope
            speeds = np.broadcast_to(-slope, first.shape), np.broadcast_to(-end_slope, first.shape)
            pieces = Pieces(first, last, *speeds, weights, tilts(first, last, weights))
            value.flat[here] = getattr(bulk(pieces, self.ratio, y[:, 0]), part)
        return value[()]
