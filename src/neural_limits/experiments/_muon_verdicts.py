"""Verdicts on Muon's outliers: prediction against measurement, over width, at equal loss, over time and samples."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy import ndarray

from ._experiment import Mean, Verdict, decide, mean_of
from ._muon_runs import LEVEL, MUON_LR, OPTIMIZERS, OUTPUTS, STEPS, Found, at_mark
from ._slopes import slope_over
from .outlier_escape import SOURCE as THEORY

MUON = "Jordan et al. 2024: all singular values of Muon's step are equal"
MUP = "muP: what is learned is of order one at all widths"
NAMES = {"sgd": "SGD", "muon": "Muon"}
FLAT = {"largest": 0.02, "count": 0.05, "stable_rank": 0.05}  # |slope| in width that counts as none
WORDS = {
    "largest": "the largest outlier",
    "count": f"the number of outliers above {LEVEL:g} edge",
    "stable_rank": "the stable rank of the learned part",
}
AGREE, PRECISE = 4.0, 0.01  # standard errors; relative error of a mean that decides
BAND = 0.7, 1.2  # where five Newton-Schulz steps bring singular values: docs/optimizers.md


def verdicts(found: Found) -> list[Verdict]:
    """All rows; criteria were fixed after looks at width 4,096 and before the first run of this experiment."""
    rows = [row for name in OPTIMIZERS for row in _predicted(found, name)]
    rows += [_over_width(found, name, quantity) for name in OPTIMIZERS for quantity in FLAT]
    rows += [_as_outputs(found), _more_directions(found), _smaller_norm(found), _goes_on(found), _by_the_rate(found)]
    rows += [_over_samples(found, name) for name in OPTIMIZERS]
    rows += [_bulk(found, name) for name in OPTIMIZERS]
    rows += [_independent(found, name) for name in OPTIMIZERS]
    return rows


def _predicted(found: Found, name: str) -> list[Verdict]:
    """Conditioned weights against dense ones of the same width, at a tenth of the loss and at the end."""
    widths = sorted({*found.plan.conditioned} & {*found.plan.dense})
    rows = []
    for quantity in ("largest", "count"):
        worst, off, errors, shown = 0.0, 0.0, 0.0, []
        for width in widths:
            for mark in ("tenth", "end"):
                ours, theirs = (at_mark(found, form, name, width, mark, quantity) for form in ("conditioned", "dense"))
                for layer in (0, 1):
                    a, b = mean_of(ours[:, layer]), mean_of(theirs[:, layer])
                    error = float(np.hypot(a.error, b.error))
                    apart = abs(a.value - b.value)
                    near = quantity == "count" and apart < 0.5  # one value on the other side of the level
                    worst = max(worst, 0.0 if near else apart / error)
                    off, errors = max(off, apart), max(errors, error / b.value)
                    if mark == "end":
                        shown.append(f"{a} and {b}")
        measured = f"at the end {', '.join(shown)} (layers 0 and 1, widths {widths}); "
        if quantity == "largest":
            measured += f"at most {worst:.1f} standard errors apart"
            criterion = f"below {AGREE:g} standard errors, which are below {100 * PRECISE:g} %"
            verdict = decide(worst < AGREE, errors < PRECISE)
        else:
            measured += f"at most {off:.2f} apart"
            criterion, verdict = f"below 0.5, or below {AGREE:g} standard errors", decide(worst < AGREE)
        rows.append(
            Verdict(f"{NAMES[name]}: {WORDS[quantity]} predicted = measured", THEORY, measured, criterion, verdict)
        )
    return rows


def _over_width(found: Found, name: str, quantity: str) -> Verdict:
    """One value at all widths, both layers, at the end."""
    widths = list(found.plan.conditioned)
    samples = [at_mark(found, "conditioned", name, width, "end", quantity) for width in widths]
    slopes = [_slope(widths, [s[:, layer] for s in samples]) for layer in (0, 1)]
    means = "; ".join(", ".join(str(mean_of(s[:, layer])) for s in samples) for layer in (0, 1))
    bound = FLAT[quantity]
    worst = max(slopes, key=lambda s: abs(s.value) + 2 * s.error)
    return Verdict(
        f"{NAMES[name]}: {WORDS[quantity]} does not depend on the width", MUP,
        f"{means} (layers 0; 1) at widths {widths}: slopes {slopes[0]}, {slopes[1]}",
        f"|slope| below {bound:g} by two errors",
        decide(abs(worst.value) < bound, abs(abs(worst.value) - bound) > 2 * worst.error),
    )  # fmt: skip


def _slope(sizes: list[int], samples: list[ndarray]) -> Mean:
    return slope_over(sizes, samples, lambda all_: np.array([s.mean() for s in all_]))


def widest(found: Found, name: str, mark: str, quantity: str) -> list[Mean]:
    """Means by layer at the largest width."""
    values = at_mark(found, "conditioned", name, max(found.plan.conditioned), mark, quantity)
    return [mean_of(values[:, layer]) for layer in (0, 1)]


def _as_outputs(found: Found) -> Verdict:
    means = [m for mark in ("tenth", "end") for m in widest(found, "sgd", mark, "count")]
    return Verdict(
        "SGD: as many outliers as outputs", "digits-outliers: outliers count classes",
        f"{_pair(means[:2])} at a tenth of the loss, {_pair(means[2:])} at the end, {OUTPUTS} outputs",
        "within 0.5 at both, both layers", decide(all(abs(m.value - OUTPUTS) < 0.5 for m in means)),
    )  # fmt: skip


def _more_directions(found: Found) -> Verdict:
    sgd, muon = (widest(found, name, "tenth", "stable_rank") for name in ("sgd", "muon"))
    ratios = [_ratio(m, s) for m, s in zip(muon, sgd, strict=True)]
    least = min(ratios, key=lambda r: r.value)
    return Verdict(
        "at equal loss Muon has learned along more directions than SGD", MUON,
        f"stable rank {_pair(muon)} against {_pair(sgd)} at a tenth of the loss: ratios {_pair(ratios)}",
        "ratio above 2 by two errors in both layers", decide(least.value > 2, abs(least.value - 2) > 2 * least.error),
    )  # fmt: skip


def _smaller_norm(found: Found) -> Verdict:
    """Steepest descent under the spectral norm might be thought to end with the smaller norm."""
    norms = {}
    for name in OPTIMIZERS:
        learned = at_mark(found, "conditioned", name, max(found.plan.conditioned), "tenth", "learned")
        norms[name] = [mean_of(learned[:, layer, 0]) for layer in (0, 1)]
    ratios = [_ratio(m, s) for m, s in zip(norms["muon"], norms["sgd"], strict=True)]
    worst = max(ratios, key=lambda r: r.value)
    return Verdict(
        "at equal loss the norm of Muon's learned part is smaller than SGD's",
        "Bernstein and Newhouse 2024: Muon descends steepest under the spectral norm",
        f"{_pair(norms['muon'])} against {_pair(norms['sgd'])} at a tenth of the loss: ratios {_pair(ratios)}",
        "ratio below 1 by two errors in both layers",
        decide(worst.value < 1, abs(worst.value - 1) > 2 * worst.error),
    )  # fmt: skip


def _goes_on(found: Found) -> Verdict:
    """A step of fixed norm goes on when the loss has fallen."""
    width = max(found.plan.conditioned)
    grown = {
        name: mean_of(
            np.subtract(*(at_mark(found, "conditioned", name, width, m, "count") for m in ("end", "tenth"))).mean(1)
        )
        for name in OPTIMIZERS
    }
    steps = {name: STEPS - found.marks[name]["tenth"] for name in OPTIMIZERS}
    more = grown["muon"].value - grown["sgd"].value
    error = float(np.hypot(grown["muon"].error, grown["sgd"].error))
    return Verdict(
        "Muon grows further outliers after the loss has fallen to a tenth, SGD does not", MUON,
        f"{grown['muon']} more in {steps['muon']} updates, SGD {grown['sgd']} in {steps['sgd']} (mean of the layers)",
        f"Muon's more than SGD's by {OUTPUTS} and two errors, SGD's below 1",
        decide(more > OUTPUTS and grown["sgd"].value < 1, abs(more - OUTPUTS) > 2 * error),
    )  # fmt: skip


def _by_the_rate(found: Found) -> Verdict:
    """A direction that stays in the momentum gains lr times the band a step, whatever the gradient's size."""
    shares = []
    for width in found.plan.conditioned:
        learned = at_mark(found, "conditioned", "muon", width, "end", "learned")
        shares += [mean_of(learned[:, layer, 0] / (MUON_LR * STEPS)) for layer in (0, 1)]
    low, high = min(shares, key=lambda s: s.value), max(shares, key=lambda s: s.value)
    return Verdict(
        "Muon: the norm of the learned part is lr times the updates, times Newton-Schulz's band", MUON,
        f"{low} to {high} of lr · {STEPS} at all widths and layers", f"within {BAND}",
        decide(low.value > BAND[0] and high.value < BAND[1]),
    )  # fmt: skip


