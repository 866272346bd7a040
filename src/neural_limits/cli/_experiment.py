"""`neural-limits experiments` and `neural-limits experiment`: claims, and verdicts on them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ._errors import DONE, Failed
from ._options import unset
from ._output import choose_folder
from ._progress import working
from ._show import line, table

if TYPE_CHECKING:
    from ..experiments import Experiment as Registered
    from ..experiments import Result
    from ..runs import RunFolder

SWEEPS = "sweeps"
VERDICT = ("claim", "source", "measured", "criterion", "verdict")


def registry() -> dict[str, Registered]:
    """All experiments by name; they import JAX and matplotlib."""
    from .. import experiments

    return experiments.registry()


@dataclass(frozen=True)
class Experiments:
    """List the experiments, each with its claim, its source and the time it takes."""

    def run(self) -> int:
        """Print the list."""
        rows = [
            (name, e.claim, e.source, minutes(e.quick_minutes), minutes(e.full_minutes))
            for name, e in registry().items()
        ]
        table("Experiments", ("name", "claim", "source", "--quick", "full"), rows, numbers=[3, 4], rules=True)
        return DONE


@dataclass(frozen=True)
class Experiment:
    """Reproduce one claim: dataset, verdict, figures and a page. Stopped, it goes on with the same --out.

    An experiment that trains a grid keeps it as sweeps in the folder sweeps/, and goes on from their trials.
    """

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]
    """The experiment; `neural-limits experiments` lists them."""
    quick: bool = False
    """A smaller version that takes minutes."""
    out: Annotated[Path | None, unset("PATH", "runs/experiment-NAME-TIME")] = None
    """The folder to write to."""
    overwrite: bool = False
    """Replace the run in that folder, its sweeps too."""
    workers: Annotated[int | None, unset("INT", "what cores and memory allow")] = None
    """Trials at once, in an experiment that trains a grid."""

    def run(self) -> int:
        """Run it; print the verdict and where the page is."""
        from .._checks import positive_int
        from ..reports import write_experiment_report

        chosen = self._chosen()
        if self.workers is not None:
            positive_int("workers", self.workers)
        record = self._record(chosen)
        folder = self._folder(record)
        with folder.recording():
            folder.update(**record)
            started = time.perf_counter()
            result = self._result(chosen, folder.reserve(SWEEPS))
            store(folder, result, time.perf_counter() - started)
            page = write_experiment_report(folder)
        table(f"Verdict on {self.name}", VERDICT, [verdict_cells(row) for row in result.verdict], rules=True)
        line(f"report  {page}")
        return DONE

    def _chosen(self) -> Registered:
        from .._checks import one_of

        known = registry()
        return known[one_of("NAME", self.name, known)]

    def _record(self, chosen: Registered) -> dict[str, Any]:
        quick = " --quick" if self.quick else ""
        return {
            "kind": "experiment",
            "name": self.name,
            "claim": chosen.claim,
            "source": chosen.source,
            "configuration": {"quick": self.quick},
            "command": f"neural-limits experiment {self.name}{quick}",
        }

    def _folder(self, record: dict[str, Any]) -> RunFolder:
        """A new folder, or that of the same experiment that did not come to its end."""
        from ..runs import RunFolder

        path = choose_folder(self.out, f"experiment-{self.name}")
        if not self.overwrite and _is_unfinished(path, record):
            line(f"{self.name}: goes on from what {path} holds")
            return RunFolder.open(path).resume()
        return RunFolder.create(path, self.overwrite)

    def _result(self, chosen: Registered, sweeps: Path) -> Result:
        """The result; a ValueError from inside is not the user's mistake."""
        estimate = minutes(chosen.quick_minutes if self.quick else chosen.full_minutes)
        line(f"{self.name}: about {estimate}{'' if self.quick else '; --quick for a smaller version'}")
        try:
            with working(self.name) as tell:
                return chosen.run(self.quick, tell, sweeps, self.workers)
        except ValueError as error:
            raise Failed(f"the experiment {self.name} failed: {error}") from error


def _is_unfinished(path: Path, record: dict[str, Any]) -> bool:
    """Whether a folder holds this very experiment, and not to its end."""
    from ..runs import RunFolder

    try:
        found = RunFolder.open(path)
    except OSError:
        return False
    same = all(found.info().get(name) == record[name] for name in ("kind", "name", "configuration"))
    return same and found.status != "completed"


def store(folder: RunFolder, result: Result, seconds: float) -> None:
    """Write dataset, figures, verdict and captions."""
    from ..reports import png

    folder.write_dataset("data.nc", result.data)
    for name, figure in result.figures.items():
        folder.write_bytes(f"{name}.png", png(figure))
    verdict = [dict(zip(VERDICT, verdict_cells(row), strict=True)) for row in result.verdict]
    captions = dict(result.captions)
    folder.finish("completed", verdict=verdict, captions=captions, timing={"seconds": seconds})


def verdict_cells(row: Any) -> tuple[str, ...]:
    """The fields of a verdict row as text."""
    return tuple(str(getattr(row, name)) for name in VERDICT)


def minutes(value: float) -> str:
    """A time as one says it.

    >>> minutes(0.5), minutes(3), minutes(90)
    ('30 s', '3 min', '1.5 h')
    """
    if value < 1:
        return f"{60 * value:.0f} s"
    return f"{value:.3g} min" if value < 60 else f"{value / 60:.2g} h"
