"""`neural-limits sweep`: grids of trials that can be stopped and gone on with at any moment."""

from __future__ import annotations

import signal
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from ._errors import DONE, FAILED, Failed, say
from ._show import line, table

if TYPE_CHECKING:
    from ..sweeps import Request, Status, SweepFolder

Words = Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="FIELD=VALUE")]

ROWS = 40  # of a printed table


@dataclass(frozen=True, kw_only=True)
class SweepRun:
    """Train every trial that a grid asks for and DIR does not hold yet; run it again to go on.

    The grid is a TOML file with the tables [base], [grid], [random], [halving], or given by --set and --vary, or
    what DIR was asked for before. See docs/sweeps.md.
    """

    grid: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="GRID.toml", help_behavior_hint="")] = None
    """The file that describes the trials."""
    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """The folder of the sweep."""
    set: Words = ()
    """A field for all trials, such as --set width=64; on top of [base]."""
    vary: Words = ()
    """A field with its values, such as --vary "lr=[0.1, 0.3]"; on top of [grid]."""
    engine: Literal["local", "ray"] = "local"
    """Processes on this machine, or a Ray cluster whose nodes share DIR."""
    workers: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: one a core)")] = None
    """Trials at once."""
    address: Annotated[str | None, tyro.conf.arg(metavar="ADDR", help_behavior_hint="(default: start one here)")] = None
    """ray: the cluster, such as auto."""
    cpus: float = 1.0
    """ray: cores of a trial."""
    gpus: float = 0.0
    """ray: GPUs of a trial, or a share of one."""
    checkpoint_every: Annotated[
        int | None, tyro.conf.arg(metavar="STEPS", help_behavior_hint="(default: by time, about every 30 s)")
    ] = None
    """Updates between checkpoints."""
    retry_failed: bool = False
    """Run trials again that failed before."""

    def run(self) -> int:
        """Run what is open; 1 where a trial failed."""
        from ..sweeps import Options, SweepFolder, run
        from ._live import live_status

        names = ("engine", "workers", "address", "cpus", "gpus", "checkpoint_every", "retry_failed")
        options = Options(**{name: getattr(self, name) for name in names})
        request = self._request()
        folder = SweepFolder.create(self.out) if request else SweepFolder.open(self.out)
        if request:
            folder.add_request(request)
        with _terminated_like_ctrl_c(self.out), live_status(folder) as (observe, tell):
            tally = run(folder, options, tell, observe)
        now = summary(folder)
        line(f"done    {tally.finished} trials finished by this command, {tally.deaths} processes died on the way")
        if now.counts["failed"] or now.counts["damaged"] or tally.failed:
            say(f"some trials failed; neural-limits sweep status {self.out} says why, --retry-failed runs them again.")
            return FAILED
        return DONE

    def _request(self) -> Request | None:
        """What the file and the words say; None where there is neither."""
        from ..sweeps import Request

        if self.grid is None and not self.set and not self.vary:
            return None
        tables = {} if self.grid is None else Request.read(self.grid).tables()
        for name, words in (("base", self.set), ("grid", self.vary)):
            if words:
                tables[name] = tables.get(name, {}) | {k: v for word in words for k, v in _field(word).items()}
        return Request.of(tables)


@dataclass(frozen=True)
class SweepStatus:
    """Say how a sweep stands: counts, rate, time remaining, trials in hand, failures."""

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """The folder of the sweep."""
    json: bool = False
    """As JSON."""

    def run(self) -> int:
        """Print it."""
        from ..sweeps import SweepFolder, status

        folder = SweepFolder.open(self.folder)
        if self.json:
            from ..runs import to_json

            print(to_json(status(folder).plain()).decode(), end="")
        else:
            summary(folder)
        return DONE


@dataclass(frozen=True)
class SweepReport:
    """Write DIR/report.html with interactive figures, and DIR/figures; of an unfinished sweep what there is."""

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """The folder of the sweep."""

    def run(self) -> int:
        """Write the page; print its path, best rates and slopes."""
        report_sweep(self.folder)
        return DONE


Sweep = (
    Annotated[SweepRun, tyro.conf.subcommand("run")]
    | Annotated[SweepStatus, tyro.conf.subcommand("status")]
    | Annotated[SweepReport, tyro.conf.subcommand("report")]
)


def report_sweep(path: Path) -> None:
    """Write a sweep's page; print its path, best rates and slopes."""
    from ..reports import INSTALL, best_listing, slope_listing, write_sweep_report

    found = write_sweep_report(path)
    for title, listing in (("Best learning rates", best_listing(found.best)), ("Slopes", slope_listing(found.slopes))):
        if listing.cells:
            table(title, listing.headers, listing.cells[:ROWS], numbers=listing.right)
        if len(listing.cells) > ROWS:
            line(f"        ... and {len(listing.cells) - ROWS} more")
    if not found.interactive:
        say(f"plotly is not installed: the page's figures are still pictures; {INSTALL} makes them interactive.")
    line(f"report  {found.page}")


def summary(folder: SweepFolder) -> Status:
    """Print a sweep's status."""
    from ..sweeps import status
    from ._live import counts_line, running_rows

    now = status(folder)
    line(f"sweep   {folder.path}: {now.finished} of {now.total} trials finished")
    line(f"states  {counts_line(now)}")
    if now.running:
        table("In hand", ("trial", "process", "step", "loss"), running_rows(now), numbers=[2, 3])
    for name, reason in now.failures:
        line(f"failed  {name}: {reason}")
    return now


def _field(word: str) -> dict[str, Any]:
    """A field and its value, as a line of TOML; text needs no quotes.

    >>> _field("lr=[0.1, 1]"), _field("task=digits")
    ({'lr': [0.1, 1]}, {'task': 'digits'})
    """
    name, equals, value = word.partition("=")
    if not equals or not name.strip():
        raise ValueError(f"expected FIELD=VALUE, such as lr=0.1 or lr=[0.1,0.3]; got {word!r}.")
    try:
        return {name.strip(): tomllib.loads(f"x = {value}")["x"]}
    except tomllib.TOMLDecodeError:
        if "[" in value or "{" in value:
            raise ValueError(f"expected a value as in TOML, such as [0.1, 0.3]; got {value!r}.") from None
        return {name.strip(): value.strip()}


@contextmanager
def _terminated_like_ctrl_c(out: Path) -> Iterator[None]:
    """SIGTERM ends the sweep as Ctrl-C does: trials in hand keep a checkpoint."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        raise Failed(f"stopped; run it again with --out {out} to go on.") from None
    finally:
        signal.signal(signal.SIGTERM, before)
