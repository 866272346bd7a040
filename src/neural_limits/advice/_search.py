"""The rate at which a rising function of the rate crosses a level, on a logarithmic scale."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq

from ._trial import Trial

FACTOR = 2.0  # between rates tried to bracket the crossing
CAP = np.log(8.0)  # |log| of a measured ratio is cut here: beyond it only the side counts
LATE = 1e-6  # by so much a measured 2 may exceed 2: rounding
DOWN, UP = 12, 8  # factors of two searched below and above


def largest_stable_rate(trial: Trial, accuracy: float, bounds: tuple[float, float]) -> tuple[float, float]:
    """The largest lr with lr λ(t; lr) ≤ 2 at all measured steps, and 2/λ(0), which bounds it from above.

    λ depends on lr through what is learned, so the equation is solved for lr: max_t lr λ(t; lr) = 2, by
    Brent's method in log lr. NaN where no rate within the bounds is stable.
    """
    low, high = bounds
    naive = 2 / float(trial.sharpness(1.0, steps=0)[0])

    def excess(log_lr: float) -> float:
        """log(max_t lr λ(t)/2): negative where stable."""
        return float(np.clip(np.log(trial.sharpness(np.exp(log_lr)).max() / 2), -CAP, CAP))

    top = np.log(min(naive, high))
    if excess(top) <= LATE:
        return float(np.exp(top)), naive
    return _crossing(excess, top, max(np.log(low), top - DOWN * np.log(FACTOR)), accuracy), naive


def divergence_rate(trial: Trial, start: float, accuracy: float, bounds: tuple[float, float]) -> float:
    """The lr above which training fails: the last loss lies above the first, or diverges. NaN if none was found.

    Between the largest stable rate and this one training may overshoot and come back (a catapult).
    """

    def failed(log_lr: float) -> bool:
        losses = trial.losses(np.exp(log_lr))
        return not losses[-1] <= losses[0]

    low = np.log(start)
    step = np.log(FACTOR)
    while failed(low) and low > np.log(bounds[0]):
        low -= step
    for _ in range(UP):
        high = low + step
        if high > np.log(bounds[1]):
            break
        if failed(high):
            while high - low > accuracy:
                middle = (low + high) / 2
                low, high = (low, middle) if failed(middle) else (middle, high)
            return float(np.exp(low))
        low = high
    return float("nan")


def _crossing(excess: Callable[[float], float], top: float, bottom: float, accuracy: float) -> float:
    """exp of where ``excess`` changes sign between ``top`` (positive) and ``bottom``; NaN if it stays positive."""
    high = top
    while high > bottom:
        low = max(high - np.log(FACTOR), bottom)
        if excess(low) <= 0:
            return float(np.exp(brentq(excess, low, high, xtol=accuracy)))
        high = low
    return float("nan")
