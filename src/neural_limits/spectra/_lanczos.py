"""Leading eigenvalues of a symmetric operator of which only products are known: block Lanczos, thick restarts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from .._checks import positive_float, positive_int

Matvec = Callable[[ndarray], ndarray]

GUARD = 2  # columns beyond `count`: a block of `count` sees every copy that is asked for, a wider one converges sooner
WHOLE = 64  # operators up to this size are never cut back
FLOOR = 1e-3  # residuals are taken relative to the eigenvalue, or to this fraction of the largest one
ROUNDING = 1e-13  # relative to the operator: what is left of a column below it is rounding, not a direction


@dataclass(frozen=True)
class Eigenvalues:
    """Eigenvalues, largest first, each with the norm of its residual A v - λ v: an eigenvalue lies that near.

    ``converged`` says where the residual is within the tolerance; ``vectors`` has the eigenvectors as rows;
    ``iterations`` counts blocks, ``products`` single products with the operator.
    """

    values: Float[ndarray, " k"]
    residuals: Float[ndarray, " k"]
    converged: Bool[ndarray, " k"]
    iterations: int
    products: int
    vectors: Float[ndarray, "k n"] = field(repr=False)

    @property
    def status(self) -> str:
        """``completed``; ``no_convergence``: a residual is above the tolerance; ``diverged``: no finite product."""
        if np.isnan(self.values).any():
            return "diverged"
        return "completed" if bool(self.converged.all()) else "no_convergence"


def leading_eigenvalues(
    matvec: Matvec,
    size: int,
    count: int,
    *,
    tolerance: float = 1e-8,
    max_iterations: int = 300,
    restart: int | None = None,
    seed: int = 0,
) -> Eigenvalues:
    """The ``count`` largest eigenvalues (algebraic, with multiplicity) of a symmetric operator on R^size.

    A V = V H + Q R with V orthonormal, Q the next block; eigenpairs (θ, s) of H give (θ, V s) with residual
    |R s|. Every block is orthogonalised twice against all of V, so no eigenvalue appears twice; the block
    has ``count`` + 2 columns, so that copies of a degenerate eigenvalue are all seen (a single vector sees
    one), and columns that run out (an operator of low rank) are replaced by random ones. V is cut back to
    its leading Ritz vectors when it holds ``restart`` vectors. The smallest eigenvalues are those of -A.

    Converged: residual ≤ tolerance × max(abs λ, 10⁻³ of the largest abs λ). An operator that is symmetric
    only up to an error (products known to a tolerance) shows it in the residuals. Products that are not
    finite give NaN and the status ``diverged``. Memory: ``restart`` vectors (default 8 (count + 2), at least
    64); products: count + 2 per iteration. ValueError for sizes below one, more eigenvalues than the size, a
    product of the wrong shape. Source: Golub and Underwood 1977; Wu and Simon 2000 (thick restart).

    >>> matrix = np.diag([5.0, 5.0, 3.0, *np.linspace(-1, 1, 97)])
    >>> leading_eigenvalues(lambda v: matrix @ v, 100, 3).values.round(8)
    array([5., 5., 3.])
    """
    size, count = positive_int("size", size), positive_int("count", count)
    if count > size:
        raise ValueError(f"`count` must be at most the operator's size {size}; got {count}.")
    positive_float("tolerance", tolerance)
    positive_int("max_iterations", max_iterations)
    width = min(size, count + GUARD)
    keep = min(size, 2 * width)
    most = min(size, max(2 * keep, max(WHOLE, 8 * width) if restart is None else positive_int("restart", restart)))
    try:
        return _run(
            _Space(matvec, size, width, np.random.default_rng(seed)), count, tolerance, max_iterations, keep, most
        )
    except _NotFinite:
        nan = np.full(count, np.nan)
        return Eigenvalues(nan, nan, np.zeros(count, bool), 0, 0, np.full((count, size), np.nan))


def _run(space: _Space, count: int, tolerance: float, max_iterations: int, keep: int, most: int) -> Eigenvalues:
    """Extend and cut the space until the leading pairs have converged, it is whole, or iterations are spent."""
    size, width = space.size, len(space.following)
    space.extend(space.following)
    products = width
    for iteration in range(1, max_iterations + 1):
        found = space.ritz(count, tolerance)
        full = len(space.basis) == size
        if full or (len(space.basis) >= keep and found.converged.all()) or iteration == max_iterations:
            break
        if len(space.basis) + width > most and most < size:
            space.cut(keep)
        following = space.following[: size - len(space.basis)]
        space.extend(following)
        products += len(following)
    values, residuals, converged, vectors = found.values, found.residuals, found.converged, found.vectors
    return Eigenvalues(values, residuals, converged, iteration, products, vectors)


class _NotFinite(ArithmeticError):
    """A product was not finite: the operator's network has diverged."""


