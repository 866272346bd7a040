"""What an experiment is: a claim, how it is measured, and what came out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
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
class Context:
    """What an experiment is run with: called with a line, it tells what is being done.

    ``sweeps``: where those that train a grid keep a sweep's folder each, from which a later run goes on; ``workers``:
    trials at once, None for as many as cores and memory allow.
    """

    say: Say
    sweeps: Path
    workers: int | None = None

    def __call__(self, text: str) -> None:
        self.say(text)


@dataclass(frozen=True)
class Experiment:
    """A claim and the function that tests it; minutes are estimates on two cores."""

    name: str
    claim: str
    source: str
    quick_minutes: float
    full_minutes: float
    function: Callable[[bool, Context], Result] = field(repr=False)

    def run(self, quick: bool, progress: Say, sweeps: Path | None = None, workers: int | None = None) -> Result:
        """Run it; ``progress`` is told what is being done; ``sweeps`` as in `Context`, None for a temporary folder."""
        if sweeps is not None:
            return self.function(quick, Context(progress, sweeps, workers))
        with TemporaryDirectory(prefix="neural-limits-") as place:
            return self.function(quick, Context(progress, Path(place), workers))


def decide(holds: bool, resolved: bool = True) -> str:
    """holds / fails, or undecided where the errors do not resolve the question."""
    return "undecided" if not resolved else "holds" if holds else "fails"
