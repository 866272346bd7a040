"""What the experiments on deep linear networks share: settings, theory, and finite networks beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray
from scipy import stats

from ..limits import deep_linear
from ..limits.proportional import DeepLinear, DeepLinearNetwork, Setting, deep_linear_network
from ._experiment import Mean, Verdict, decide

SOURCE = "arXiv 2605.07870; docs/deep-linear.md"
BASE = Setting(
    depth=2, width_ratio=1.0, sample_ratio=2.0, lr=0.05, gamma=2.0, sigma_w=0.5, label_noise=0.3, steps=60
)  # fmt: skip
RECORD = (10, 15, 20, 30, 45, 60)  # updates after which networks of the base setting are looked at


class Size(NamedTuple):
    """Networks of one size."""

    weights: str
    inputs: int
    seeds: int

    def __str__(self) -> str:
        return f"{self.weights}, D = {self.inputs:,}"


def theory(setting: Setting, **more: Any) -> DeepLinear:
    """The limit of a setting."""
    return deep_linear(**vars(setting), **more)


def networks(
    setting: Setting, inputs: int, weights: str, seeds: int, record: Sequence[int], **options: Any
) -> list[DeepLinearNetwork]:
    """Trained networks of D = ``inputs``, one for each seed; float32."""
    run = lambda seed: deep_linear_network(  # noqa: E731
        setting, inputs, weights, seed, dtype="float32", record=record, **options
    )
    return [run(seed) for seed in range(seeds)]


def top_values(runs: Sequence[DeepLinearNetwork]) -> ndarray:
    """Largest outlier (seed, record, layer); NaN where there is none."""
    values = [run.data.singular_value for run in runs]
    return np.array([v.values[..., 0] if v.sizes["mode"] else np.full(v.shape[:2], np.nan) for v in values])


def first_or_nan(values: ndarray) -> float:
    """The largest of a layer's outliers; NaN where there is none."""
    return float(values[0]) if len(values) else float("nan")


def changed(**changes: Any) -> Setting:
    """The base setting with changes."""
    return replace(BASE, **changes)


def agreement(claim: str, predicted: float, measured: Mean, freedom: int = 1000) -> Verdict:
    """Whether a mean over networks lies near enough the limit: three standard errors where these are known well.

    ``freedom`` is the number of degrees of freedom that the error was estimated from; of few networks it is itself
    uncertain, so that the bound is Student's at the same probability.
    """
    apart = abs(measured.value - predicted) / measured.error
    bound = float(stats.t.isf(stats.norm.sf(3), freedom))
    text = f"{measured} against {predicted:.5f}: {apart:.1f} standard errors"
    return Verdict(claim, SOURCE, text, f"below {bound:.2g}", decide(bool(apart < bound)))


def pooled_spread(samples: Sequence[ndarray]) -> tuple[float, int]:
    """Standard deviation over networks (first axis), pooled over groups, and its degrees of freedom."""
    squares = sum(float(np.sum((s - s.mean(0)) ** 2)) for s in samples)
    freedom = sum((len(s) - 1) * (s.size // len(s)) for s in samples)
    return (squares / freedom) ** 0.5, freedom