def _over_samples(found: Found, name: str) -> Verdict:
    counts = by_samples(found, name)
    slope = _slope(list(counts), [c.mean(1) for c in counts.values()])
    means = ", ".join(f"{mean_of(c.mean(1))} of {p}" for p, c in counts.items())
    grows = name == "muon"
    bound = 0.5 if grows else 0.1
    resolved = abs(abs(slope.value) - bound) > 2 * slope.error
    words = "grows with the samples" if grows else "does not depend on the samples"
    return Verdict(
        f"{NAMES[name]}: the number of outliers {words}", MUON if grows else "digits-outliers: outliers count classes",
        f"after {STEPS} updates {means} samples (mean of the layers, width {found.plan.middle}): slope {slope}",
        f"slope above {bound:g} by two errors" if grows else f"|slope| below {bound:g} by two errors",
        decide(slope.value > bound if grows else abs(slope.value) < bound, resolved),
    )  # fmt: skip


def by_samples(found: Found, name: str) -> Mapping[int, ndarray]:
    """Outliers (seed, layer) at the end by number of samples."""
    return {
        p: np.array([[l.count for l in run.looks[STEPS]] for k, run in found.samples.items() if k[:2] == (name, p)])
        for p in found.plan.samples
    }


def shifts(found: Found, name: str) -> dict[int, ndarray]:
    """Relative shift (seed) of the median singular value of dense weights at the end, mean of the layers."""
    found_at = {}
    for width, seeds in found.plan.dense.items():
        runs = [found.dense[name, width, seed] for seed in range(seeds)]
        pairs = [[(run.looks[STEPS][l].middle, run.looks[0][l].middle) for l in (0, 1)] for run in runs]
        found_at[width] = np.array([np.mean([end / start - 1 for end, start in pair]) for pair in pairs])
    return found_at


