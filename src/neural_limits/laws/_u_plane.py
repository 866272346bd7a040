"""The u plane: where a law given by its population is a graph over the real line, and real arithmetic reaches it.

With the companion Stieltjes transform m̃ = ∫ dF̃(x)/(x − z) and u = −1/m̃, Silverstein's equation reads

    z = x(u) = u (1 + c Σ wᵢ tᵢ/(u − tᵢ)) = u + c Σ wᵢ tᵢ + Σ aᵢ/(u − tᵢ),   aᵢ = c wᵢ tᵢ² ≥ 0,

whatever the signs of the tᵢ. Im x = v (1 − Σ aᵢ/|u − tᵢ|²) for u = r + iv: real x inside the bulk are the graph
v(r) > 0 of f(r, v²) = Σ aᵢ/((r − tᵢ)² + v²) = 1, and x rises along it. Where f(r, 0) ≤ 1 the graph lies on the
real line: gaps of the spectrum. One solution above the line exists for each x, so a residual of zero is a proof.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from numpy import ndarray

BISECTIONS = 80  # of a bracket; they end below the spacing of floats
CHUNK = 2**20  # points x atoms worked on at a time: 8 MiB an array, within the cache where it matters


@dataclass(frozen=True, eq=False)
class Plane:
    """Atoms ``t`` (sorted, none zero), weights ``w`` (summing to at most one), ratio ``c``; max |t| near one.

    ``gaps`` marks the neighbours tᵢ, tᵢ₊₁ between which the bulk may have a gap.
    """

    t: Float[ndarray, " m"]
    w: Float[ndarray, " m"]
    c: float
    gaps: ndarray

    @cached_property
    def a(self) -> Float[ndarray, " m"]:
        """Masses aᵢ = c wᵢ tᵢ²."""
        return np.asarray(self.c * self.w * self.t**2)

    @cached_property
    def rest(self) -> float:
        """1 − c Σ wᵢ, the companion's mass at zero if positive; exactly zero where the bulk ends at zero.

        x(u) = rest u + c Σ wᵢ u²/(u − tᵢ) is the form that keeps its relative accuracy at u = 0.
        """
        rest = 1 - self.c * float(self.w.sum())
        return 0.0 if abs(rest) < 1e-12 else rest

    def x(self, u: ndarray) -> ndarray:
        """x(u), for real u off the atoms or complex u."""
        return self._chunked(lambda u: u * self.rest + self.c * u * u * ((1 / (u[:, None] - self.t)) @ self.w), u)

    def f(self, r: ndarray) -> ndarray:
        """f(r, 0) = Σ aᵢ/(r − tᵢ)²."""
        return self._chunked(lambda r: ((r[:, None] - self.t) ** -2) @ self.a, r)

    @cached_property
    def ends(self) -> Float[ndarray, "k 2"]:
        """Ends (low, high) of the bulk's components in the u plane: the roots of f(r, 0) = 1 around the atoms."""
        first = self._bisect(self.t[:1] - self._reach, self.t[:1], lambda r: self.f(r) > 1)
        if self.rest == 0 and self.t[0] > 0:  # f(0) = 1: a hard edge at x = 0
            first = 0 * first
        return np.concatenate([first, self._inner_ends(), [self.top]]).reshape(-1, 2)

    @cached_property
    def top(self) -> float:
        """The last of the ends, u₊."""
        if self.rest == 0 and self.t[-1] < 0:
            return 0.0
        return float(self._bisect(self.t[-1:], self.t[-1:] + self._reach, lambda r: self.f(r) < 1)[0])

    @property
    def _reach(self) -> float:
        """How far from the outermost atoms the outer ends can lie: f ≤ Σ a/distance²."""
        return float(np.sqrt(self.a.sum()))

    def _inner_ends(self) -> Float[ndarray, " k"]:
        """Both roots of f = 1 in every gap between atoms where the convex f falls below one."""
        left, right = self.t[:-1], self.t[1:]
        # The neighbours alone give f ≥ (a₁^⅓ + a₂^⅓)³/(t₂ − t₁)²: most gaps are excluded by that.
        bound = (np.cbrt(self.a[:-1]) + np.cbrt(self.a[1:])) ** 3
        candidates = self.gaps & (bound < (right - left) ** 2)
        left, right = left[candidates], right[candidates]
        lowest = self._bisect(left, right, lambda r: self._slope(r) > 0)
        open_ = self.f(lowest) < 1
        left, right, lowest = left[open_], right[open_], lowest[open_]
        starts = self._bisect(left, lowest, lambda r: self.f(r) < 1)
        stops = self._bisect(lowest, right, lambda r: self.f(r) > 1)
        return np.stack([starts, stops], 1).reshape(-1)

    def _slope(self, r: ndarray) -> ndarray:
        return self._chunked(lambda r: -((r[:, None] - self.t) ** -3) @ self.a, r)

    def _bisect(self, low: ndarray, high: ndarray, above: Callable[[ndarray], ndarray]) -> ndarray:
        """Where a monotone condition turns true between ``low`` and ``high``."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            for _ in range(BISECTIONS):
                middle = (low + high) / 2
                stop = above(middle)
                low, high = np.where(stop, low, middle), np.where(stop, middle, high)
        return (low + high) / 2

    def _chunked(self, function: Callable[..., ndarray | tuple[ndarray, ...]], *points: ndarray) -> ndarray:
        """The function over points, as many at a time as fit the cache."""
        size = max(1, CHUNK // len(self.t))
        if len(points[0]) <= size:
            return np.asarray(function(*points))
        parts = [np.asarray(function(*(p[i : i + size] for p in points))) for i in range(0, len(points[0]), size)]
        return np.concatenate(parts, axis=-1)
