"""Rows of an audit as a labelled dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

NORM = "operator norm"
TEXTS = {
    "shape": "shape of the tensor",
    "dtype": "type of its entries",
    "bulk": "what became of the bulk; empty: unknown",
    "status": "completed, non_finite, zero, too_few or no_convergence",
}
NUMBERS = {  # name: (meaning, units)
    "rows": ("outputs", "1"),
    "columns": ("inputs; of a convolution, inputs times its window", "1"),
    "known": ("singular values computed", "1"),
    "std": ("standard deviation of an entry", "1"),
    "init_std": ("the same at the start", "1"),
    "top": ("largest singular value", NORM),
    "edge": ("edge of the untrained bulk", NORM),
    "threshold": ("level that the untrained bulk passes with the false-alarm rate", NORM),
    "outliers": ("singular values above that level", "1"),
    "changed_rank": ("least rank of a change from the untrained spectrum to this one", "1"),
    "separated": ("singular values above the bulk as it is now", "1"),
    "gap": ("singular values above the lowest wide gap", "1"),
    "bulk_std": ("scale of the bulk, as a standard deviation of entries", "1"),
    "bulk_std_error": ("standard error of that", "1"),
    "bulk_edge": ("edge of the bulk as it is now", NORM),
    "bulk_threshold": ("level that this bulk passes with the false-alarm rate", NORM),
    "bulk_shift": ("scale of the bulk over the initial one, less 1", "1"),
    "bulk_shift_error": ("standard error of that", "1"),
    "shape_distance": ("Kolmogorov-Smirnov distance of the bulk from noise of its scale", "1"),
    "shape_level": ("what noise passes with the false-alarm rate", "1"),
    "stable_rank": ("sum of squared singular values over the largest", "1"),
    "untrained_stable_rank": ("the same of noise of this shape", "1"),
    "outlier_energy": ("share of the squared singular values in those separated", "1"),
    "change_top": ("largest singular value of the change from the start", NORM),
    "change_stable_rank": ("stable rank of the change from the start", "1"),
}
LISTS = {  # name: (field of the rows, dimension, meaning)
    "singular_value": ("singular_values", "index", "singular values, largest first"),
    "change_singular_value": ("change_values", "mode", "largest singular values of the change from the start"),
}


def to_dataset(rows: Sequence[Mapping[str, object]], about: Mapping[str, object]) -> xr.Dataset:
    """One entry a row along ``matrix``; lists padded with NaN; attributes with the message."""
    data = xr.Dataset(coords={"matrix": ("matrix", [str(row["name"]) for row in rows], {"long_name": "tensor"})})
    for name, meaning in TEXTS.items():
        data[name] = ("matrix", [str(row.get(name, "")) for row in rows], {"long_name": meaning})
    for name, (meaning, units) in NUMBERS.items():
        values = np.array([row.get(name, np.nan) for row in rows], np.float64)
        data[name] = ("matrix", values, {"long_name": meaning, "units": units})
    for name, (field, dimension, meaning) in LISTS.items():
        lists = [np.asarray(row.get(field, []), np.float64) for row in rows]
        padded = np.full((len(rows), max(1, *(len(values) for values in lists), 0)), np.nan)
        for i, values in enumerate(lists):
            padded[i, : len(values)] = values
        data[name] = (("matrix", dimension), padded, {"long_name": meaning, "units": NORM})
    data.attrs = {**about, "message": message(data, int(str(about["without_start"])))}
    return data


def message(data: xr.Dataset, without_start: int) -> str:
    """What the audit comes to, in one line."""
    count = data.sizes["matrix"]
    parts = []
    above = data.separated.fillna(data.outliers).values
    if np.isfinite(above).any():
        parts.append(f"{_count(int(np.nansum(above)), 'value')} above the bulk in {int(np.sum(above > 0))} of them")
    bulks = data.bulk.values.tolist()
    if bulks.count("deformed"):
        parts.append(f"{bulks.count('deformed')} with a deformed bulk")
    parts += [
        f"{n} {status}"
        for status in ("non_finite", "zero", "too_few", "no_convergence")
        if (n := data.status.values.tolist().count(status))
    ]
    if without_start:
        parts.append(f"{without_start} not in the start")
    return f"{_count(count, 'matrix', 'matrices')}: {', '.join(parts) or 'nothing to say'}"


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