def _bulk(found: Found, name: str) -> Verdict:
    """A learned part of fixed rank leaves the bulk as the width grows."""
    moved = shifts(found, name)
    slope = _slope(list(moved), list(moved.values()))
    shown = ", ".join(str(Mean(100 * m.value, 100 * m.error)) for m in map(mean_of, moved.values()))
    return Verdict(
        f"{NAMES[name]}: with so few samples the bulk is left as the width grows", THEORY,
        f"median singular value shifted by {shown} % at widths {list(moved)} (dense): slope {slope}",
        "slope below -0.5 by two errors", decide(slope.value < -0.5, abs(slope.value + 0.5) > 2 * slope.error),
    )  # fmt: skip


def _independent(found: Found, name: str) -> Verdict:
    ours, alone = (widest(found, name, "end", quantity) for quantity in ("largest", "independent"))
    count, spikes = (widest(found, name, "end", quantity) for quantity in ("count", "spikes"))
    off = [_ratio(a, o) for a, o in zip(alone, ours, strict=True)]
    worst = max(abs(r.value - 1) for r in off)
    return Verdict(
        f"{NAMES[name]}: independent spikes (BBP) predict the largest outlier", "textbook baseline",
        f"{_pair(alone)} against {_pair(ours)}: ratios {_pair(off)}; {_pair(spikes)} of them against "
        f"{_pair(count)}", "within 1 % in both layers", decide(worst < 0.01),
    )  # fmt: skip


def _ratio(a: Mean, b: Mean) -> Mean:
    ratio = a.value / b.value
    return Mean(ratio, abs(ratio) * float(np.hypot(a.error / a.value, b.error / b.value)))


def _pair(means: list[Mean]) -> str:
    return " and ".join(map(str, means))
