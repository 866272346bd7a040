"""Progress on stderr: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ._errors import say

PLAIN_SECONDS = 10.0  # between two plain lines


@contextmanager
def training_progress(title: str, steps: int) -> Iterator[Callable[[int, int, float], None]]:
    """``report(step, steps, loss)`` for a training run; Ctrl-C says at which step it came."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    reached = [0, steps]
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=steps, note="compiling")
        plain = at_most_every(PLAIN_SECONDS)

        def report(step: int, steps: int, loss: float) -> None:
            reached[:] = step, steps
            bar.update(task, completed=step, note=f"loss {loss:.4g}")
            if not console.is_terminal and (plain() or step == steps):
                say(f"{title}: step {step} of {steps}, loss {loss:.4g}")

        try:
            yield report
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"at step {reached[0]} of {reached[1]} of {title}") from None


@contextmanager
def working(title: str, every: float = 0.0) -> Iterator[Callable[[str], None]]:
    """``tell(what)`` for work without a known number of steps: a spinner, or a line each, ``every`` seconds at most."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(title, total=None)
        due = at_most_every(every)

        def tell(what: str) -> None:
            bar.update(task, description=f"{title}: {what}")
            if not console.is_terminal and due():
                say(f"{title}: {what}")

        yield tell


def at_most_every(seconds: float) -> Callable[[], bool]:
    """A function that is true at most once in so many seconds."""
    last = time.monotonic()

    def due() -> bool:
        nonlocal last
        if time.monotonic() - last < seconds:
            return False
        last = time.monotonic()
        return True

    return due
