"""What an audit says about one matrix, as the fields of a row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.sparse.linalg import ArpackNoConvergence

from ..spectra import LEAST_VALUES, Diagnosis, diagnose
from ._matrix import Spectrum, spectrum
from ._tensor import Tensor

NOT_KNOWN = float("nan")
DIAGNOSED = {
    "edge": "edge", "threshold": "threshold", "outliers": "count", "changed_rank": "changed_rank",
    "separated": "separated", "gap": "gap", "bulk_std": "bulk_std", "bulk_std_error": "bulk_std_error",
    "bulk_edge": "bulk_edge", "bulk_threshold": "bulk_threshold", "bulk_shift": "bulk_shift",
    "bulk_shift_error": "bulk_shift_error", "shape_distance": "shape_distance", "shape_level": "shape_level",
    "untrained_stable_rank": "untrained_stable_rank", "outlier_energy": "outlier_energy",
}  # fmt: skip


@dataclass(frozen=True)
class Options:
    """How matrices are looked at; see `audit`."""

    max_size: int
    top: int
    split: bool
    false_alarm: float


def matrices(tensor: Tensor, options: Options) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and index of the matrices in a tensor: one, or with ``split`` one for each leading index of a stack."""
    if options.split and len(tensor.shape) == 3:
        for i in range(tensor.shape[0]):
            yield f"{tensor.name}[{i}]", (i,)
    else:
        yield tensor.name, ()


def flat(values: Float[ndarray, "n ..."]) -> Float[ndarray, "n p"]:
    """Outputs by the rest, as convolutions are counted."""
    return values.reshape(values.shape[0], -1)


def row(
    matrix: Float[ndarray, "n p"], start: Float[ndarray, "n p"] | None, init_std: float | None, options: Options
) -> dict[str, object]:
    """The fields of one matrix; ``singular_values`` and ``change_values`` are lists of any length.

    ``start``: the matrix at initialisation, from which its scale is taken and its change. ``status``: completed;
    non_finite; zero; no_convergence of Lanczos; too_few, where there are too few values to tell a bulk.
    """
    fields: dict[str, object] = {"rows": matrix.shape[0], "columns": matrix.shape[1], "singular_values": []}
    found = _spectrum(matrix, options)
    if isinstance(found, str):
        return fields | {"status": found}
    fields |= {"std": found.std, "top": NOT_KNOWN, "init_std": NOT_KNOWN if init_std is None else init_std}
    if found.energy == 0:
        return fields | {"status": "zero", "top": 0.0}
    assert found.values is not None
    fields |= {"top": found.values[0], "stable_rank": found.energy / found.values[0] ** 2}
    fields |= {"singular_values": found.values, "known": len(found.values)}
    diagnosis = _diagnosis(found.values, matrix.shape, init_std, options.false_alarm)
    fields |= _diagnosed(diagnosis)
    if diagnosis is not None and not diagnosis.complete and diagnosis.outliers is not None:
        fields["outlier_energy"] = float(np.sum(diagnosis.outliers**2)) / found.energy
    if start is not None:
        fields |= _change(matrix, start, options)
    return fields | {"status": "completed" if diagnosis is not None else "too_few"}


def _spectrum(
    matrix: Float[ndarray, "n p"], options: Options, start: Float[ndarray, "n p"] | None = None
) -> Spectrum | str:
    """The spectrum, or the status that says why there is none."""
    try:
        found = spectrum(matrix, start, max_size=options.max_size, top=options.top)
    except ArpackNoConvergence:
        return "no_convergence"
    return "non_finite" if found.values is None else found


def _diagnosis(values: ndarray, shape: tuple[int, ...], init_std: float | None, false_alarm: float) -> Diagnosis | None:
    """None where neither the start nor a bulk is known."""
    if init_std is None and not len(values) == min(shape) >= LEAST_VALUES:
        return None
    return diagnose(values, shape, init_std, false_alarm=false_alarm)


def _diagnosed(found: Diagnosis | None) -> dict[str, object]:
    if found is None:
        return {"bulk": ""}
    values = {name: getattr(found, attribute) for name, attribute in DIAGNOSED.items()}
    return {"bulk": found.bulk or ""} | {name: NOT_KNOWN if v is None else v for name, v in values.items()}


def _change(matrix: Float[ndarray, "n p"], start: Float[ndarray, "n p"], options: Options) -> dict[str, object]:
    """Stable rank and top values of what training added."""
    found = _spectrum(matrix, options, start)
    if isinstance(found, str) or found.energy == 0 or found.values is None:
        zero = not isinstance(found, str)
        return {"change_top": 0.0 if zero else NOT_KNOWN, "change_values": []}
    rank = found.energy / found.values[0] ** 2
    return {"change_top": found.values[0], "change_stable_rank": rank, "change_values": found.values[: options.top]}
