"""Points of the graph v(r) over the u plane's real line: by abscissa x, by mass below, and off the real line."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.interpolate import PchipInterpolator
from scipy.optimize.elementwise import find_root

from ._u_plane import Plane

TABLE = 129  # nodes of a component's table of starting values; they only have to lead Newton's method in
ROUNDS = 80  # of Newton's method, which ends long before
RESIDUAL = 1e-12  # relative to the largest |t|


class Component(NamedTuple):
    """One interval of the bulk: its ends in the u plane, and a table along the graph over it."""

    low: float
    high: float
    x: Float[ndarray, " k"]
    r: Float[ndarray, " k"]
    y: Float[ndarray, " k"]


@dataclass(frozen=True, eq=False)
class Graph(Plane):
    """A plane and the graph of its bulk; see the module of ``Plane`` for the equations."""

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
