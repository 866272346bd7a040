"""Where the gap between bulk and learned singular values closes: output ratio against teacher strength."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy import ndarray
from scipy import stats

from ..laws import TracyWidom
from ..limits.extensive_outputs import ManyOutputs, Setting, closing_ratio
from ._bulk_laws import RATE, SOURCE, STEPS, law
from ._bulk_networks import outputs, spectra
from ._experiment import Mean, Say, Verdict, decide, mean_of

WIDTH, SEEDS = 512, 8
TAIL = 0.01  # of networks have a singular value beyond the tail of an end of the law's gap
WIDTH_RATIOS = (1.0, 0.5)
TEACHERS = (1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0)
QUICK = (2.0, 2.5, 3.0, 4.0)
NETWORKS = {1.0: (2.0, 3.0, 4.0, 5.0), 0.5: (1.75, 2.0, 2.5, 3.0)}  # width ratio: teachers with networks
FACTORS = (0.5, 0.75, 1.25, 1.5, 2.0)  # their output ratios over the closing one
CLEAR = (0.5, 1.5)  # nearer to the curve the gap is narrower than the tails of networks of this width
NEIGHBOURS = 5  # spacings on either side
SEEN = 2.0  # spacing over its neighbours' from which there is a gap: without one it is 1 +- 0.5/sqrt(SEEDS)


class Point(NamedTuple):
    """Networks at one point of the diagram."""

    width_ratio: float
    teacher: float
    factor: float  # output ratio over the closing one
    output_ratio: float
    gap: float  # the law's, 0 where it is closed
    spacing: Mean  # between the C-th and the next singular value
    relative: Mean  # that over the mean of its neighbours
    empty: float  # width of the part of the law's gap that the tails of finite networks leave, 0 where they meet
    inside: int  # singular values in it, over all seeds


class Diagram(NamedTuple):
    """Closing ratios (width ratio, teacher), NaN where there is no gap, and networks beside them."""

    closing: ndarray
    points: list[Point]


def diagram(quick: bool, say: Say) -> Diagram:
    """Curves for every width ratio and points on both sides of them."""
    curves, points = [], []
    for ratio in WIDTH_RATIOS:
        say(f"where the gap closes: N/D = {ratio:g}")
        curve = {a: closing(a, ratio) if a in QUICK or not quick else np.nan for a in TEACHERS}
        curves.append(list(curve.values()))
        for a in NETWORKS[ratio][1:3] if quick else NETWORKS[ratio]:
            say(f"networks about the closing of the gap: N/D = {ratio:g}, a = {a:g}")
            factors = CLEAR if quick else FACTORS
            points += [point(ratio, a, f, curve[a]) for f in factors if f * curve[a] <= 1]
    return Diagram(np.array(curves), points)


def closing(teacher: float, width_ratio: float) -> float:
    """κ*, NaN where no output ratio has a gap."""
    found = closing_ratio(lr=RATE, steps=STEPS, teacher=teacher, width_ratio=width_ratio, accuracy=1e-4)
    return float("nan") if found is None else found


def point(width_ratio: float, teacher: float, factor: float, close: float) -> Point:
    """Networks at ``factor`` times the closing ratio, C rounded to a whole number."""
    count = outputs(factor * close, WIDTH)
    setting = Setting(count / WIDTH, width_ratio, lr=RATE, steps=STEPS, teacher=teacher)
    values = spectra(setting, WIDTH, SEEDS)
    limit = law(setting)
    gap, empty, inside = 0.0, 0.0, 0
    if len(limit.support) > 1:
        below, above = limit.support[-2:]
        gap = above[0] - below[1]
        low, high = below[1] + tail(limit, *below[::-1]), above[0] - tail(limit, *above)
        empty = max(0.0, high - low)
        inside = int(((values > low) & (values < high)).sum())
    spacing, relative = spacings(values, count)
    return Point(width_ratio, teacher, factor, count / WIDTH, gap, spacing, relative, empty, inside)


def tail(limit: ManyOutputs, end: float, other: float) -> float:
    """How far beyond the ``end`` of a component the extreme singular value lies with 1 % probability: Tracy-Widom.

    A density of N d^(1/2)/(π s^(3/2)) values at distance d inside scatters on the scale s.
    """
    inside = (other - end) / 1000
    density = singular_count(limit) * float(limit.pdf(end + inside)) / abs(inside) ** 0.5
    return float(TracyWidom().isf(TAIL)) * (np.pi * density) ** (-2 / 3)


def singular_count(limit: ManyOutputs) -> int:
    """How many singular values a network of ``WIDTH`` has."""
    return round(WIDTH * min(1.0, 1 / limit.width_ratio))


def spacings(values: ndarray, count: int) -> tuple[Mean, Mean]:
    """Between value number ``count`` and the next, and over the mean of the spacings beside it; largest first."""
    steps = -np.diff(values, axis=1)
    at = count - 1
    beside = np.concatenate([steps[:, max(0, at - NEIGHBOURS) : at], steps[:, at + 1 : at + 1 + NEIGHBOURS]], axis=1)
    return mean_of(steps[:, at]), mean_of(steps[:, at] / beside.mean(1))


def gap_verdicts(found: Diagram) -> list[Verdict]:
    """A row for every width ratio and side of its curve."""
    rows = []
    for ratio in WIDTH_RATIOS:
        points = [p for p in found.points if p.width_ratio == ratio]
        rows += [_empty(ratio, [p for p in points if p.factor < 1])]
        rows += [_open(ratio, [p for p in points if p.factor <= CLEAR[0]])]
        rows += [_closed(ratio, [p for p in points if p.factor >= CLEAR[1]])]
    return rows


def _empty(ratio: float, points: list[Point]) -> Verdict:
    """Each end of the interval is passed by a value in ``TAIL`` of the networks: a Poisson number of them."""
    wide = [p for p in points if p.empty > 0]
    inside, expected = sum(p.inside for p in wide), 2 * TAIL * SEEDS * len(wide)
    most = int(stats.poisson.isf(1e-3, expected))
    text = f"{inside} singular values there in {SEEDS * len(wide)} networks at {len(wide)} points, of tails "
    text += f"{expected:.1f} expected; at {len(points) - len(wide)} points the tails meet"
    claim = f"N/D = {ratio:g}: below κ* the law's gap, less the tails of networks of width {WIDTH}, is empty"
    return Verdict(claim, SOURCE, text, f"at most {most}", decide(inside <= most, resolved=bool(wide)))


def _open(ratio: float, points: list[Point]) -> Verdict:
    least = min(points, key=lambda p: p.relative.value)
    text = f"the spacing below the C-th singular value is {least.relative} times its neighbours' or more, at "
    text += f"{len(points)} points"
    claim = f"N/D = {ratio:g}: below κ* (up to {CLEAR[0]:g} κ*) there is a gap, C singular values above it"
    return Verdict(claim, SOURCE, text, f"above {SEEN:g} times", decide(least.relative.value > SEEN))


def _closed(ratio: float, points: list[Point]) -> Verdict:
    most = max(points, key=lambda p: p.relative.value)
    text = f"the spacing below the C-th singular value is {most.relative} times its neighbours' or less, at "
    text += f"{len(points)} points"
    claim = f"N/D = {ratio:g}: above κ* (from {CLEAR[1]:g} κ* on) the gap has closed"
    return Verdict(claim, SOURCE, text, f"below {SEEN:g} times", decide(most.relative.value < SEEN))
