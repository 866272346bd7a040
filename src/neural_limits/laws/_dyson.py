"""The Dyson equation of a variance profile, solved on the real axis itself and certified point by point."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Complex, Float
from numpy import ndarray

RANK = 1e-15  # singular values of the equilibrated profile below this share of the first are rounding
JUMP = 1e-3  # a step that would bring the height down by more goes to the target at once
LOWEST, STUCK = 1e-14, 0.99  # height, and share of it that a step leaves, where the continuation gives up
NEWTON = 30  # near an edge a step halves the error: 25 of them from 1e-1 to 3e-9, whose residual is rounding
ROUGH = 1e-6  # relative step and residual at which a point on the way down is good enough to start the next from
STALLED = 1e-5  # below this relative step Newton's method squares or halves, unless rounding is all that is left
RESIDUAL = 1e-9  # of a solution; a profile's own rounding over |z|, which is 1e-7 and more
LINE = 1e-9  # imaginary parts below this share of |g| count as zero
STABLE = 1e-7  # the spectral radius is known to about √eps at an edge, where it is 1


class DysonSolution(NamedTuple):
    """m = ∫ g dH, and the spectral radius ρ of the equation's slope: 1 in the bulk, below 1 outside."""

    mean: Complex[ndarray, " p"]
    radius: Float[ndarray, " p"]


@dataclass(frozen=True, eq=False)
class DysonEquation:
    """g = 1/(z − U b), b = Vᵀ Q ĝ;  ĝ = 1/(z − V a), a = c Uᵀ P g:  the profile is U Vᵀ, P and Q the weights.

    A profile on smooth nodes has low rank r to rounding, so that the unknown is a, of length r. U (rows, r) and
    V (columns, r) are in units in which the upper edge is at most 1. At Im z > 0 a solution with Im g < 0 is the
    only one. On the real axis the limit from above is the one with Im g ≤ 0 and spectral radius of
    diag|g|² U Vᵀ Q diag|ĝ|² c V Uᵀ P at most 1 (exactly 1 wherever Im g < 0); no imaginary offset is needed.
    """

    left: Float[ndarray, "rows r"]
    right: Float[ndarray, "columns r"]
    row_weights: Float[ndarray, " rows"]
    column_weights: Float[ndarray, " columns"]
    ratio: float

    def solve(self, z: Complex[ndarray, " p"]) -> DysonSolution:
        """The solution at every z, Im z ≥ 0; RuntimeError where none could be certified.

        Newton's method along Im z from 2, where the equation contracts, down to the target: a step that fails its
        certificate is halved (in the logarithm), one that holds is doubled.
        """
        x, target = z.real, z.imag
        a = np.zeros((z.size, self.left.shape[1]), dtype=complex)
        mean, radius = np.full(z.size, np.nan, dtype=complex), np.ones(z.size)
        height, factor = np.maximum(2.0, target), np.full(z.size, 1 / 8)
        _, a, *_ = self._newton(x + 1j * height, a, np.zeros(z.size, dtype=bool))
        todo = np.arange(z.size)
        while todo.size:
            trial = np.where(factor[todo] < JUMP, 0.0, height[todo] * factor[todo])
            trial = np.maximum(trial, target[todo])
            good, candidate, m, rho = self._newton(x[todo] + 1j * trial, a[todo], trial <= target[todo])
            kept, lost = todo[good], todo[~good]
            a[kept], height[kept], mean[kept], radius[kept] = candidate[good], trial[good], m[good], rho[good]
            factor[kept], factor[lost] = factor[kept] ** 2, np.sqrt(factor[lost])
            todo = todo[~good | (trial > target[todo])]
            stuck = todo[(height[todo] < LOWEST) | (factor[todo] > STUCK)]
            if stuck.size:
                raise RuntimeError(f"the Dyson equation did not converge at z = {z[stuck[0]]:.17g}; please report it.")
        return DysonSolution(mean, radius)

    def _newton(
        self, z: Complex[ndarray, " p"], a: Complex[ndarray, "p r"], final: Bool[ndarray, " p"]
    ) -> tuple[Bool[ndarray, " p"], Complex[ndarray, "p r"], Complex[ndarray, " p"], Float[ndarray, " p"]]:
        """Which points hold a certified solution (a rough one where not final), a, ∫ g dH and spectral radius."""
        a, active, last = a.copy(), np.arange(z.size), np.full(z.size, np.inf)
        with np.errstate(all="ignore"):  # a point that overflows fails its certificate
            for _ in range(NEWTON):
                g, gh, image = self._images(z[active], a[active])
                slope = _table_product(g**2, self._row_table) @ _table_product(gh**2, self._column_table)
                step = _solve(np.eye(a.shape[1]) - slope, image - a[active])
                a[active] += step
                size = self._relative(step, gh)
                rough = np.where(final[active], 1e-15, ROUGH)
                settled = (size < rough) | ((size < STALLED) & (size > last[active] / 1.5))  # only rounding is left
                last[active] = size
                active = active[~settled]
                if not active.size:
                    break
            g, gh, image = self._images(z, a)
            residual = self._relative(image - a, gh)
            good = (residual <= np.where(final, RESIDUAL, ROUGH)) & (last < ROUGH) & _below(g) & _below(gh)
            radius = np.ones(z.size)
            # Where every Im g < 0 on the real axis the radius is 1 by the imaginary part of the equation.
            inside = (g.imag < -LINE * np.abs(g)).all(axis=1) & (gh.imag < -LINE * np.abs(gh)).all(axis=1)
            real = good & (z.imag == 0) & ~inside
            squares, squares_h = np.abs(g[real]) ** 2, np.abs(gh[real]) ** 2
            slope = _table_product(squares, self._row_table) @ _table_product(squares_h, self._column_table)
            radius[real] = np.abs(np.linalg.eigvals(slope)).max(axis=1, initial=0.0)
            good &= radius <= 1 + STABLE
        return good, a, self._mean(z, g, gh), radius

    def _images(
        self, z: Complex[ndarray, " p"], a: Complex[ndarray, "p r"]
    ) -> tuple[Complex[ndarray, "p rows"], Complex[ndarray, "p columns"], Complex[ndarray, "p r"]]:
        """ĝ from a, g from ĝ, and the a that g gives."""
        gh = 1 / (z[:, None] - a @ self.right.T)
        g = 1 / (z[:, None] - (gh * self.column_weights) @ self.right @ self.left.T)
        return g, gh, self.ratio * (g * self.row_weights) @ self.left

    def _relative(self, change: Complex[ndarray, "p r"], gh: Complex[ndarray, "p columns"]) -> Float[ndarray, " p"]:
        """The largest relative change of ĝ that a change of a makes; a itself has no scale where parts diverge."""
        return np.abs((change @ self.right.T) * gh).max(axis=1)

    @cached_property
    def _row_table(self) -> Float[ndarray, "rows r2"]:
        """c P U ⊗ U: squares g² @ table is da/db = c Uᵀ P diag(g²) U."""
        return (self.ratio * self.row_weights)[:, None] * _outer(self.left)

    @cached_property
    def _column_table(self) -> Float[ndarray, "columns r2"]:
        """Q V ⊗ V: squares ĝ² @ table is db/da = Vᵀ Q diag(ĝ²) V."""
        return self.column_weights[:, None] * _outer(self.right)

    def _mean(
        self, z: Complex[ndarray, " p"], g: Complex[ndarray, "p rows"], gh: Complex[ndarray, "p columns"]
    ) -> Complex[ndarray, " p"]:
        """∫ g dH. Of a square matrix g → t g, ĝ → ĝ/t changes the equations by z (t − 1) only; ∫ g = ∫ ĝ fixes t."""
        rows, columns = g @ self.row_weights, gh @ self.column_weights
        square = (self.ratio == 1) & (np.abs(z) < 1e-2)
        return np.where(square, rows * np.sqrt(columns / np.where(square, rows, 1.0)), rows)


