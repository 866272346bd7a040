"""Best rates of deep linear networks in the proportional limit, and of dense networks beside it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy import ndarray

from ..limits import deep_linear
from ..limits.proportional import Setting, deep_linear_network
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


# -- networks of finite size ---------------------------------------------------------------------------------------

DENSE_UP_TO = 4.0  # width ratio; wider networks run on conditioned weights, exact in law
TOLERANCE = 1e-3
BESIDE = np.arange(-0.625, 0.38, 0.125)  # octaves around the theory's best rate


def network_loss(case: Case, ratio: float, rate: float, inputs: int, seed: int) -> float:
    """Train loss of one network after the last step; inf where training diverged."""
    setting = Setting(
        depth=DEPTH, width_ratio=ratio, sample_ratio=SAMPLE_RATIO, lr=rate, gamma=case.gamma, sigma_w=case.sigma,
        steps=STEPS, parametrization=case.parametrization,
    )  # fmt: skip
    weights = "dense" if ratio <= DENSE_UP_TO else "conditioned"
    run = deep_linear_network(setting, inputs, weights, seed, dtype="float32", tolerance=TOLERANCE)
    return float(np.nan_to_num(run.data.train_loss.values[-1], nan=np.inf))


class Networks(NamedTuple):
    """Networks at one width ratio."""

    rates: ndarray
    losses: ndarray  # (rate, seed)
    optima: ndarray  # log2 of the best rate of each seed; NaN if there is none in the range


def networks(case: Case, ratio: float, near: float, inputs: int, seeds: int) -> Networks:
    """Losses around the rate ``near``, and the best rate of each seed to 1/32 of an octave."""
    x = np.log2(near) + BESIDE
    rows, optima = [], []
    for seed in range(seeds):

        @cache
        def loss(rate: float, seed: int = seed) -> float:
            return network_loss(case, ratio, rate, inputs, seed)

        def losses_at(log_rates: ndarray, loss: Callable[[float], float] = loss) -> ndarray:
            return np.array([loss(float(2**r)) for r in log_rates])

        refined = minima(losses_at, x, 1, octaves=1 / 32, points=9)
        rows.append(losses_at(x))
        optima.append(np.log2(refined[0].rate) if refined else np.nan)
    return Networks(2.0**x, np.stack(rows, axis=1), np.array(optima))
