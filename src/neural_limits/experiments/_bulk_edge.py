"""The top singular value of dense networks with many outputs against the law's edge, over widths."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
from numpy import ndarray

from ..limits.extensive_outputs import Setting
from ._bulk_laws import SOURCE, describe, law
from ._bulk_networks import Flow, hidden, over_seeds, top
from ._experiment import Mean, Say, Verdict, decide, mean_of
from ._slopes import slope_over, slope_verdict

CASES: dict[str, Setting | Flow] = {
    "infinitely many samples": Setting(0.5, lr=0.2, steps=10, teacher=3.0),
    "P = 2 D samples, noise": Setting(0.5, lr=0.15, steps=10, teacher=3.0, sample_ratio=2.0, label_noise=1.0),
    "both layers, small start": Flow(0.5, 3.0, 1.0, 0.01),
}
SEEDS = {  # width: seeds of every case
    64: (800, 400, 400), 128: (600, 300, 300), 256: (300, 150, 150), 512: (150, 60, 64), 1024: (60, 20, 20),
}  # fmt: skip
NEAR = 2.0  # standard errors


class Ladder(NamedTuple):
    """One case: top singular values of each width, the limit's edge, its Tracy-Widom mean at each width."""

    case: Setting | Flow
    edge: float
    expected: dict[int, float]
    values: dict[int, ndarray]

    @property
    def means(self) -> dict[int, Mean]:
        """Mean top singular value of each width."""
        return {width: mean_of(values) for width, values in self.values.items()}


def ladders(quick: bool, say: Say) -> dict[str, Ladder]:
    """Top singular values of every case over widths."""
    found = {}
    for i, (name, case) in enumerate(CASES.items()):
        limit = law(case)
        widths = [w for w in SEEDS if w <= 256] if quick else list(SEEDS)
        values = {}
        for width in widths:
            seeds = max(8, SEEDS[width][i] // 4) if quick else SEEDS[width][i]
            say(f"top singular value, {name}: {seeds} networks of width {width}")
            values[width] = over_seeds(partial(_top, case, width), seeds)
        found[name] = Ladder(case, limit.edge, {w: limit.largest(w).mean for w in widths}, values)
    return found


def _top(case: Setting | Flow, width: int, seed: int) -> float:
    return top(hidden(case, width, seed))


def edge_verdicts(found: dict[str, Ladder]) -> list[Verdict]:
    """At the largest width against Tracy-Widom, and the rate at which the edge is reached."""
    rows = []
    for name, ladder in found.items():
        slope = slope_over(list(ladder.values), list(ladder.values.values()), partial(_short_of, ladder.edge))
        claim = f"{name}: edge - mean top singular value falls as N^-2/3"
        rows += [_at_widest(name, ladder), slope_verdict(claim, "Tracy and Widom (1996)", slope, -2 / 3)]
    return rows


def _short_of(edge: float, values: list[ndarray]) -> ndarray:
    return np.array([edge - v.mean() for v in values])


def _at_widest(name: str, ladder: Ladder) -> Verdict:
    width, mean = list(ladder.means.items())[-1]
    expected = ladder.expected[width]
    apart = abs(mean.value - expected) / mean.error
    text = f"{mean}, Tracy-Widom mean {expected:.4f}: {apart:.1f} standard errors; the law's edge {ladder.edge:.4f}"
    claim = f"{name} ({describe(ladder.case)}): mean top singular value at N = {width}"
    return Verdict(claim, SOURCE, text, f"below {NEAR:g}", decide(apart < NEAR))