def factored(profile: Float[ndarray, "rows columns"]) -> tuple[Float[ndarray, "rows r"], Float[ndarray, "columns r"]]:
    """U, V with profile = U Vᵀ, each row and column to rounding of its own largest entry; none may be empty.

    Few blocks are left as they are: sums of positive terms lose nothing where parts of g diverge.
    """
    rows = profile.max(axis=1, keepdims=True)
    columns = (profile / rows).max(axis=0, keepdims=True)
    u, s, vh = np.linalg.svd(profile / rows / columns, full_matrices=False)
    r = int((s > RANK * s[0]).sum())
    if 2 * r > s.size:
        n, m = profile.shape
        return (np.eye(n), profile.T) if n <= m else (profile, np.eye(m))
    root = np.sqrt(s[:r])
    return rows * u[:, :r] * root, columns.T * vh[:r].T * root


def _outer(factor: Float[ndarray, "n r"]) -> Float[ndarray, "n r2"]:
    return (factor[:, :, None] * factor[:, None, :]).reshape(len(factor), -1)


def _table_product(squares: ndarray, table: Float[ndarray, "n r2"]) -> ndarray:
    """Squares @ table as matrices (p, r, r); one real product for the two parts of complex squares."""
    r = round(table.shape[1] ** 0.5)
    if not np.iscomplexobj(squares):
        return (squares @ table).reshape(-1, r, r)
    both = np.concatenate([squares.real, squares.imag]) @ table
    return (both[: len(squares)] + 1j * both[len(squares) :]).reshape(-1, r, r)


def _below(g: Complex[ndarray, "p n"]) -> Bool[ndarray, " p"]:
    """Where Im g ≤ 0 for every entry, up to rounding."""
    return np.isfinite(g).all(axis=1) & (g.imag <= LINE * np.abs(g)).all(axis=1)


def _solve(matrices: Complex[ndarray, "p r r"], values: Complex[ndarray, "p r"]) -> Complex[ndarray, "p r"]:
    """Matrices⁻¹ values; zero where a matrix is singular or not finite, so that the point fails its residual."""
    try:
        return np.linalg.solve(matrices, values[..., None])[..., 0]
    except np.linalg.LinAlgError:
        regular = np.isfinite(matrices).all(axis=(1, 2)) & (np.abs(np.linalg.det(matrices)) > 0)
        out = np.zeros_like(values)
        out[regular] = np.linalg.solve(matrices[regular], values[regular][..., None])[..., 0]
        return out
