"""A live table of a sweep on a terminal; a plain line now and then elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ._errors import say
from ._progress import PLAIN_SECONDS, at_most_every

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ..sweeps import Status, SweepFolder

ROWS = 12  # trials in hand that are shown


@contextmanager
def live_status(folder: SweepFolder) -> Iterator[tuple[Callable[[], None], Callable[[str], None]]]:
    """``observe()`` shows the sweep as it stands; ``tell(text)`` prints a line above it."""
    from rich.console import Console
    from rich.live import Live

    from ..sweeps import Pace, status

    console = Console(stderr=True, highlight=False, markup=False)
    pace, plain = Pace(), at_most_every(PLAIN_SECONDS)
    if not console.is_terminal:

        def observe() -> None:
            if plain():
                with suppress(OSError):
                    say(f"sweep: {counts_line(status(folder))}")

        yield observe, say
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:

        def show() -> None:
            with suppress(OSError):
                live.update(_drawn(status(folder)), refresh=True)

        yield lambda: pace(show), say


def counts_line(now: Status) -> str:
    """The counts that are not zero, rate and time remaining."""
    parts = [f"{count} {state}" for state, count in now.counts.items() if count]
    if now.per_minute and now.open:
        parts += [f"{now.per_minute:.3g} a minute", f"{duration(now.remaining_seconds)} remaining"]
    return ", ".join(parts) or "no trials"


def running_rows(now: Status) -> list[tuple[str, str, str, str]]:
    """Trials in hand."""
    return [
        (r.name, r.owner, f"{r.step} of {r.steps}" if r.steps else "–", f"{r.loss:.4g}" if r.steps else "–")
        for r in now.running
    ]


def duration(seconds: float | None) -> str:
    """A time as one says it.

    >>> duration(40), duration(600), duration(9000), duration(None)
    ('40 s', '10 min', '2.5 h', 'an unknown time')
    """
    if seconds is None:
        return "an unknown time"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.2g} h"


def _drawn(now: Status) -> RenderableType:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    rows = Table(box=None, pad_edge=False)
    for header in ("trial", "process", "step", "loss"):
        rows.add_column(Text(header, style="bold"))
    for row in running_rows(now)[:ROWS]:
        rows.add_row(*map(Text, row))
    bar = ProgressBar(total=max(now.total, 1), completed=now.finished, width=60)
    return Group(Text(counts_line(now)), bar, rows)