class _Space:
    """An orthonormal basis V (rows), H = V A Vᵀ as computed, the next block Q and its coupling R to V."""

    def __init__(self, matvec: Matvec, size: int, width: int, rng: np.random.Generator) -> None:
        self.matvec, self.size, self.rng = matvec, size, rng
        self.basis = np.zeros((0, size))
        self.product = np.zeros((0, 0))  # H[i, j] = ⟨v_i, A v_j⟩
        self.following = self._orthonormal(rng.standard_normal((width, size)), self.basis, 1.0)[0]
        self.coupling = np.zeros((width, 0))  # R[i, j] = ⟨q_i, A v_j⟩
        self.dropped: list[ndarray] = []  # what each cut has left of A v_j outside both (an asymmetry of A)

    def extend(self, rows: ndarray) -> None:
        """Take the rows (orthonormal, orthogonal to the basis) into the basis; multiply; find the next block."""
        old, new = len(self.basis), len(rows)
        images = np.stack([self._apply(row) for row in rows])
        known = self.coupling[:new]  # ⟨new, A old⟩, from when old was multiplied
        self.basis = np.concatenate([self.basis, rows])
        across = self.basis @ images.T
        product = np.zeros((old + new, old + new))
        product[:old, :old], product[old:, :old], product[:, old:] = self.product, known, across
        self.product = product
        left = images - across.T @ self.basis
        scale = max(float(np.abs(product).max()), float(np.linalg.norm(images, axis=1).max()))
        self.following, factor = self._orthonormal(left, self.basis, scale)
        self.coupling = np.concatenate([np.zeros((len(self.following), old)), factor], axis=1)
        self.dropped = [np.pad(dropped, ((0, 0), (0, new))) for dropped in self.dropped]

    def ritz(self, count: int, tolerance: float) -> Eigenvalues:
        """The leading Ritz pairs and their residuals, those of an asymmetry included."""
        symmetric = (self.product + self.product.T) / 2
        values, vectors = np.linalg.eigh(symmetric)
        values, vectors = values[::-1], vectors[:, ::-1]
        chosen = vectors[:, :count]
        inside_and_next = np.concatenate([self.product - symmetric, self.coupling]) @ chosen
        residuals = np.linalg.norm(inside_and_next, axis=0)
        for dropped in self.dropped:  # of several cuts: they need not be orthogonal
            residuals = residuals + np.linalg.norm(dropped @ chosen, axis=0)
        largest = np.abs(values).max()
        rounding = 10 * np.finfo(float).eps * largest
        allowed = tolerance * np.maximum(np.abs(values[:count]), FLOOR * largest) + rounding
        return Eigenvalues(values[:count], residuals, residuals <= allowed, 0, 0, chosen.T @ self.basis)

    def cut(self, keep: int) -> None:
        """Keep the span of the leading Ritz vectors: the next block still couples to it as before."""
        vectors = np.linalg.eigh((self.product + self.product.T) / 2)[1][:, ::-1]
        chosen, rest = vectors[:, :keep], vectors[:, keep:]
        self.dropped = [dropped @ chosen for dropped in (*self.dropped, rest.T @ self.product)]
        self.basis = chosen.T @ self.basis
        self.product = chosen.T @ self.product @ chosen
        self.coupling = self.coupling @ chosen

    def _apply(self, row: ndarray) -> ndarray:
        image = np.asarray(self.matvec(row), np.float64)
        if image.shape != (self.size,):
            raise ValueError(f"`matvec` must return vectors of length `size` = {self.size}; got shape {image.shape}.")
        if not np.isfinite(image).all():
            raise _NotFinite
        return image

    def _orthonormal(self, rows: ndarray, basis: ndarray, scale: float) -> tuple[ndarray, ndarray]:
        """Orthonormal rows Q orthogonal to the basis with rows = Fᵀ Q, and F; spent rows become random ones."""
        made = np.zeros((min(len(rows), self.size - len(basis)), self.size))
        factor = np.zeros((len(made), len(rows)))
        rows = rows - (rows @ basis.T) @ basis
        for j, row in enumerate(rows):
            for _ in range(2):
                along = made @ row
                row, factor[:, j] = row - along @ made, factor[:, j] + along
            norm = float(np.linalg.norm(row))
            if j < len(made):
                spent = norm <= ROUNDING * np.sqrt(self.size) * scale
                factor[j, j] = 0.0 if spent else norm
                row = self.rng.standard_normal(self.size) if spent else row / norm
                for _ in range(2):  # also after the division, which magnifies what rounding left along the others
                    row = row - (basis @ row) @ basis - (made @ row) @ made
                    row = row / np.linalg.norm(row)
                made[j] = row
        return made, factor
