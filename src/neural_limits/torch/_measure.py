"""One weight, measured: top singular values, outliers, bulk, and what the last gradient has to do with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from ..laws import QuarterCircle
from ..spectra import diagnose
from ._lanczos import KEPT, leading_singular_values
from ._quadrature import spectrum_quantiles

DENSE = 512  # rows or columns up to which all singular values are cheap: 0.1 s on two cores
LEVELS = np.array([0.1, 0.25, 0.5, 0.75, 0.9])
MOST = 64  # outliers that are counted one by one in large weights

Row = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """What a measurement is asked for."""

    top: int
    false_alarm: float
    tolerance: float


def measure_matrix(
    matrix: Float[Tensor, "n p"], gradient: Float[Tensor, "n p"] | None, std: float | None, setting: Setting,
    start: Tensor | None, seed: int,
) -> tuple[Row, Tensor | None]:  # fmt: skip
    """The fields of a row, and the subspace to start from next time."""
    energy = float(torch.linalg.vector_norm(matrix, dtype=torch.float64)) ** 2
    if not np.isfinite(energy):
        return {"status": "non_finite"}, None
    if energy == 0:
        return {"status": "zero", **_values(np.zeros(min(setting.top, *matrix.shape)), setting.top)}, None
    whole = min(matrix.shape) <= DENSE
    row, left, right, subspace = (_dense if whole else _large)(matrix, std, setting, start, seed)
    row["stable_rank"] = energy / row["s1"] ** 2
    row |= _overlaps(gradient, left, right, setting.top)
    # No NumPy scalars: torch.load(..., weights_only=True) refuses them.
    return {name: x.item() if isinstance(x, np.generic) else x for name, x in row.items()}, subspace


def _dense(matrix: Tensor, std: float | None, setting: Setting, start: Tensor | None, seed: int) -> Any:
    """All singular values from the smaller Gram matrix in float64, and the vectors of the top ones."""
    wide = matrix.shape[0] < matrix.shape[1]
    double = matrix.double()
    squares, vectors = torch.linalg.eigh(double @ double.mT if wide else double.mT @ double)
    near = vectors[:, -setting.top :].flip(1)
    far = (double.mT if wide else double) @ near
    # The Gram matrix knows a value to 1e-16 of the largest square; the top ones are read from the matrix itself.
    top = torch.linalg.vector_norm(far, dim=0)
    far, near = (far / top.clamp_min(1e-300)).to(matrix.dtype), near.to(matrix.dtype)
    values = squares.clamp_min(0).sqrt().cpu().numpy()[::-1]
    row = {"status": "completed", "error": 1e-7 * float(values[0]), **_values(values, setting.top)}
    row |= _quantile_fields(np.quantile(values, LEVELS), np.zeros(len(LEVELS)))
    if std is not None or len(values) >= 30:
        row |= _diagnosis(values, matrix, std, setting)
    return row, *((near, far) if wide else (far, near)), None


def _large(matrix: Tensor, std: float | None, setting: Setting, start: Tensor | None, seed: int) -> Any:
    """The top singular values by Lanczos, more of them while all are outliers; quantiles by quadrature."""
    # What was widened last time to see all outliers starts there.
    count = setting.top if start is None else max(setting.top, start.shape[1] - KEPT)
    while True:
        found = leading_singular_values(matrix, count, start=start, tolerance=setting.tolerance, seed=seed)
        row = {"status": found.status, **_values(found.values, setting.top)}
        row["error"] = float(found.bounds[: setting.top].max())
        row["products"] = found.products
        if std is None:
            break
        row |= _diagnosis(found.values, matrix, std, setting)
        if row["outliers"] < count or count >= MOST:
            break
        count, start = min(2 * count, MOST), found.subspace
    values, errors = spectrum_quantiles(matrix, LEVELS, seed=seed)
    row |= _quantile_fields(values, errors)
    if std is not None:
        rows, columns = matrix.shape
        middle = float(QuarterCircle(rows, columns, std).quantile(0.5))
        row |= {"bulk_shift": values[2] / middle - 1, "bulk_shift_error": errors[2] / middle}
    return row, found.left[:, : setting.top], found.right[:, : setting.top], found.subspace


def _diagnosis(values: ndarray, matrix: Tensor, std: float | None, setting: Setting) -> Row:
    """Counts against the initial edge, and the state of the bulk where all values are known."""
    found = diagnose(values, tuple(matrix.shape), std, false_alarm=setting.false_alarm)
    return {
        "init_std": std, "edge": found.edge, "threshold": found.threshold, "outliers": found.count,
        "bulk": found.bulk, "separated": found.separated, "bulk_shift": found.bulk_shift,
        "bulk_shift_error": found.bulk_shift_error,
    }  # fmt: skip


def _values(values: ndarray, top: int) -> Row:
    return {f"s{i + 1}": float(value) for i, value in enumerate(values[:top])}


def _quantile_fields(values: ndarray, errors: ndarray) -> Row:
    names = [f"q{round(100 * level)}" for level in LEVELS]
    fields = {name: float(value) for name, value in zip(names, values, strict=True)}
    return fields | {"q_error": float(errors.max())}


def _overlaps(gradient: Tensor | None, left: Tensor, right: Tensor, top: int) -> Row:
    """|uᵢᵀ G vᵢ|/|G| of each mode, and |Uᵀ G V|²/|G|² of the gradient in the top subspaces."""
    if gradient is None:
        return {}
    norm = torch.linalg.vector_norm(gradient)
    inside = left.mT @ gradient @ right / norm
    numbers = torch.cat([inside.diagonal().abs(), torch.linalg.vector_norm(inside)[None] ** 2]).double().cpu().numpy()
    if not np.isfinite(numbers).all():  # a zero or a broken gradient has no direction
        return {}
    return {f"overlap{i + 1}": float(x) for i, x in enumerate(numbers[:-1])} | {"gradient_share": float(numbers[-1])}
