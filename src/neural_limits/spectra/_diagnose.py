"""Singular values of a trained weight against those of noise: outliers, and what became of the bulk."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.typing import ArrayLike

from .._arrays import probability_array, real_array
from .._checks import positive_float, positive_int
from ..laws import QuarterCircle, largest_singular_value
from ._bulk import LEAST_VALUES, BulkFit, fit_bulk, ks_distance, ks_level, last_gap, quantile_shifts, scale_level
from ._diagnosis import Diagnosis


def diagnose(
    singular_values: ArrayLike, shape: Sequence[int], init_std: float | None = None, *, false_alarm: float = 0.01
) -> Diagnosis:
    """How much of a weight's spectrum is bulk, moved or deformed, and how much stands out of it.

    Noise of scale τ: edge τ(√rows + √columns), top value τ√(μ + ν S) with S Tracy-Widom; the share of values below any
    point within (0.42 log m + 0.47 + log(1/false_alarm)/(√2 π))/m of its law, m = min(rows, columns).

    ``singular_values``: in any order, all m of the weight as it stands in the checkpoint, or only the largest ones
    (then the fields of the bulk are None). ``shape``: (rows, columns). ``init_std``: standard deviation of an entry
    at initialisation, in the same units; if None, the scale is taken from the bulk and ``edge``, ``count`` and
    ``bulk_shift`` are None. ``false_alarm``: probability with which pure noise passes each of the levels.

    ValueError for values that are negative, not finite, all zero or more than m; for a shape that is not two positive
    counts, a false alarm outside [1e-12, 0.5], and for fewer than 30 or not all values without ``init_std``.
    Levels are those of independent Gaussian entries; lighter tails (uniform, truncated) stay within them, heavy
    tails do not. Cost: O(m). Source: Ma (2012) for the top value; see docs/diagnosis.md for the bulk.

    >>> noise = np.random.default_rng(0).standard_normal((300, 200)) / 300**0.5
    >>> noise[:, 0] += 1.5 * np.ones(300) / 300**0.5  # a rank-one change of norm 1.5
    >>> print(diagnose(np.linalg.svd(noise, compute_uv=False), noise.shape, init_std=300**-0.5))
    300 x 200 weight, all 200 singular values, initial std 0.05774
    from the start: 1 above 1.844 (edge 1.816, false alarms 0.01): 2.044
    bulk: unchanged, the untrained law
      scale +0.02% (standard error 0.31%, level 1.06%), distance 0.0141 (level 0.0208) from the untrained law
      std 0.05775, distance 0.0140 (level 0.0188) at that scale
      1 separated from it by its present level 1.844
    stable rank: 48.5, untrained 61.9; outliers hold 2.06% of the energy
    """
    shape = _shape(shape)
    std = None if init_std is None else positive_float("init_std", init_std)
    alarm = float(probability_array("false_alarm", false_alarm, least=1e-12, most=0.5))
    values = _descending(singular_values, shape)
    whole = len(values) == min(shape) >= LEAST_VALUES
    if std is None and not whole:
        raise ValueError(
            f"`init_std` must be given unless all of at least {LEAST_VALUES} singular values are; "
            f"got {len(values)} of {min(shape)}."
        )
    fields: dict[str, object] = {} if std is None else _from_start(values, shape, std, alarm)
    if whole:
        fields |= _from_bulk(values, shape, std, alarm)
    if len(values) == min(shape):
        energy, top = float(values @ values), values[0] ** 2
        unit = largest_singular_value(*shape, centring="finite")
        fields["stable_rank"] = energy / float(top)
        fields["untrained_stable_rank"] = shape[0] * shape[1] / unit.mean() ** 2
        standing = fields.get("separated", fields.get("count"))
        fields["outlier_energy"] = float(np.sum(values[:standing] ** 2)) / energy
    return Diagnosis(shape, values, std, alarm, **fields)  # type: ignore[arg-type]


def _from_start(
    values: Float[ndarray, " k"], shape: tuple[int, int], std: float, false_alarm: float
) -> dict[str, object]:
    """What stands above the untrained edge, and the least rank of the change."""
    law = QuarterCircle(*shape, std)
    finite = largest_singular_value(*shape, std, centring="finite")
    threshold = max(law.edge, float(finite.threshold(false_alarm)))
    outliers = values[values > threshold]
    rank = len(outliers)
    if len(values) == min(shape) >= LEAST_VALUES:
        # A change of rank r moves each value by at most r ranks (Weyl), noise by no more than its level.
        beyond = ks_distance(values, law) - ks_level(len(values), false_alarm, fitted=False)
        rank = max(rank, int(np.ceil(beyond * len(values))))
    return {
        "edge": law.edge,
        "threshold": threshold,
        "outliers": outliers,
        "count": len(outliers),
        "changed_rank": rank,
    }


def _from_bulk(
    values: Float[ndarray, " m"], shape: tuple[int, int], std: float | None, false_alarm: float
) -> dict[str, object]:
    """Scale, shape and state of the bulk, and what stands out of it."""
    fit = fit_bulk(values, shape, false_alarm)
    gap = last_gap(values, false_alarm)
    above = int(np.sum(values > fit.threshold))
    found: dict[str, object] = {
        "bulk": "undeformed" if fit.holds else "deformed",
        "bulk_std": fit.std,
        "bulk_std_error": fit.std * fit.relative_error,
        "bulk_edge": fit.edge if fit.holds else None,
        "bulk_threshold": fit.threshold if fit.holds else None,
        "separated": above if fit.holds else gap,
        "gap": gap,
        "shape_distance": fit.distance,
        "shape_level": fit.level,
    }
    return found if std is None else found | _change(fit, values, shape, std, false_alarm)


def _change(
    fit: BulkFit, values: Float[ndarray, " m"], shape: tuple[int, int], std: float, false_alarm: float
) -> dict[str, object]:
    """The bulk beside the initial one; two tests, each at half the false alarm, say whether it is unchanged."""
    law = QuarterCircle(fit.law.rows, fit.law.columns, std)
    shift, distance = fit.std / std - 1, ks_distance(fit.rest, law)
    level = ks_level(len(fit.rest), false_alarm / 2, fitted=False) + fit.allowance
    shift_level = scale_level(fit, false_alarm / 2)
    found: dict[str, object] = {
        "bulk_shift": shift,
        "bulk_shift_error": fit.relative_error * fit.std / std,
        "bulk_shift_level": shift_level,
        "quantile_shifts": quantile_shifts(fit.rest, law),
        "bulk_distance": distance,
        "bulk_level": level,
    }
    if distance <= level and abs(shift) <= shift_level:
        # The initial scale is exact, the fitted one is not: the initial edge is the present one.
        start = _from_start(values, shape, std, false_alarm)
        found |= {"bulk": "unchanged", "separated": start["count"]}
        found |= {"bulk_edge": start["edge"], "bulk_threshold": start["threshold"]}
    elif fit.holds:
        found["bulk"] = "rescaled"
    return found


def _shape(shape: Sequence[int]) -> tuple[int, int]:
    """Two counts."""
    try:
        rows, columns = shape
    except (TypeError, ValueError):
        raise ValueError(f"`shape` must be (rows, columns); got {shape!r}.") from None
    return positive_int("shape[0]", rows), positive_int("shape[1]", columns)


def _descending(singular_values: ArrayLike, shape: tuple[int, int]) -> Float[ndarray, " k"]:
    """The values, largest first, if they can be those of a matrix of this shape."""
    values = real_array("singular_values", singular_values)
    most = min(shape)
    if values.ndim != 1 or not 1 <= values.size <= most:
        raise ValueError(
            f"`singular_values` must be a list of at most min(shape) = {most} values; got shape {values.shape}."
        )
    if not np.isfinite(values).all() or values.min() < 0:
        wrong = values[~(np.isfinite(values) & (values >= 0))][0]
        raise ValueError(f"`singular_values` must be finite and not negative; got {wrong}.")
    if values.max() == 0:
        raise ValueError("`singular_values` must not all be zero; a zero matrix has no bulk and no outliers.")
    return np.sort(values)[::-1]
