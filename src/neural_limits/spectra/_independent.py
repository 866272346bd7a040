"""The textbook baseline: spikes taken as independent of the bulk (BBP). Shown beside, never used."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from .._checks import positive_float, positive_int
from ..weights import ConditionedMatrix


def independent_spikes(strengths: Float[ndarray, " k"], rows: int, columns: int, std: float) -> Float[ndarray, " j"]:
    """Outliers of τW + Σ s u vᵀ with u, v independent of W: √((s² + τ²n)(s² + τ²p))/s for s > τ (n p)^(1/4).

    ``strengths`` s in units of the operator, ``std`` τ; largest first, only those above the transition.
    Trained weights violate the independence: their spikes are built from the bulk, and this baseline misses
    or misplaces their outliers (experiment outlier-escape). Source: Benaych-Georges & Nadakuditi 2012.

    >>> independent_spikes(np.array([2.0, 0.5]), 100, 100, 0.1)
    array([2.5])
    """
    n, p = positive_int("rows", rows), positive_int("columns", columns)
    tau = positive_float("std", std)
    s = np.sort(np.abs(np.asarray(strengths, np.float64)))[::-1]
    s = s[s > tau * (n * p) ** 0.25]
    return np.sqrt((s**2 + tau**2 * n) * (s**2 + tau**2 * p)) / s


def independent_outliers(weight: ConditionedMatrix) -> Float[ndarray, " j"]:
    """The baseline for a conditioned weight: spikes are the singular values of its learned part."""
    strengths = np.linalg.svd(np.asarray(weight.core, np.float64), compute_uv=False)
    return independent_spikes(strengths, *weight.shape, std=float(weight.std))
