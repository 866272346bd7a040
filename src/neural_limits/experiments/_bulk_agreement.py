"""Spectra of dense networks with many outputs against their law, at large: one distance a setting."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy import ndarray

from ..limits.extensive_outputs import ManyOutputs, Setting
from ._bulk_laws import AGREES, RATE, SOURCE, WIDTH, describe, distance, law
from ._bulk_networks import Flow, spectra
from ._experiment import Mean, Say, Verdict, decide

POOLED = 2048  # singular values: four networks, eight where D = N/2


class Agreement(NamedTuple):
    """One setting: its distance, and above which singular values it was taken."""

    case: Setting | Flow
    distance: Mean
    least: float


def cases(quick: bool) -> list[Setting | Flow]:
    """On the population, on samples with label noise (fewer and more than inputs), and with both layers trained."""
    ratios, widths = (1 / 32, 1 / 8, 1 / 2, 1.0), (0.5, 1.0, 2.0)
    grid = product(ratios, widths, (3, 10, 30), (1.0, 3.0))
    found: list[Setting | Flow] = [Setting(r, w, lr=RATE, steps=k, teacher=a) for r, w, k, a in grid]
    sampled = product((1 / 8, 1 / 2), ((1.0, 0.5), (0.5, 2.0), (1.0, 2.0), (2.0, 4.0)), (0.0, 1.0))
    for r, (w, p), noise in sampled:
        found.append(Setting(r, w, lr=0.1, steps=15, teacher=3.0, sample_ratio=p, label_noise=noise))
    found += [Flow(r, 3.0, t, s) for r, t, s in ((0.5, 1.0, 0.01), (0.5, 1.5, 0.01), (0.125, 1.5, 0.02))]
    return found[:-3:9] + found[-3:-2] if quick else found


def agreement(quick: bool, say: Say) -> list[Agreement]:
    """The distance of every case."""
    chosen = cases(quick)
    found = []
    for i, case in enumerate(chosen):
        if i % 10 == 0:
            say(f"law against dense networks of width {WIDTH}: settings {i + 1} to {min(i + 10, len(chosen))}")
        least = 5 * case.init_scale if isinstance(case, Flow) else 0.0  # the theory leaves out O(s₀²/σ)
        ratio = 1.0 if isinstance(case, Flow) else case.width_ratio
        values = spectra(case, WIDTH, round(POOLED / WIDTH * max(1.0, ratio)))
        found.append(Agreement(case, distance(values, tabulated(law(case)), least), least))
    return found


def agreement_verdicts(found: list[Agreement]) -> list[Verdict]:
    """One row a model: how many settings agree, and the worst."""
    kinds = {
        "fixed readout, infinitely many samples": [f for f in found if _samples(f.case) is None],
        "fixed readout, P samples": [f for f in found if _samples(f.case)],
        "both layers trained from a small start (values above 5 s₀)": [f for f in found if isinstance(f.case, Flow)],
    }
    return [_agreement(name, chosen) for name, chosen in kinds.items()]


def _samples(case: Setting | Flow) -> float | None:
    """P/D; None on the population, 0 for a flow."""
    return 0.0 if isinstance(case, Flow) else case.sample_ratio


def _agreement(name: str, found: list[Agreement]) -> Verdict:
    worst = max(found, key=lambda f: f.distance.value)
    near = sum(f.distance.value < AGREES for f in found)
    middle = float(np.median([f.distance.value for f in found]))
    text = f"{near} of {len(found)} settings; median {middle:.4f}, largest {worst.distance} at {describe(worst.case)}"
    claim = f"{name}: spectra of dense networks of width {WIDTH} follow the law"
    return Verdict(claim, SOURCE, text, f"distance below {AGREES:g} in all", decide(near == len(found)))


def tabulated(limit: ManyOutputs) -> Callable[[ndarray], ndarray]:
    """The law's cdf, interpolated to 2e-4; with samples a point costs milliseconds."""
    x = np.linspace(0, limit.edge, 600)
    share = limit.cdf(x)
    return lambda values: np.interp(values, x, share)
