"""Plain gradient descent of a deep linear network: the oracle that the limits and the finite networks share."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest
from numpy import ndarray

from neural_limits.limits.proportional import Setting

Batch = tuple[ndarray, ndarray]  # inputs (samples, d) and label noise (samples)


def descend(
    s: Setting, weights: list[ndarray], readout: ndarray, teacher: ndarray, batches: Iterable[Batch]
) -> tuple[ndarray, list[ndarray]]:
    """Train and test loss (2, steps + 1), and the weights after ``s.steps`` updates.

    On the unscaled W^l, all samples forward, the chain rule by hand; a batch for each loss, the last one not learnt.
    In the precision of the arrays.
    """
    d, n = len(teacher), len(readout)
    if s.parametrization == "mup":
        scale, rate = d**0.5 / (s.gamma * n), s.lr * s.gamma**2 * n
    else:
        scale, rate = 1 / (s.gamma * n**0.5), s.lr * s.gamma**2 * d
    losses: list[tuple[float, float]] = []
    for x, noise in batches:
        h, b = [x], [readout]  # b^l: the readout seen through the layers from l on
        for weight in weights:
            h.append(h[-1] @ weight.T / weight.shape[1] ** 0.5)
        for weight in reversed(weights):
            b.insert(0, weight.T @ b[0] / weight.shape[1] ** 0.5)
        error = scale * h[-1] @ readout - x @ teacher / d**0.5 - s.label_noise * noise
        losses.append((np.mean(error**2), np.mean((scale * d**0.5 * b[0] - teacher) ** 2)))
        if len(losses) > s.steps:
            break
        step = rate * scale / len(x)
        weights = [
            w - step / w.shape[1] ** 0.5 * np.outer(above, error @ below)
            for w, below, above in zip(weights, h, b[1:], strict=False)
        ]
        readout = readout - step * error @ h[-1]
    return np.array(losses).T, weights


@pytest.fixture(scope="session")
def gradient_descent() -> Callable[..., tuple[ndarray, list[ndarray]]]:
    """``gradient_descent(setting, weights, readout, teacher, batches)``: see `descend`."""
    return descend
