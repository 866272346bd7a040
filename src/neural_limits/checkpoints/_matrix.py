"""One matrix of a checkpoint: its sums and its singular values, a slab of rows or columns at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ..spectra import top_singular_values

SLAB = 2**24  # entries taken to float64 at a time: 128 MiB


@dataclass(frozen=True)
class Spectrum:
    """Singular values, largest first: all min(rows, columns), or the largest alone; None where an entry is not finite.

    ``std`` of the entries, and ``energy`` Σ s², the sum of their squares.
    """

    values: Float[ndarray, " k"] | None
    std: float
    energy: float


def spectrum(
    matrix: Float[ndarray, "n p"], start: Float[ndarray, "n p"] | None = None, *, max_size: int, top: int
) -> Spectrum:
    """The spectrum of a matrix of any floating type, or of its difference from another.

    Up to ``max_size`` rows or columns, whichever are fewer: all values, √ of the eigenvalues of the smaller Gram
    matrix in float64, right to 1e-16 σ₁²/σ (values below 1e-8 σ₁ are rounding). Above: the ``top`` largest by
    Lanczos, to 5e-6. Cost: O(n p min(n, p)); or O(n p) per Lanczos step, and the matrix in float32.
    """
    small, total, energy = min(matrix.shape), 0.0, 0.0
    gram = np.zeros((small, small)) if small <= max_size else None
    for slab in slabs(matrix, start):
        if not np.isfinite(slab).all():
            return Spectrum(None, float("nan"), float("nan"))
        total, energy = total + float(slab.sum()), energy + float(np.vdot(slab, slab))
        if gram is not None:
            gram += slab @ slab.T
    std = float(np.sqrt(max(energy / matrix.size - (total / matrix.size) ** 2, 0.0)))
    if energy == 0:
        return Spectrum(np.zeros(min(small, top)), 0.0, 0.0)
    if gram is None:
        plain = matrix.astype(np.float64 if matrix.dtype == np.float64 else np.float32)
        if start is not None:
            np.subtract(plain, start.astype(plain.dtype), out=plain)
        return Spectrum(top_singular_values(plain, min(top, small)), std, energy)
    values = np.sqrt(np.clip(np.linalg.eigvalsh(gram), 0.0, None))[::-1]
    return Spectrum(np.ascontiguousarray(values), std, energy)


def entry_std(matrix: Float[ndarray, "n p"]) -> float:
    """Standard deviation of the entries in float64; NaN where one is not finite."""
    total = energy = 0.0
    for slab in slabs(matrix):
        if not np.isfinite(slab).all():
            return float("nan")
        total, energy = total + float(slab.sum()), energy + float(np.vdot(slab, slab))
    return float(np.sqrt(max(energy / matrix.size - (total / matrix.size) ** 2, 0.0)))


def slabs(matrix: Float[ndarray, "n p"], start: Float[ndarray, "n p"] | None = None) -> Iterator[ndarray]:
    """The matrix, less ``start``, in float64 and in parts along its longer side; the shorter side comes first."""
    turned = matrix.shape[0] > matrix.shape[1]
    wide, first = (matrix.T, None if start is None else start.T) if turned else (matrix, start)
    step = max(1, SLAB // wide.shape[0])
    for begin in range(0, wide.shape[1], step):
        slab = wide[:, begin : begin + step].astype(np.float64)
        if first is not None:
            slab -= first[:, begin : begin + step].astype(np.float64)
        yield slab
