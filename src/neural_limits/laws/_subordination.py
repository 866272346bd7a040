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
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.interpolate import PchipInterpolator
from scipy.optimize.elementwise import find_root

TABLE = 129  # nodes of a component's table of starting values; they only have to lead Newton's method in
ROUNDS = 80  # bisections end below the spacing of floats, Newton's method long before
RESIDUAL = 1e-12  # relative to the largest |t|
CHUNK = 2**20  # points x atoms worked on at a time: 8 MiB an array, within the cache where it matters


class Component(NamedTuple):
    """One interval of the bulk: its ends in the u plane, and a table along the graph over it."""

    low: float
    high: float
    x: Float[ndarray, " k"]
    r: Float[ndarray, " k"]
    y: Float[ndarray, " k"]


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
            for _ in range(ROUNDS):
                middle = (low + high) / 2
                stop = above(middle)
                low, high = np.where(stop, low, middle), np.where(stop, middle, high)
        return (low + high) / 2

    @cached_property
    def components(self) -> tuple[Component, ...]:
        """The bulk's components, from left to right."""
        return tuple(self._component(float(low), float(high)) for low, high in self.ends)

    def _component(self, low: float, high: float) -> Component:
        angle = np.linspace(0, np.pi, TABLE)
        r = np.clip((low + high) / 2 - (high - low) / 2 * np.cos(angle), low, high)
        y = np.append(np.insert(self.height(r[1:-1]), 0, 0.0), 0.0)
        x = self._real_x(r, y)
        x[[0, -1]] = self.x(np.array([low, high]))
        return Component(low, high, np.maximum.accumulate(x), r, y)

    def height(self, r: ndarray) -> ndarray:
        """v² of the graph over r: the root of f(r, y) = 1, zero where f(r, 0) ≤ 1.

        1/f is concave in y, so Newton's method rises to the root from below and cannot pass it.
        """
        return self._chunked(self._height, r)

    def _height(self, r: ndarray) -> ndarray:
        square = (r[:, None] - self.t) ** 2
        y = np.maximum((self.a - square).max(-1), 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            for _ in range(ROUNDS):
                q = 1 / (square + y[:, None])
                f = q @ self.a
                step = f * (f - 1) / (q * q @ self.a)
                y = np.where(step > 0, y + step, y)
                if not (step > 1e-15 * y).any():
                    break
        return y

    def _real_x(self, r: ndarray, y: ndarray) -> ndarray:
        """Re x(r + i√y); on the graph x is real."""
        return self._chunked(lambda r, y: self._near(r, y, 1 / ((r[:, None] - self.t) ** 2 + y[:, None])), r, y)

    def _near(self, r: ndarray, y: ndarray, q: ndarray) -> ndarray:
        """Re x(r + i√y) given q = 1/|u − t|²."""
        square = r * r + y
        return np.asarray(r * self.rest + self.c * (square * r * (q @ self.w) - (r * r - y) * (q @ (self.w * self.t))))

    def graph(self, x: Float[ndarray, " p"]) -> tuple[Float[ndarray, " p"], Float[ndarray, " p"]]:
        """(r, v²) with x(r + iv) = x, v > 0 inside the bulk; NaN outside it."""
        r, y = np.full_like(x, np.nan), np.full_like(x, np.nan)
        for component in self.components:
            inside = (x >= component.x[0]) & (x <= component.x[-1])
            if inside.any():
                r[inside], y[inside] = self._inside(component, x[inside])
        return r, y

    def _inside(self, component: Component, x: ndarray) -> tuple[ndarray, ndarray]:
        rising = np.concatenate([[True], np.diff(component.x) > 0])
        if rising.sum() < 2:  # narrower than the spacing of floats
            return np.full_like(x, component.low), np.zeros_like(x)
        start = PchipInterpolator(component.x[rising], np.stack([component.r, component.y], 1)[rising])(x)
        r = np.clip(start[:, 0], component.low, component.high)
        r, y, residual = self._chunked(self._newton, x, r, np.maximum(start[:, 1], 0))
        lost = ~(residual <= RESIDUAL) | (r < component.low - RESIDUAL) | (r > component.high + RESIDUAL)
        r = np.clip(r, component.low, component.high)
        if lost.any():
            target, ends = x[lost], np.ones(lost.sum())
            passes = lambda r: self._real_x(r, self.height(r)) > target  # noqa: E731
            r[lost] = self._bisect(component.low * ends, component.high * ends, passes)
            y[lost] = self.height(r[lost])
        return r, y

    def _newton(self, x: ndarray, r: ndarray, y: ndarray) -> tuple[ndarray, ndarray, ndarray]:
        """Newton's method on f(r, y) = 1, Re x(r, y) = x: regular up to the edges, where u itself has a root."""
        floor = 1e-15 * np.minimum(np.abs(x), 1)
        best = np.stack([r, y, np.full_like(x, np.inf)])
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            for _ in range(ROUNDS // 4):
                d = r[:, None] - self.t
                q = 1 / (d * d + y[:, None])
                f, gap = q @ self.a - 1, self._near(r, y, q) - x
                residual = np.maximum(np.abs(gap), np.abs(f * np.sqrt(y)))
                moving = (residual < best[2] / 2) & (residual > floor)
                best = np.where(residual < best[2], np.stack([r, y, residual]), best)
                if not moving.any():
                    break
                q *= q
                second, mixed = q @ self.a, (q * d) @ self.a
                along = 2 * y * second - f
                determinant = 2 * mixed**2 + second * along
                r = r - (second * gap - mixed * f) / determinant
                y = np.maximum(y + (2 * mixed * gap + along * f) / determinant, y / 16)
        return best[0], best[1], best[2]

    def count(self, r: ndarray, y: ndarray) -> ndarray:
        """Companion mass below x(r + i√y), closed form: the logarithms' imaginary parts along the graph."""

        def each(r: ndarray, y: ndarray) -> ndarray:
            v, d = np.sqrt(y), r[:, None] - self.t
            angle = np.arctan2(v, r)
            angles = angle[:, None] - np.arctan2(v[:, None], d)
            pole = v * ((1 / (d * d + y[:, None])) @ (self.w * self.t))
            return np.asarray(1 + (-angle + self.c * (angles @ self.w + pole)) / np.pi)

        return self._chunked(each, r, y)

    def invert_count(self, part: Component, target: ndarray) -> ndarray:
        """x where the companion mass below it is ``target``, inside one component."""
        table = np.maximum.accumulate(self.count(part.r, part.y))
        place = np.clip(np.searchsorted(table, target), 1, TABLE - 1)
        r = np.where(target <= table[0], part.low, part.high)
        inside = (target > table[0]) & (target < table[-1])
        if inside.any():
            bracket = part.r[place[inside] - 1], part.r[place[inside]]
            r[inside] = find_root(self._excess, bracket, args=(target[inside],)).x
        x = self._real_x(r, self.height(r))
        return np.where(inside, x, np.where(target <= table[0], part.x[0], part.x[-1]))

    def _excess(self, r: ndarray, target: ndarray) -> ndarray:
        return self.count(r, self.height(r)) - target

    def solve(self, z: ndarray) -> ndarray:
        """u(z) for Im z ≥ 0; on the real line the limit from above."""
        u, real = np.empty_like(z), z.imag == 0
        if real.any():
            r, y = self.graph(z.real[real])
            gap = np.isnan(r)
            r[gap], y[gap] = self._in_gap(z.real[real][gap]), 0.0
            u[real] = r + 1j * np.sqrt(y)
        if not real.all():
            u[~real] = self._above(z[~real])
        return u

    def _in_gap(self, x: ndarray) -> ndarray:
        """Real u with x(u) = x outside the bulk, where x(u) rises."""
        part = np.searchsorted([component.x[-1] for component in self.components], x)
        free = x - self.c * float(self.w @ self.t)  # x(u) lies above u + c Σ w t right of the atoms, below it left
        low = np.insert(self.ends[:, 1], 0, -np.inf)[part]
        high = np.append(self.ends[:, 0], np.inf)[part]
        low = np.where(np.isinf(low), np.minimum(free, high) - 1, low)
        high = np.where(np.isinf(high), np.maximum(free, low) + 1, high)
        return self._bisect(low, high, lambda u: self.x(u) > x)

    def _above(self, z: ndarray) -> ndarray:
        """u(z) for Im z > 0: Newton's method from far above, halving the height until z is reached."""
        height = 4 * (1 + self._reach + np.abs(z))
        u = z.real + 1j * height
        while (height > z.imag).any():
            height = np.maximum(height / 2, z.imag)
            u = self._descend(z.real + 1j * height, u)
        return u

    def _descend(self, z: ndarray, u: ndarray) -> ndarray:
        for _ in range(ROUNDS):
            d = u[:, None] - self.t
            step = (u * (1 + self.c * (1 / d @ (self.w * self.t))) - z) / (1 - d**-2 @ self.a)
            # On the solution Im u ≥ Im z; a step that goes below half of it is cut short.
            while (low := (u - step).imag < z.imag / 2).any():
                step = np.where(low, step / 2, step)
            u = u - step
            if (np.abs(step) <= 1e-15 * np.abs(u)).all():
                return u
        if (np.abs(step) > 1e-9 * np.abs(u)).any():
            raise RuntimeError(f"`stieltjes` did not converge at z = {z[np.argmax(np.abs(step))]}; please report it.")
        return u

    def _chunked(self, function: Callable[..., ndarray | tuple[ndarray, ...]], *points: ndarray) -> ndarray:
        """The function over points, as many at a time as fit the cache."""
        size = max(1, CHUNK // len(self.t))
        if len(points[0]) <= size:
            return np.asarray(function(*points))
        parts = [np.asarray(function(*(p[i : i + size] for p in points))) for i in range(0, len(points[0]), size)]
        return np.concatenate(parts, axis=-1)
