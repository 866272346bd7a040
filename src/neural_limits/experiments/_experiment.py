"""What an experiment is: a claim, how it is measured, and what came out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from numpy import ndarray

Say = Callable[[str], None]


class Verdict(NamedTuple):
    """One line of an experiment's verdict: holds, fails or undecided."""

    claim: str
    source: str
    measured: str
    criterion: str
    verdict: str


@dataclass(frozen=True)
class Result:
    """What an experiment returns: a labelled dataset, verdicts, figures and their captions."""

    data: xr.Dataset
    verdict: list[Verdict]
    figures: dict[str, Figure] = field(default_factory=dict)
    captions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """A claim and the function that tests it; minutes are estimates on two cores."""

    name: str
    claim: str
    source: str
    quick_minutes: float
    full_minutes: float
    function: Callable[[bool, Say], Result] = field(repr=False)

    def run(self, quick: bool, progress: Say) -> Result:
        """Run it; ``progress`` is told what is being done."""
        return self.function(quick, progress)


def decide(holds: bool, resolved: bool = True) -> str:
    """holds / fails, or undecided where the errors do not resolve the question."""
    return "undecided" if not resolved else "holds" if holds else "fails"


class Mean(NamedTuple):
    """A mean over seeds with its standard error."""

    value: float
    error: float

    def __str__(self) -> str:
        if not np.isfinite(self.value):
            return "none"
        digits = max(0, 1 - int(np.floor(np.log10(self.error)))) if self.error > 1e-12 else 4
        return f"{self.value:.{digits}f} ± {self.error:.{digits}f}"


def mean_of(samples: ndarray) -> Mean:
    """Mean and standard error over the first axis; the error is NaN for a single sample."""
    samples = np.asarray(samples, float)
    n = len(samples)
    error = float(samples.std(ddof=1) / n**0.5) if n > 1 else float("nan")
    return Mean(float(samples.mean()), error)


def standard_errors(a: Mean, b: Mean) -> float:
    """|a - b| in combined standard errors."""
    return abs(a.value - b.value) / float(np.hypot(a.error, b.error))
