"""The generalised Marchenko-Pastur law: sample covariances of any population."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._arrays import probability_array, real_array
from .._checks import positive_float, positive_int
from ._graph import Graph
from ._largest import Largest
from ._law import Law
from ._population import Intervals, Population, population_of
from ._tracy_widom import TracyWidom


@dataclass(frozen=True, eq=False)
class Silverstein(Law):
    """Limiting eigenvalue law of S X Xᵀ/n, X of shape (p, n) with iid entries of variance one, c = p/n.

    S is fixed with the eigenvalue law H, the population. The companion transform m̃ = c m − (1 − c)/z solves
    z = −1/m̃ + c ∫ t/(1 + t m̃) dH(t).  With H = δ₁ it is ``MarchenkoPastur(c)``.

    ``population`` is (values, weights), a sample, a density given with ``intervals`` (its support, one or
    more pairs), or a law with ``pdf``, ``support`` and ``atom``. Values given as atoms that stand for a fine
    grid of a density should name its ``intervals`` too: no gap is then looked for between them. With
    ``indefinite=True`` values may be negative (the law of the eigenvalues of Xᵀ S X/n but for zeros).

    Every method is exact for the given atoms, to rounding: the bulk is a graph in the u plane, reached
    without an offset from the real line, and ``cdf`` is a closed form. A density is replaced by nodes (midpoint
    rule in the angle, doubled until its mass moves by less than 1e-9); the error is that of this quadrature, and
    it vanishes exponentially for smooth ones. x carries the unit of the population.

    ValueError for a ratio that is not positive, an empty or negative population, weights that do not sum to
    one. Cost: O(points × atoms), about 5 Newton steps; components and their tables once, O(atoms²) at worst.

    Source: Silverstein and Choi (1995); the graph after Biane (1997).

    >>> law = Silverstein(population=([1.0, 10.0], [0.5, 0.5]), ratio=0.1)
    >>> [(round(low, 4), round(high, 4)) for low, high in law.support]
    [(0.5609, 1.4273), (6.0853, 15.0266)]
    >>> round(float(law.cdf(3.0)), 12)
    0.5
    """

    population: Any = field(repr=False)
    ratio: float
    intervals: Intervals = field(default=(), repr=False)
    indefinite: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "ratio", positive_float("ratio", self.ratio))
        if not self._read.values.any():
            raise ValueError("`population` must have a value other than zero.")

    @cached_property
    def _read(self) -> Population:
        return population_of(self.population, self.intervals, indefinite=self.indefinite)

    @cached_property
    def _unit(self) -> float:
        """Largest |t|: the plane is scaled by it."""
        return float(np.abs(self._read.values).max())

    @cached_property
    def _graph(self) -> Graph:
        values, weights, gaps = self._read
        here = np.flatnonzero(values)
        # Neighbours of a value zero that is left out: a gap may be there if there is one on either side of it.
        between = np.array([gaps[i:j].any() for i, j in pairwise(here)], dtype=bool)
        return Graph(values[here] / self._unit, weights[here], self.ratio, between)

    @cached_property
    def support(self) -> tuple[tuple[float, float], ...]:
        """(low, high) of every component of the bulk, from left to right; an ``atom`` at 0 is not among them."""
        ends = self._graph.x(self._graph.ends.reshape(-1)).reshape(-1, 2) * self._unit
        return tuple((float(low), float(high)) for low, high in ends)

    @property
    def edge(self) -> float:
        """Upper edge of the bulk: x(u₊), without looking for gaps."""
        return float(self._graph.x(np.array([self._graph.top]))[0] * self._unit)

    @property
    def atom(self) -> float:
        """Mass at zero: max(H{0}, 1 − 1/c)."""
        return max(1 - float(self._graph.w.sum()), 1 - 1 / self.ratio, 0.0)

    def mean(self) -> float:
        """∫ x dF = ∫ t dH."""
        return float(self._read.values @ self._read.weights)

    @cached_property
    def masses(self) -> NDArray[np.float64]:
        """Mass of every component, in the order of ``support``; with ``atom`` they sum to one."""
        return np.asarray(np.diff(self._counts, axis=1)[:, 0] / self.ratio)

    @cached_property
    def _counts(self) -> NDArray[np.float64]:
        """Companion mass below both ends of every component."""
        ends = self._graph.ends
        return self._graph.count(ends.reshape(-1), np.zeros(ends.size)).reshape(-1, 2)

    def pdf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Density of the bulk at x, per unit eigenvalue; 0 outside, the atom left out, inf at a hard edge 0.

        v/(π c |u|²) at the point u = r + iv of the graph with x(u) = x. ValueError for NaN.
        """
        square, v = self._point(real_array("x", x))
        with np.errstate(divide="ignore", invalid="ignore"):
            density = v / (np.pi * self.ratio * square) / self._unit
        return np.where(np.isnan(v), 0.0, np.where(square == 0, np.inf, density))[()]

    def root_pdf(self, s: ArrayLike) -> NDArray[np.float64]:
        """Density of √x at s, per unit s: 2 s f(s²), finite everywhere; the law of singular values.

        0 outside the bulk and for s < 0. ValueError for NaN.
        """
        s = real_array("s", s)
        square, v = self._point(np.maximum(s, 0.0) ** 2)
        root = np.sqrt(self._unit)
        # At a hard edge u = i s/√κ, κ = c Σ w/t, to first order.
        limit = 2 * np.sqrt((self._graph.w / self._graph.t).sum() / self.ratio) / (np.pi * root)
        with np.errstate(divide="ignore", invalid="ignore"):
            density = 2 * (s / root) * v / (np.pi * self.ratio * square) / root
        return np.where(np.isnan(v) | (s < 0), 0.0, np.where(square == 0, limit, density))[()]

    def cdf(self, x: ArrayLike) -> NDArray[np.float64]:
        """Mass at or below x, the atom included; a closed form at the graph's point. ValueError for NaN."""
        x = real_array("x", x)
        flat = x.ravel() / self._unit
        r, y = self._graph.graph(flat)
        inside = ~np.isnan(r)
        # In a gap the mass is that of the components to the left.
        left = np.searchsorted([part.x[-1] for part in self._graph.components], flat, side="left")
        mass = self._below[left]
        part = left[inside]
        mass[inside] += (self._graph.count(r[inside], y[inside]) - self._counts[part, 0]) / self.ratio
        mass += np.where(flat >= 0, self.atom, 0.0)
        return np.clip(mass, 0.0, 1.0).reshape(x.shape)[()]

    @cached_property
    def _below(self) -> NDArray[np.float64]:
        """Bulk mass to the left of every component, and of all."""
        return np.append(0.0, np.cumsum(self.masses))

    def quantile(self, q: ArrayLike) -> NDArray[np.float64]:
        """Smallest x with cdf(x) ≥ q; ValueError for q outside [0, 1]."""
        q = probability_array("q", q)
        negative = float(np.sum(self.masses[[high <= 0 for _, high in self.support]]))
        if any(low < 0 < high for low, high in self.support):
            negative = float(self.cdf(0.0)) - self.atom
        at_zero = (self.atom > 0) & ((q > negative) | (negative == 0)) & (q <= negative + self.atom)
        bulk = np.clip(np.where(q > negative, q - self.atom, q), 0.0, self._below[-1])
        part = np.clip(np.searchsorted(self._below, bulk, side="left") - 1, 0, len(self.masses) - 1)
        x = np.empty_like(bulk)
        for k, component in enumerate(self._graph.components):
            here = part == k
            target = self._counts[k, 0] + self.ratio * (bulk[here] - self._below[k])
            x[here] = self._graph.invert_count(component, target) * self._unit
        return np.where(at_zero, 0.0, x)[()]

    def stieltjes(self, z: ArrayLike) -> NDArray[np.complex128]:
        """m(z) = ∫ dF(x)/(x − z) = −Σ wᵢ/(u − tᵢ) / (1 + c Σ wᵢ tᵢ/(u − tᵢ)), m ~ −1/z.

        On the bulk it is the limit from above: Im m = π f. ValueError for z that is not finite, and at z = 0
        where the law has an atom or a hard edge there.
        """
        z = np.asarray(z, dtype=np.complex128)
        if not np.isfinite(z).all():
            raise ValueError("`z` must be finite; give points of the complex plane off the poles.")
        if (z == 0).any() and (self.atom > 0 or self._graph.rest == 0):
            raise ValueError("`z` must not be 0 for this law; the transform has a pole there.")
        values, weights, _ = self._read
        flat, lower = z.ravel() / self._unit, z.ravel().imag < 0
        u = self._graph.solve(np.where(lower, flat.conj(), flat)) * self._unit
        inverse = 1 / (np.where(lower, u.conj(), u)[:, None] - values)
        return np.asarray(-inverse @ weights / (1 + self.ratio * inverse @ (weights * values))).reshape(z.shape)[()]

    def largest(self, rows: int) -> Largest:
        """Mean and standard deviation of the top eigenvalue at p = ``rows``: x₊ + s S, S Tracy-Widom (β = 1).

        s = (n √(2/x″(u₊))/u₊²)^(−2/3),  x″(u) = 2 Σ aᵢ/(u − tᵢ)³,  n = p/c. The next order, O(1/n), is left out.
        ValueError for a count below one. Cost: the first call takes 0.1 s.
        """
        law, scale = TracyWidom(), self.edge_scale(rows)
        return Largest(self.edge + scale * law.mean(), scale * float(np.sqrt(law.variance())))

    def edge_scale(self, rows: int) -> float:
        """s of ``largest``: the width of the top eigenvalue's scatter, in the unit of x."""
        graph, top = self._graph, self._graph.top
        curvature = 2 * float((graph.a / (top - graph.t) ** 3).sum())
        step = positive_int("rows", rows) / self.ratio * np.sqrt(2 / curvature) / top**2
        return float(step ** (-2 / 3) * self._unit)

    def _point(self, x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """|u|² and v of the graph at x; NaN outside the bulk."""
        r, y = self._graph.graph(x.ravel() / self._unit)
        return (r * r + y).reshape(x.shape), np.sqrt(y).reshape(x.shape)
