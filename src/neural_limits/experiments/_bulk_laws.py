"""Spectra of dense networks with many outputs against their law, from one output to half the width."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy import ndarray

from ..laws import QuarterCircle
from ..limits import many_outputs, many_outputs_flow
from ..limits.extensive_outputs import ManyOutputs, Setting, few_outputs_outlier
from ._bulk_networks import Flow, spectra
from ._experiment import Mean, Say, Verdict, decide, mean_of, standard_errors

SOURCE = "arXiv 2605.07870"
WIDTH = 512
AGREES = 0.008  # distance of a few pooled spectra of width 512: their values are rigid, so that it is O(1/N)
UNCHANGED = 0.01  # distance of a bulk to the untrained law
OUTPUTS = {1: 200, 4: 60, 16: 24, 64: 12, 256: 8}  # C of the crossover: seeds
STEPS, RATE, TEACHER = 30, 0.2, 3.0
UNTRAINED = QuarterCircle(WIDTH, WIDTH, WIDTH**-0.5)


def law(case: Setting | Flow) -> ManyOutputs:
    """The limit's law of a case."""
    if isinstance(case, Flow):
        return many_outputs_flow(**case._asdict(), train_readout=True)
    return many_outputs(**vars(case))


def describe(case: Setting | Flow) -> str:
    """A setting in symbols."""
    if isinstance(case, Flow):
        return f"κ {case.output_ratio:.3g}, a {case.teacher:g}, t {case.time:g}, s₀ {case.init_scale:g}"
    text = f"κ {case.output_ratio:.3g}, c {case.width_ratio:g}, k {case.steps}, a {case.teacher:g}"
    return text if case.sample_ratio is None else f"{text}, P/D {case.sample_ratio:g}, σ_ε {case.label_noise:g}"


def distance(values: ndarray, cdf: Callable[[ndarray], ndarray], least: float = 0.0) -> Mean:
    """Kolmogorov-Smirnov distance of pooled ``values`` (seed, mode) to a law, and its jackknife error over seeds.

    Only values above ``least`` count as places, all of them as mass.
    """
    expected = np.asarray(cdf(values))
    whole = _distance(values, expected, least)
    n = len(values)
    if n == 1:
        return Mean(whole, float("nan"))
    others = [_distance(np.delete(values, i, 0), np.delete(expected, i, 0), least) for i in range(min(n, 40))]
    return Mean(whole, float(np.std(others) * (n - 1) ** 0.5))


def _distance(values: ndarray, expected: ndarray, least: float) -> float:
    order = np.argsort(values, axis=None)
    x, f, n = values.ravel()[order], expected.ravel()[order], values.size
    share = np.arange(n) / n
    return float(np.maximum(f - share, share + 1 / n - f)[x > least].max())


# -- crossover -----------------------------------------------------------------------------------------------------


class Crossing(NamedTuple):
    """One number of outputs: the law and the networks' singular values (seed, mode)."""

    outputs: int
    law: ManyOutputs
    values: ndarray

    @property
    def bulk(self) -> ndarray:
        """All but the C largest values."""
        return self.values[:, self.outputs :]

    def bulk_distance(self) -> Mean:
        """Of the networks' bulk to the untrained law."""
        return distance(self.bulk, UNTRAINED.cdf)


def bulk_distance(limit: ManyOutputs, outputs: int) -> float:
    """Of the law's lowest 1 − κ, the bulk, to the untrained law."""
    kept = 1 - outputs / WIDTH
    x = np.linspace(0, limit.edge, 300)
    return float(np.abs(np.minimum(limit.cdf(x) / kept, 1) - UNTRAINED.cdf(x)).max())


