"""What an experiment is: a claim, how it is measured, and what came out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import xarray as xr
from matplotlib.figure import Figure

from .._fits import Mean as Mean
from .._fits import mean_of as mean_of
from .._fits import standard_errors as standard_errors

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
