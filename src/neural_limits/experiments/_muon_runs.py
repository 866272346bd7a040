"""Runs of one network under gradient descent and under Muon, and what is read from their hidden weights."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy import ndarray

from ..networks import MLP, Parameters
from ..parametrizations import MuP
from ..spectra import bulk_edge, independent_outliers, outliers
from ..tasks import Task, toy
from ..training import SGD, Muon, Optimizer, train
from ..weights import ConditionedMatrix, DenseMatrix, WeightMatrix, matrices
from ._experiment import Say

NETWORK, SCHEME, SAMPLES, OUTPUTS = MLP(2, "tanh"), MuP(gamma=4.0), 4, 2
MOMENTUM, ENDS, MUON_LR, STEPS = 0.9, 0.03, 0.1, 32
TOLERANCE = 1e-3  # docs/optimizers.md
# The two differ in the step of the hidden weights alone; Muon's rate is the one at which the losses fall alike.
OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": SGD(ENDS, MOMENTUM, nesterov=True),
    "muon": Muon(MUON_LR, MOMENTUM, lr_input=ENDS, lr_output=ENDS),
}
FRACTIONS = {"half": 0.5, "tenth": 0.1}  # of the first loss: where the two are compared; and at the "end"
MARKS = (*FRACTIONS, "end")
LEVEL = 1.05  # outliers are counted above this times the edge, at all widths
MODES = 40
SCOUT_SEED = 1000


class Plan(NamedTuple):
    """Seeds by width, conditioned and dense, and by number of samples; the width for the latter and for series."""

    conditioned: dict[int, int]
    dense: dict[int, int]
    samples: dict[int, int]
    middle: int


QUICK = Plan({256: 6, 512: 4}, {256: 6}, {4: 3, 8: 3}, 512)
FULL = Plan(
    {512: 16, 1024: 12, 4096: 8, 16384: 6, 65536: 4}, {256: 16, 512: 12, 1024: 4}, dict.fromkeys((4, 8, 16), 4), 4096
)


@dataclass(frozen=True)
class Look:
    """One hidden weight after some updates; NaN for what is not known of its form, or where there is no outlier."""

    largest: float  # singular value, where it is an outlier
    count: float  # outliers above `LEVEL`
    independent: float  # largest and count, were the learned part independent of the bulk
    spikes: float
    learned: ndarray  # singular values of the learned part
    stable_rank: float  # of the learned part
    middle: float  # median of all singular values


class Watched(NamedTuple):
    """Losses at steps 0..`STEPS`, and looks by updates made, a layer each."""

    loss: ndarray
    looks: dict[int, list[Look]]


class Found(NamedTuple):
    """The plan, the updates at which each optimizer has come to each mark, and all runs.

    Keys: (optimizer, width, seed); ``samples``: (optimizer, samples, seed).
    """

    plan: Plan
    marks: dict[str, dict[str, int]]
    conditioned: dict[tuple[str, int, int], Watched]
    dense: dict[tuple[str, int, int], Watched]
    samples: dict[tuple[str, int, int], Watched]


def run_all(plan: Plan, say: Say) -> Found:
    """Every run."""
    task = toy(SAMPLES, 8, OUTPUTS, 7)
    scouts = {n: watched(task, n, plan.middle, "conditioned", SCOUT_SEED, set()) for n in OPTIMIZERS}
    marks = {name: find_marks(scout.loss) for name, scout in scouts.items()}
    found = Found(plan, marks, {}, {}, {})
    for weights, widths, runs in (
        ("conditioned", plan.conditioned, found.conditioned),
        ("dense", plan.dense, found.dense),
    ):
        for width, seeds in widths.items():
            for name in OPTIMIZERS:
                say(f"{weights} weights, width {width}, {name}: {seeds} seeds")
                at = {0, *marks[name].values()} | set(range(2, STEPS, 2) if width == plan.middle else ())
                for seed in range(seeds):
                    runs[name, width, seed] = watched(task, name, width, weights, seed, at)
    for samples, seeds in plan.samples.items():
        for name in OPTIMIZERS:
            say(f"{samples} samples, width {plan.middle}, {name}: {seeds} seeds")
            of = toy(samples, 8, OUTPUTS, 7)
            for seed in range(seeds):
                found.samples[name, samples, seed] = watched(of, name, plan.middle, "conditioned", seed, {STEPS})
    return found


def find_marks(loss: ndarray) -> dict[str, int]:
    """Updates until the loss is first below each fraction of the first, and the last one.

    >>> find_marks(np.array([1.0, 0.6, 0.4, 0.05, 0.01]))
    {'half': 2, 'tenth': 3, 'end': 4}
    """
    reached = {mark: int(np.flatnonzero(loss < fraction * loss[0])[0]) for mark, fraction in FRACTIONS.items()}
    return reached | {"end": len(loss) - 1}


def watched(task: Task, name: str, width: int, weights: str, seed: int, at: set[int]) -> Watched:
    """One run, looked at after the given numbers of updates (0 besides, which dense weights need)."""
    looks: dict[int, list[Look]] = {}
    start: list[ndarray] = []

    def watch(step: int, parameters: Parameters) -> None:
        found = matrices(parameters.hidden)
        if step == 0:
            start.extend(np.array(w.value) for w in found if isinstance(w, DenseMatrix))
        looks[step] = [look(w, start[i] if start else None) for i, w in enumerate(found)]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that dense weights are cheaper at small widths
        run = train(
            NETWORK, task, SCHEME, OPTIMIZERS[name], width=width, steps=STEPS, weights=weights, seed=seed,
            tolerance=TOLERANCE, dtype="float32", watch=watch, watch_steps=sorted(at),
        )  # fmt: skip
    return Watched(np.asarray(run.data.loss.values), looks)


def look(weight: WeightMatrix, start: ndarray | None) -> Look:
    """A hidden weight's spectrum: predicted of a conditioned one, measured of a dense one that began at ``start``."""
    assert isinstance(weight, ConditionedMatrix | DenseMatrix)
    edge, threshold = bulk_edge(weight)
    if isinstance(weight, ConditionedMatrix):
        values, middle = outliers(weight).values, np.nan
        learned = np.linalg.svd(np.asarray(weight.core, np.float64), compute_uv=False)
        alone = independent_outliers(weight)
    else:
        assert start is not None
        now = np.asarray(weight.value)
        every = np.linalg.svd(now, compute_uv=False)
        learned = np.linalg.svd(now - start, compute_uv=False)
        values, middle, alone = every[every > threshold], float(np.median(every)), np.full(1, np.nan)
    size = float(learned[0]) if len(learned) else 0.0
    return Look(
        float(values[0]) if len(values) else np.nan,
        float(np.sum(values > LEVEL * edge)),
        float(alone[0]) if len(alone) else np.nan,
        float(np.sum(alone > LEVEL * edge)) if start is None else np.nan,
        np.pad(learned[:MODES], (0, max(0, MODES - len(learned)))),
        float(np.sum(learned**2) / size**2) if size else np.nan,
        middle,
    )


def at_mark(found: Found, form: str, name: str, width: int, mark: str, quantity: str) -> ndarray:
    """A quantity of `Look` (seed, layer) of all runs of one width."""
    runs: dict[tuple[str, int, int], Watched] = getattr(found, form)
    step = found.marks[name][mark]
    return np.array([
        [getattr(l, quantity) for l in run.looks[step]] for key, run in runs.items() if key[:2] == (name, width)
    ])  # fmt: skip
