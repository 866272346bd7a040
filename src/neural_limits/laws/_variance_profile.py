"""Singular values of a matrix whose independent entries have unequal variances."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog

from .._arrays import probability_array, real_array
from .._checks import positive_float, positive_int
from ._components import Edge, components
from ._density_series import DensitySeries, density_series
from ._dyson import DysonEquation, factored
from ._largest import Largest
from ._law import Law
from ._tracy_widom import TracyWidom

MASS = 1e-6  # components and atom must add up to one this closely,
WORST = 1e-4  # or to their series' errors but never worse than this
ZERO = 1e-9  # of the edge: the density at 0 is taken here
BISECTIONS = 60


@dataclass(frozen=True, eq=False)
class VarianceProfile(Law):
    """Limiting law of the N singular values of an N × D matrix, entries independent of variance s(l, μ)/D.

    m(s) = ∫ g dH,  g(l) = 1/(z − ∫ s ĝ dν(μ)),  ĝ(μ) = 1/(z − c ∫ s g dH(l));  f(s) = −(2/π) Im m(s + i0).

    ``profile`` s, shape (rows, columns), at nodes l and μ whose shares of the matrix's rows and columns are
    ``row_weights`` and ``column_weights``; ``ratio`` c = N/D. The law counts all N rows: min(N, D) singular
    values, and N − D zeros where N > D; ``atom`` is the mass at zero, which also holds empty rows. Singular
    values carry the unit √s. Methods take scalars or arrays, keep the shape and answer in float64.

    ValueError for a profile that is not a finite matrix of entries ≥ 0 with one above zero, for weights of other
    lengths, negative, or that do not sum to one within 1e-9 (they are then normalised), or a ratio that is not
    positive. RuntimeError where a solution cannot be certified, and from ``cdf`` and ``quantile`` where the
    components do not hold all the mass to 1e-4, as for a bulk at singular values below 1e-7 of the edge.

    Accuracy near 1e-12 of the edge and of mass where the density is smooth, 1e-5 of mass where blocks that share
    no row or column put a kink into it; components or gaps narrower than 1e-5 of the edge may be missed. Cost:
    with r the rank of s (2 for two blocks, near 20 for a smooth profile), O(r² (rows + columns)) a point and
    Newton step; 0.2 s for 400 points of 96 × 96 nodes, as much for the support.

    Source: Girko (2001); Ajanki, Erdős and Krüger, Universality for general Wigner-type matrices (2017).

    >>> law = VarianceProfile([[1.0]], [1.0], [1.0], ratio=1.0)  # the quarter circle
    >>> round(law.edge, 10), float(law.pdf(0.0).round(10)), float(law.cdf(1.0).round(4))
    (2.0, 0.6366197724, 0.609)
    """

    profile: ArrayLike
    row_weights: ArrayLike
    column_weights: ArrayLike
    ratio: float

    def __post_init__(self) -> None:
        profile = real_array("profile", self.profile)
        if profile.ndim != 2 or not np.isfinite(profile).all() or (profile < 0).any() or not (profile > 0).any():
            raise ValueError("`profile` must be a matrix of finite variances, none negative and one positive.")
        rows = _shares("row_weights", self.row_weights, profile.shape[0])
        columns = _shares("column_weights", self.column_weights, profile.shape[1])
        object.__setattr__(self, "profile", profile)
        object.__setattr__(self, "row_weights", rows)
        object.__setattr__(self, "column_weights", columns)
        object.__setattr__(self, "ratio", positive_float("ratio", self.ratio))

    @property
    def support(self) -> tuple[tuple[float, float], ...]:
        """(low, high) of every component of the bulk, in increasing order; the atom is besides."""
        return tuple((self._unit * low.position, self._unit * high.position) for low, high in self._components)

    @property
    def edge(self) -> float:
        """The upper edge of the bulk, in operator norm."""
        return self.support[-1][1]

    @cached_property
    def atom(self) -> float:
        """Mass at zero: the share of rows that the rank of the positive entries leaves over."""
        r = self._reduced
        return 1 - r.share * _rank(r.profile > 0, r.row_weights, r.column_weights / r.ratio)

    def pdf(self, s: ArrayLike) -> NDArray[np.float64]:
        """Density at s, per unit singular value, the atom left out; 0 outside the support. ValueError for NaN."""
        s = real_array("s", s)
        inside = np.zeros(s.shape, dtype=bool)
        for low, high in self.support:
            inside |= (s >= low) & (s <= high)
        out = np.zeros(s.shape)
        out[inside] = self._density(s[inside] / self._unit) / self._unit
        return out[()]

    def cdf(self, s: ArrayLike) -> NDArray[np.float64]:
        """Mass at or below s, the atom included. ValueError for NaN."""
        s = real_array("s", s)
        parts = [part.below(s.ravel() / self._unit) for part in self._parts]
        mass = self.atom + np.sum(parts, axis=0).reshape(s.shape)
        return np.where(s < 0, 0.0, np.where(s >= self.edge, 1.0, np.clip(mass, 0.0, 1.0)))[()]

    def quantile(self, q: ArrayLike) -> NDArray[np.float64]:
        """Smallest s with cdf(s) ≥ q; 0 up to the atom's mass. ValueError for q outside [0, 1]."""
        q = probability_array("q", q)
        below, above = np.zeros_like(q), np.full_like(q, self.edge)
        for _ in range(BISECTIONS):
            middle = (below + above) / 2
            under = self.cdf(middle) < q
            below, above = np.where(under, middle, below), np.where(under, above, middle)
        lowest = 0.0 if self.atom > 0 else self.support[0][0]
        return np.where(q <= self.atom, lowest, np.where(q >= 1, self.edge, above))[()]

    def stieltjes(self, z: ArrayLike) -> NDArray[np.complex128]:
        """∫ dF(s)/(s² − z), the transform of the eigenvalues of M Mᵀ, as `MarchenkoPastur.stieltjes` has it.

        On the squares of the bulk it is the limit from above: its imaginary part is π times the density of s².
        ValueError for z that is not finite, or 0.
        """
        z = np.asarray(z, dtype=np.complex128)
        if not np.isfinite(z).all() or (z == 0).any():
            raise ValueError("`z` must be finite and not 0; give points of the complex plane off the poles.")
        flat = np.where(z.imag < 0, z.conj(), z).ravel()
        root = np.sqrt(flat) / self._unit  # in the first quadrant, where Im z ≥ 0
        r = self._reduced
        mean = r.share * self._equation.solve(root).mean + (1 - r.share) / root
        value = (-mean / root / self._unit**2).reshape(z.shape)
        return np.where(z.imag < 0, value.conj(), value)[()]

    def largest(self, rows: int) -> Largest:
        """Mean and standard deviation of the top singular value of a matrix of N = ``rows`` rows.

        edge + (2 N B)^(−2/3) S, S Tracy-Widom (β = 1), m = m₊ − B √(s − edge): N f(s) = (2 N B/π) √(edge − s) near
        the edge is matched to the Airy density √(−x)/π. The next order, 1/N in the mean, is left out: of two blocks
        the mean at N = 100, 200, 400 is 0.19, 0.17, 0.15 standard deviations too high. ValueError for no rows.
        """
        rows, top = positive_int("rows", rows), self._components[-1][1]
        scale = self._unit * (2 * rows * self._reduced.share * top.rise) ** (-2 / 3)
        return Largest(self.edge + scale * TracyWidom().mean(), scale * TracyWidom().variance() ** 0.5)

    @cached_property
    def _reduced(self) -> _Reduced:
        return _reduced(
            np.asarray(self.profile), np.asarray(self.row_weights), np.asarray(self.column_weights), self.ratio
        )

    @cached_property
    def _unit(self) -> float:
        """√ of the largest row sum + √ of the largest column sum, which the edge does not pass."""
        r = self._reduced
        rows, columns = r.profile @ r.column_weights, r.ratio * r.row_weights @ r.profile
        return float(np.sqrt(rows.max()) + np.sqrt(columns.max()))

    @cached_property
    def _equation(self) -> DysonEquation:
        r = self._reduced
        return DysonEquation(*factored(r.profile / self._unit**2), r.row_weights, r.column_weights, r.ratio)

    @cached_property
    def _components(self) -> list[tuple[Edge, Edge]]:
        r = self._reduced  # a row or column of small weight may have a narrow component of its own, near its norm
        norms = np.concatenate([r.profile @ r.column_weights, r.ratio * r.row_weights @ r.profile])
        return components(self._equation, np.sqrt(norms) / self._unit)

    @cached_property
    def _parts(self) -> list[DensitySeries]:
        parts = [density_series(self._density, low.position, high.position) for low, high in self._components]
        missing = 1 - self.atom - sum(part.mass for part in parts)
        if abs(missing) > min(MASS + 10 * sum(part.tail for part in parts), WORST):
            raise RuntimeError(
                f"the bulk's components {self.support} lack a mass of {missing:.3g}; the density is too sharp, as near "
                "zero where entries of `profile` are tiny beside the others: set those to zero, or use `pdf` alone."
            )
        return parts

    def _density(self, s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Density of s in units of ``_unit``, at points of the bulk."""
        mean = self._equation.solve(np.maximum(s, ZERO) + 0j).mean
        return np.maximum(-2 / np.pi * self._reduced.share * mean.imag, 0.0)


class _Reduced(NamedTuple):
    """The profile without its empty rows and columns; ``share`` is that of the rows kept."""

    profile: NDArray[np.float64]
    row_weights: NDArray[np.float64]
    column_weights: NDArray[np.float64]
    ratio: float
    share: float


def _reduced(
    profile: NDArray[np.float64], rows: NDArray[np.float64], columns: NDArray[np.float64], ratio: float
) -> _Reduced:
    """N' = r N rows and D' = q D columns: the variance s/D is q s/D', and c' = c r/q."""
    some = (profile > 0) & (rows[:, None] > 0) & (columns > 0)
    i, j = some.any(axis=1), some.any(axis=0)
    r, q = float(rows[i].sum()), float(columns[j].sum())
    reduced = ratio * r / q
    reduced = 1.0 if abs(reduced - 1) < 1e-13 else reduced  # square up to rounding
    return _Reduced(q * profile[np.ix_(i, j)], rows[i] / r, columns[j] / q, reduced, r)


def _rank(positive: NDArray[np.bool_], rows: NDArray[np.float64], columns: NDArray[np.float64]) -> float:
    """Rank of a generic matrix with these positive blocks: the largest flow from rows to columns through them."""
    if positive.all():
        return float(min(rows.sum(), columns.sum()))
    patterns, which = np.unique(positive, axis=0, return_inverse=True)
    patterns, other = np.unique(patterns, axis=1, return_inverse=True)
    limits = np.concatenate([np.bincount(which.ravel(), rows), np.bincount(other.ravel(), columns)])
    i, j = np.nonzero(patterns)
    uses = np.arange(len(limits))[:, None] == np.stack([i, j + patterns.shape[0]])[:, None, :]
    flow = linprog(-np.ones(i.size), A_ub=uses.any(axis=0), b_ub=limits)
    return float(-flow.fun)


def _shares(name: str, values: ArrayLike, size: int) -> NDArray[np.float64]:
    """Weights in float64, normalised; ValueError for another length, a negative one, or a sum that is not one."""
    weights = real_array(name, values)
    if weights.shape != (size,) or (weights < 0).any() or not abs(weights.sum() - 1) < 1e-9:
        raise ValueError(f"`{name}` must be {size} shares, none negative, that sum to one; got {weights!s}.")
    return weights / weights.sum()
