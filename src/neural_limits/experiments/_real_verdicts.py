"""Verdicts on the small models: outliers against classes, edges over width, which optimizer moves the bulk."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy import ndarray

from ._experiment import Mean, Verdict, decide, mean_of
from ._real_runs import CLASSES, Found, final
from ._slopes import slope_over
from .digits_outliers import SOURCE as OUTLIERS

MUP = "Yang et al. 2022; Yang, Simon and Bernstein 2023: muP keeps spectra of one size over width"
MUON = "Jordan et al. 2024: all singular values of Muon's step are equal"
NAMES = {"sgd": "SGD", "adamw": "AdamW", "muon": "Muon"}
WEIGHTS = {"layers.0": "first weight", "layers.1": "hidden weight"}
SAME, SMALL, MOVED = 0.1, 0.02, 0.05  # |slope| of the largest value; shift of a bulk that stays; of one that moves


def verdicts(found: Found) -> list[Verdict]:
    """All rows; criteria were fixed after runs of the quick form and before the first of the full one."""
    rows = []
    for optimizer in ("sgd", "adamw"):
        for weight in WEIGHTS:
            rows += _classes(found, optimizer, weight)
    for optimizer in found.plan.mlp_widths:
        rows.append(_width("MLP", found, optimizer))
    for optimizer in found.plan.gpt_widths:
        rows.append(_width("GPT", found, optimizer))
    for model in ("MLP", "GPT"):
        rows += [*_bulks(model, found), *_ranks(model, found)]
    return rows


def counts(found: Found, optimizer: str, weight: str) -> dict[int, ndarray]:
    """Outliers at the end by number of classes, seeds in each."""
    width = found.plan.classes_width
    return {c: final(found.mlp, optimizer, c, width, "above", weight)[:, 0] for c in CLASSES}


def _classes(found: Found, optimizer: str, weight: str) -> list[Verdict]:
    """As many outliers as classes or one fewer; one more for each class more."""
    name = f"MLP, {NAMES[optimizer]}, {WEIGHTS[weight]}"
    seen = counts(found, optimizer, weight)
    means = {c: mean_of(n) for c, n in seen.items()}
    measured = ", ".join(f"{m} of {c} classes" for c, m in means.items()) + f", width {found.plan.classes_width}"
    outside = {c: max(c - 1.5 - m.value, m.value - c - 0.5) for c, m in means.items()}
    clear = any(outside[c] > 2 * m.error for c, m in means.items())
    slopes = mean_of(np.polyfit(CLASSES, np.stack(list(seen.values())), 1)[0])
    return [
        Verdict(
            f"{name}: as many outliers as classes, or one fewer", OUTLIERS, measured,
            "between C - 1.5 and C + 0.5 for every C; errors below 0.5, or outside by two",
            decide(max(outside.values()) <= 0, clear or max(m.error for m in means.values()) < 0.5),
        ),
        Verdict(
            f"{name}: one outlier more for each class more", OUTLIERS, f"slope {slopes} over {CLASSES} classes",
            "1 within 0.25, error below 0.125", decide(abs(slopes.value - 1) < 0.25, slopes.error < 0.125),
        ),
    ]  # fmt: skip


def _over_width(model: str, found: Found, optimizer: str, name: str) -> tuple[Sequence[int], list[ndarray]]:
    """Widths, and a number at the end for each seed: of the MLP's hidden weight, of the GPT's all, averaged."""
    runs, widths, classes, which = (
        (found.mlp, found.plan.mlp_widths, CLASSES[-1], "layers.1")
        if model == "MLP"
        else (found.gpt, found.plan.gpt_widths, 0, "")
    )
    sizes = widths[optimizer]
    return sizes, [final(runs, optimizer, classes, width, name, which).mean(1) for width in sizes]


def means_over_width(model: str, found: Found, optimizer: str, name: str) -> tuple[Sequence[int], list[Mean]]:
    """Widths, and means over seeds at the end."""
    sizes, samples = _over_width(model, found, optimizer, name)
    return sizes, [mean_of(s) for s in samples]


def _slope(model: str, found: Found, optimizer: str, name: str) -> Mean:
    sizes, samples = _over_width(model, found, optimizer, name)
    return slope_over(sizes, samples, lambda all_: np.array([s.mean() for s in all_]))


def _width(model: str, found: Found, optimizer: str) -> Verdict:
    sizes, means = means_over_width(model, found, optimizer, "s1")
    slope = _slope(model, found, optimizer, "s1")
    return Verdict(
        f"{model}, {NAMES[optimizer]}: the largest singular value over the initial edge is the same at all widths", MUP,
        f"{', '.join(map(str, means))} at widths {tuple(sizes)}: slope {slope}",
        f"|slope| below {SAME:g}, error below {SAME / 2:g}", decide(abs(slope.value) < SAME, slope.error < SAME / 2),
    )  # fmt: skip


def _bulks(model: str, found: Found) -> list[Verdict]:
    """Muon moves the median of the singular values; the others leave it, at the largest width all share."""
    rows = []
    widths = found.plan.mlp_widths if model == "MLP" else found.plan.gpt_widths
    common = max(set.intersection(*(set(w) for w in widths.values())))
    for optimizer in widths:
        sizes, means = means_over_width(model, found, optimizer, "middle")
        shift = means[list(sizes).index(common)]
        moves = optimizer == "muon"
        bound = MOVED if moves else SMALL
        claim = "moves the whole bulk" if moves else "leaves the bulk where it was"
        rows.append(
            Verdict(
                f"{model}: {NAMES[optimizer]} {claim}", MUON if moves else OUTLIERS,
                f"median of the singular values by {Mean(100 * shift.value, 100 * shift.error)} % at width {common}",
                f"{'above' if moves else 'below'} {100 * bound:g} %, beyond two errors",
                decide((abs(shift.value) > bound) == moves, abs(abs(shift.value) - bound) > 2 * shift.error),
            )
        )  # fmt: skip
    return rows


def _ranks(model: str, found: Found) -> list[Verdict]:
    """The change's stable rank: of order one at all widths, or one that grows with the width."""
    rows = []
    for optimizer in found.plan.mlp_widths if model == "MLP" else found.plan.gpt_widths:
        sizes, means = means_over_width(model, found, optimizer, "change_rank")
        slope = _slope(model, found, optimizer, "change_rank")
        grows = optimizer == "muon"
        bound = 0.5 if grows else 0.25
        claim = "changes ever more directions as the width grows" if grows else "changes a few directions at any width"
        rows.append(
            Verdict(
                f"{model}: {NAMES[optimizer]} {claim}", MUON if grows else OUTLIERS,
                f"stable rank of the change {', '.join(map(str, means))} at widths {tuple(sizes)}: slope {slope}",
                f"slope {'above' if grows else 'below'} {bound:g}, beyond two errors",
                decide((slope.value > bound) == grows, abs(slope.value - bound) > 2 * slope.error),
            )
        )  # fmt: skip
    return rows
