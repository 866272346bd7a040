"""Best rates of deep linear networks in the proportional limit, and of dense networks beside it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy import ndarray

from ..limits import deep_linear
from ._rate_optima import Minimum, minima

DEPTH, SAMPLE_RATIO, STEPS = 2, 2.0, 49
RATIOS = (0.25, 1.0, 4.0, 16.0, 64.0)
LOG_RATES = np.arange(-5.0, 3.01, 0.125)


class Case(NamedTuple):
    """What is held as the width changes."""

    parametrization: str
    gamma: float
    sigma: tuple[float, ...]  # of the first layer, the second, the readout


CASES = {
    "muP": Case("mup", 2.0, (0.5, 0.5, 0.5)),
    "NTK": Case("ntk", 2.0, (0.5, 0.5, 0.5)),
    "muP, σ = 1, γ = 1": Case("mup", 1.0, (1.0, 1.0, 1.0)),
    "muP, σ = 1, γ = 1, readout from zero": Case("mup", 1.0, (1.0, 1.0, 0.0)),
    "muP, σ = 1, γ = 4": Case("mup", 4.0, (1.0, 1.0, 1.0)),
}


class Optimum(NamedTuple):
    """The best rate at one width ratio, and what it is."""

    best: Minimum
    other: Minimum | None  # the next lowest local minimum
    edge: float  # best rate times the top eigenvalue of the tangent kernel at the last step: 2 at the edge of stability
    start: float  # that eigenvalue before training over the one at the last step


def losses(case: Case, ratio: float, log_rates: ndarray) -> ndarray:
    """Train loss after the last step at rates 2^log_rates; inf where training diverged."""
    found = deep_linear(
        depth=DEPTH, width_ratio=ratio, sample_ratio=SAMPLE_RATIO, lr=2.0**log_rates, gamma=case.gamma,
        sigma_w=case.sigma, label_noise=0.0, steps=STEPS, parametrization=case.parametrization, kernels=False,
    )  # fmt: skip
    return np.nan_to_num(found.data.train_loss.values[:, -1], nan=np.inf)


def optimum(case: Case, ratio: float) -> Optimum:
    """The best rate, refined continuously, with the sharpness it trains into."""
    best, *others = minima(lambda x: losses(case, ratio, x), LOG_RATES)
    found = deep_linear(
        depth=DEPTH, width_ratio=ratio, sample_ratio=SAMPLE_RATIO, lr=best.rate, gamma=case.gamma,
        sigma_w=case.sigma, label_noise=0.0, steps=STEPS + 1, parametrization=case.parametrization,
    )  # fmt: skip
    start, end = (float(np.nanmax([found.ntk_edge(k), found.ntk_top(k)])) for k in (0, STEPS))
    return Optimum(best, others[0] if others else None, best.rate * end, start / end)