def crossover(quick: bool, say: Say) -> list[Crossing]:
    """From one output to half the width."""
    found = []
    for count, seeds in OUTPUTS.items():
        seeds = max(4, seeds // 4) if quick else seeds
        say(f"{count} outputs at width {WIDTH}: {seeds} networks")
        setting = Setting(count / WIDTH, lr=RATE, steps=STEPS, teacher=TEACHER)
        found.append(Crossing(count, law(setting), spectra(setting, WIDTH, seeds)))
    return found


def crossover_verdicts(found: list[Crossing]) -> list[Verdict]:
    """Agreement, the bump's mass and place, and what becomes of the bulk."""
    rows = [_agrees(f"C = {f.outputs}, N = {WIDTH}: the spectrum follows the law", f.values, f.law.cdf) for f in found]
    parted = [f for f in found if len(f.law.support) > 1]
    rows.append(_masses(parted))
    rows += [_place(f) for f in parted]
    rows.append(_outlier(found[0]))
    rows += [_bulk(f) for f in found]
    return rows


def _agrees(claim: str, values: ndarray, cdf: Callable[[ndarray], ndarray]) -> Verdict:
    apart = distance(values, cdf)
    return Verdict(claim, SOURCE, f"distance {apart}", f"below {AGREES:g}", decide(apart.value < AGREES))


def _masses(found: list[Crossing]) -> Verdict:
    """Singular values above the middle of the gap, in every network."""
    texts, holds = [], True
    for f in found:
        (_, low), (high, _) = f.law.support[-2:]
        counts = (f.values > (low + high) / 2).sum(1)
        expected = f.law.masses[-1] * WIDTH
        holds = holds and bool(np.all(counts == f.outputs)) and abs(expected - f.outputs) < 1e-3
        texts.append(f"{counts.min()} to {counts.max()} in {len(counts)} networks (law {expected:.3f})")
    claim = f"C = {', '.join(str(f.outputs) for f in found)}: as many singular values beyond the gap as outputs"
    return Verdict(claim, SOURCE, "; ".join(texts), "C in every network", decide(holds))


def outside(found: Crossing) -> Mean:
    """Share of the C largest values that lie outside the law's bump, over seeds."""
    low, high = found.law.support[-1]
    learned = found.values[:, : found.outputs]
    return mean_of(((learned < low) | (learned > high)).mean(1))


def _place(found: Crossing) -> Verdict:
    low, high = found.law.support[-1]
    share = outside(found)
    claim = f"C = {found.outputs}: the law's bump [{low:.3f}, {high:.3f}] holds the learned singular values"
    text = f"{share.value:.1%} ± {share.error:.1%} of them outside"
    return Verdict(
        claim, "none: the law is that of C in proportion to N", text, "below 5 %", decide(share.value < 0.05)
    )


def _outlier(found: Crossing) -> Verdict:
    predicted = few_outputs_outlier(lr=RATE, steps=STEPS, teacher=TEACHER)
    assert predicted is not None
    mean = mean_of(found.values[:, 0])
    apart = standard_errors(mean, Mean(predicted, 0.0))
    scatter = found.values[:, 0].std(ddof=1)
    text = f"{mean} against {predicted:.4f}: {apart:.1f} standard errors; they scatter by {scatter:.3f}"
    return Verdict("C = 1: the outlier of few outputs", SOURCE, text, "below 3", decide(apart < 3))


def _bulk(found: Crossing) -> Verdict:
    """Few outputs leave the bulk as it was; many restructure it, as the law says."""
    apart, predicted = found.bulk_distance(), bulk_distance(found.law, found.outputs)
    text = f"distance of all but the C largest to the untrained law {apart}, the law's {predicted:.4f}"
    ratio = f"C = {found.outputs} (κ = {found.outputs / WIDTH:.3g})"
    if found.outputs <= 4:
        claim = f"{ratio}: few outputs leave the bulk as it was"
        return Verdict(claim, SOURCE, text, f"below {UNCHANGED:g}", decide(apart.value < UNCHANGED))
    claim = f"{ratio}: outputs in proportion to the width restructure the bulk, as far as the law says"
    holds = apart.value > UNCHANGED and abs(apart.value - predicted) < AGREES
    criterion = f"above {UNCHANGED:g}, the law's within {AGREES:g}"
    return Verdict(claim, SOURCE, text, criterion, decide(holds))
