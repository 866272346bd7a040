"""Where the gap between the bulk and the learned singular values closes."""

from __future__ import annotations

import numpy as np

from ..._checks import positive_float
from ._setting import Setting
from ._solve import many_outputs

LEAST, SCAN = 1e-3, 60  # output ratios looked at before bisection: from here to the last stable one


def closing_ratio(
    *,
    lr: float,
    steps: int,
    teacher: float,
    width_ratio: float = 1.0,
    sigma_w: float = 1.0,
    accuracy: float = 1e-6,
) -> float | None:
    """Smallest output ratio κ* at which bulk and learned singular values have merged: the gap closes.

    The last κ with two components on a scan of (0.001, κ max), refined by bisection; κ max is where ``lr`` loses
    stability, (√(2/η) − 1)², or 1, where no untouched direction is left. None where no κ has a gap.

    Arguments as ``many_outputs``. ValueError as ``many_outputs``. Cost: a few seconds.

    >>> round(closing_ratio(lr=0.2, steps=30, teacher=2.0, accuracy=1e-4), 3)
    0.053
    """
    accuracy = positive_float("accuracy", accuracy)
    Setting(LEAST, width_ratio, lr, steps, teacher, sigma_w)

    def parted(ratio: float) -> bool:
        law = many_outputs(ratio, width_ratio, lr=lr, steps=steps, teacher=teacher, sigma_w=sigma_w)
        return len(law.support) > 1

    stable = (np.sqrt(2 / lr) - 1) ** 2
    grid = np.geomspace(LEAST, min(1.0, stable) * (1 - 1e-6), SCAN)
    last = next((i for i in reversed(range(SCAN)) if parted(grid[i])), None)
    if last is None or last == SCAN - 1:
        return None if last is None else float(grid[-1])
    low, high = float(grid[last]), float(grid[last + 1])
    while high - low > accuracy * high:
        middle = (low + high) / 2
        low, high = (middle, high) if parted(middle) else (low, middle)
    return (low + high) / 2
