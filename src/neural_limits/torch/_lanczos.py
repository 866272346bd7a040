"""Leading singular values of one weight by block Lanczos on its own device, started from the last measurement."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import scipy.linalg
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

GUARD = 8  # columns of a block beyond `count`: products with 8 or 16 columns take the same time
FRESH = 4  # random columns of a warm start: directions that were not there last time
KEPT = GUARD - FRESH  # vectors that a subspace holds beyond `count`
COLD, WARM = 4, 12  # blocks before the first stop; WARM: a new value 1.5 % above a bulk is seen in one measurement
FURTHEST = 6  # blocks between two looks
WHOLE = 640  # vectors after which the space is cut back to its leading ones; noise of 4096 rows needs 400
FLOOR = 3e-7  # of the largest value: rounding of float32 products
SPENT = 3e-6  # what is left of a column, relative to it, that is rounding and no direction


@dataclass(frozen=True)
class Leading:
    """The largest singular values of W, largest first, and how far each may be from one of W's.

    ``left`` (rows, k) and ``right`` (columns, k) are unit vectors with W v = s u (Wᵀ u = s v where W has more columns
    than rows); the other equation holds to the residual, about the root of ``bounds``. ``subspace`` is what a later
    call takes as ``start``; ``products`` counts pairs W v, Wᵀ u; ``status`` is completed or no_convergence.
    """

    values: Float[ndarray, " k"]
    bounds: Float[ndarray, " k"]
    status: str
    products: int
    left: Float[Tensor, "n k"] = field(repr=False)
    right: Float[Tensor, "p k"] = field(repr=False)
    subspace: Float[Tensor, "m b"] = field(repr=False)


def leading_singular_values(
    matrix: Float[Tensor, "n p"],
    count: int,
    *,
    start: Float[Tensor, "m j"] | None = None,
    tolerance: float = 1e-4,
    max_products: int = 4096,
    seed: int = 0,
) -> Leading:
    """The ``count`` largest singular values with multiplicity: block Krylov space of WᵀW, Ritz values from W alone.

    V an orthonormal basis of span{X, WᵀW X, (WᵀW)² X, ...}; the values of W V are Ritz values s of W with vectors
    v and u = W v/s, residual r = |Wᵀ u − s v|. Stops when every bound, the lesser of r and r²/gap (both in units of W),
    is below ``tolerance`` × s, or below 3·10⁻⁷ of the largest value, which is rounding.

    Every block is orthogonalised three times against all of V, so no value appears twice; it has ``count`` + 8
    columns, so all copies of a value are seen; columns that run out are replaced by random ones. ``start``, the last
    ``subspace``, takes the place of all but 4 random columns of X; a warm start then makes at least 12 blocks, in which
    those would show a new value. ``matrix`` is finite, float32 or float64. Cost: about 25 blocks for pure noise of
    4096 rows to 10⁻⁴; memory up to 640 vectors of each side. Source: Golub and Underwood 1977; Musco and Musco 2015.

    >>> matrix = torch.diag(torch.tensor([3.0, 3.0, 2.0, 1.0]))
    >>> leading_singular_values(matrix, 3).values.round(5)
    array([3., 3., 2.])
    """
    wide = matrix.shape[0] < matrix.shape[1]
    space = _Space(matrix.mT if wide else matrix, seed)
    count = min(count, space.size)
    width = min(space.size, count + GUARD)
    space.begin(start, width)
    least, look = (COLD if start is None else WARM), 0
    seen: list[tuple[int, float]] = []
    while True:
        space.extend()
        blocks = space.products // width
        whole, spent = space.dimension >= space.size, space.products >= max_products
        if whole or spent or blocks >= max(least, look):
            found = space.ritz(count, tolerance)
            if whole or spent or found.excess <= 1:
                break
            seen.append((blocks, math.log(found.excess)))
            look = blocks + _blocks_to_go(seen)
        space.advance()
        if space.dimension + width > max(WHOLE, 4 * width):
            space.cut(2 * width)
    right, left = space.vectors(found, count)
    return Leading(
        values=found.values[:count], bounds=found.bounds,
        status="completed" if whole or found.excess <= 1 else "no_convergence",
        products=space.products, left=right if wide else left, right=left if wide else right,
        subspace=space.basis @ space.send(found.coordinates[:, : count + KEPT]),
    )  # fmt: skip


def _blocks_to_go(seen: list[tuple[int, float]]) -> int:
    """Blocks until the bound is reached at the pace of the last two looks: a look is dearer than a block."""
    if len(seen) < 2:
        return FURTHEST // 2
    (b0, e0), (b1, e1) = seen[-2:]
    pace = (e0 - e1) / (b1 - b0)
    return FURTHEST if pace <= 0 else min(FURTHEST, max(1, math.ceil(0.8 * e1 / pace)))  # it quickens on the way


@dataclass(frozen=True)
class _Ritz:
    """Leading Ritz values of W V, coordinates of their vectors in V, bounds, the largest bound over its tolerance."""

    values: ndarray
    coordinates: ndarray
    bounds: ndarray
    excess: float


class _Space:
    """V (m, d), W V (n, d) and Wᵀ W V (m, d), W tall with m columns, and the next block."""

    def __init__(self, matrix: Tensor, seed: int) -> None:
        self.size = matrix.shape[1]
        # On a processor, Wᵀ Y by rows of a copy is twice as fast as by columns; there is room for it there.
        self.flat = matrix.mT.contiguous() if matrix.device.type == "cpu" else matrix.mT
        self.tall = matrix.contiguous() if matrix.device.type == "cpu" else matrix
        self.generator = torch.Generator().manual_seed(seed)
        self.dimension = 0
        self._held = [matrix.new_empty((0, length)) for length in (self.size, matrix.shape[0], self.size)]
        self.gram = np.zeros((0, 0))  # (W V)ᵀ W V in float64, so that squaring costs no digits that float32 has
        self.products = 0

    @property
    def basis(self) -> Tensor:
        """V."""
        return self._held[0][: self.dimension].mT

    @property
    def images(self) -> Tensor:
        """W V."""
        return self._held[1][: self.dimension].mT

    @property
    def returns(self) -> Tensor:
        """Wᵀ W V."""
        return self._held[2][: self.dimension].mT

    def hold(self, added: tuple[Tensor, Tensor, Tensor]) -> None:
        """Columns of V, W V and Wᵀ W V beside those that are there, in room that doubles: no copy with every block."""
        first, last = self.dimension, self.dimension + added[0].shape[1]
        if last > len(self._held[0]):
            grown = [old.new_empty((2 * last, old.shape[1])) for old in self._held]
            for new, old in zip(grown, self._held, strict=True):
                new[:first] = old[:first]
            self._held = grown
        for rows, columns in zip(self._held, added, strict=True):
            rows[first:last] = columns.mT
        self.dimension = last

    def send(self, values: ndarray) -> Tensor:
        """Small host values as a tensor beside the matrix."""
        return torch.as_tensor(values).to(self._held[0])

    def random(self, columns: int) -> Tensor:
        return torch.randn(self.size, columns, generator=self.generator).to(self._held[0])

    def begin(self, start: Tensor | None, width: int) -> None:
        """The first block: random, or the last subspace and a few random columns."""
        block = self.random(width)
        if start is not None:
            kept = start[:, : width - min(FRESH, width - 1)].to(self._held[0])
            block[:, : kept.shape[1]] = kept
        self.block = torch.linalg.qr(torch.linalg.qr(block)[0])[0]

    def extend(self) -> None:
        """Take the block into the basis and multiply."""
        image = self.tall @ self.block
        self.hold((self.block, image, self.flat @ image))
        self.products += self.block.shape[1]

    def advance(self) -> None:
        """The next block: what the last products have outside the basis, orthonormal; spent columns become random."""
        room = min(self.block.shape[1], self.size - self.dimension)
        last = self.returns[:, -self.block.shape[1] :][:, :room]
        block, factor = torch.linalg.qr(self._outside(last))
        spent = factor.diagonal().abs() <= SPENT * torch.linalg.norm(last, dim=0)
        block = torch.where(spent, self.random(room) / math.sqrt(self.size), block)
        for _ in range(2):  # also after the division, which magnifies what rounding left along the basis
            block = torch.linalg.qr(self._outside(block))[0]
        self.block = block

    def _outside(self, block: Tensor) -> Tensor:
        return block - self.basis @ (self.basis.mT @ block)

    def ritz(self, count: int, tolerance: float) -> _Ritz:
        """Leading Ritz values and their bounds."""
        self._complete_gram()
        most = min(self.dimension, 2 * count + 2 * GUARD)
        squares, coordinates = _top_eigenpairs(self.gram, most)
        values = np.sqrt(np.maximum(squares, 0.0))
        sent = self.send(coordinates)
        away = self.returns @ sent - (self.basis @ sent) * self.send(values**2)
        residuals = torch.linalg.norm(away.double(), dim=0).cpu().numpy() / np.maximum(
            values, FLOOR * values[0] + 1e-300
        )
        bounds = _bounds(values, residuals, count)
        allowed = np.maximum(tolerance * values[:count], FLOOR * values[0]) + 1e-300
        return _Ritz(values, coordinates, bounds, float((bounds / allowed).max()))

    def cut(self, keep: int) -> None:
        """Keep the span of the leading Ritz vectors; the block to come couples to it as before."""
        self._complete_gram()
        squares, coordinates = _top_eigenpairs(self.gram, keep)
        chosen, self.gram = self.send(coordinates), np.diag(squares)
        parts = self.basis @ chosen, self.images @ chosen, self.returns @ chosen
        self.dimension = 0
        self.hold(parts)

    def _complete_gram(self) -> None:
        known = len(self.gram)
        images = self.images.double()
        columns = (images.mT @ images[:, known:]).cpu().numpy()
        self.gram = np.block([[self.gram, columns[:known]], [columns[:known].T, columns[known:]]])

    def vectors(self, found: _Ritz, count: int) -> tuple[Tensor, Tensor]:
        """Right and left vectors; a zero value's left vector is zero."""
        sent = self.send(found.coordinates[:, :count])
        scale = self.send(1 / np.maximum(found.values[:count], 1e-30))
        return self.basis @ sent, (self.images @ sent) * scale


def _top_eigenpairs(gram: ndarray, count: int) -> tuple[ndarray, ndarray]:
    """Largest first."""
    size = len(gram)
    squares, coordinates = scipy.linalg.eigh(gram, subset_by_index=[size - count, size - 1], driver="evr")
    return squares[::-1].copy(), coordinates[:, ::-1].copy()


def _bounds(values: ndarray, residuals: ndarray, count: int) -> ndarray:
    """Distance to a singular value: the residual, or the square of a group's residual over the gap below the group.

    A group of leading values whose residuals are R is off by at most |R|²/gap in σ² (|R|²/(gap in σ) in σ), the gap
    reaching to the next Ritz value and its residual.
    """
    bounds = residuals[:count].copy()
    for last in range(1, len(values)):
        group = float(np.linalg.norm(residuals[:last]))
        gaps = values[:last] - (values[last] + residuals[last])
        quadratic = np.where(gaps > 0, group**2 / np.where(gaps > 0, gaps, 1.0), np.inf)[:count]
        bounds[: len(quadratic)] = np.minimum(bounds[: len(quadratic)], quadratic)
    return bounds
