"""Tables and lines on stdout; no text is ever read as markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.console import Console

DENSE_WIDTH = 200  # columns of a file or a pipe


def console() -> Console:
    """Standard output, wide enough for tables where it is not a terminal."""
    from rich.console import Console

    out = Console(highlight=False, markup=False, emoji=False)
    if not out.is_terminal:
        out.width = max(out.width, 120)
    return out


def line(text: str) -> None:
    """One line, never wrapped, so that paths can be copied."""
    console().print(text, soft_wrap=True)


def table(
    title: str,
    headers: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    numbers: Iterable[int] = (),
    rules: bool = False,
    dense: bool = False,
) -> None:
    """A table; columns in ``numbers`` are set to the right; ``rules`` between rows of several lines.

    ``dense``: many columns, of which only the first, the name, may be folded.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    right = set(numbers)
    drawn = Table(title=Text(title), title_justify="left", title_style="bold", show_lines=rules)
    out = console()
    if dense:
        drawn.box, drawn.pad_edge = SIMPLE_HEAD, False
        if not out.is_terminal:
            out.width = max(out.width, DENSE_WIDTH)
    for i, header in enumerate(headers):
        side: Literal["left", "right"] = "right" if i in right else "left"
        drawn.add_column(Text(header), justify=side, overflow="fold", no_wrap=dense and i > 0)
    for row in rows:
        drawn.add_row(*(Text(str(cell)) for cell in row))
    out.print(drawn)
