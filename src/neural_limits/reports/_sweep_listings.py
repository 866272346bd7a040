"""Best rates and slopes of a sweep as tables, for a page and for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ._html import Html, element, section, table, text
from ._sweep_optima import MEANING, Best, Slope, with_error
from ._sweep_rows import show as field

MOST_PLACES = 120  # best rates and slopes in a table


class Listing(NamedTuple):
    """A table as text."""

    headers: tuple[str, ...]
    cells: list[tuple[str, ...]]
    right: list[int]


def best_listing(best: Sequence[Best]) -> Listing:
    """Best rates: where, the rate with its error, what to know."""
    names = tuple(best[0].place) if best else ()
    cells = [(*map(field, b.place.values()), with_error(b.rate, b.rate * b.error), b.remark) for b in best]
    return Listing((*names, "best rate", "remark"), cells, [len(names)])


def slope_listing(slopes: Sequence[Slope]) -> Listing:
    """Slopes: over what, where, the slope with its error, what to know."""
    names = tuple(dict.fromkeys(n for s in slopes for n in s.place))
    cells = [
        (s.of, s.over, *(field(s.place.get(n, "–")) for n in names), with_error(s.slope, s.error), s.remark)
        for s in slopes
    ]
    return Listing(("of", "over", *names, "slope", "remark"), cells, [2 + len(names)])


def optima_sections(best: Sequence[Best], slopes: Sequence[Slope]) -> list[Html]:
    """What is known of the best rates, and of slopes."""
    parts = []
    if best:
        note = "Least geometric mean of the final loss over seeds; standard errors from resampled seeds. " + MEANING
        shown = _first(best_listing(best))
        parts.append(section("Best learning rates", element("p", text(note), kind="soft"), *shown))
    if slopes:
        note = "Of the logarithm in the logarithm of the size, by least squares; standard errors from resampled seeds."
        note += " A slope of zero of the best rate: rates transfer." if best else ""
        shown = _first(slope_listing(slopes))
        parts.append(section("Slopes", element("p", text(note), kind="soft"), *shown))
    return parts


def _first(listing: Listing) -> list[Html]:
    """A table of the first rows, and how many are left out."""
    parts = [table(listing.headers, listing.cells[:MOST_PLACES], numbers=listing.right)]
    if len(listing.cells) > MOST_PLACES:
        left = f"The first {MOST_PLACES} of {len(listing.cells)} rows; all are in nl.open_sweep(DIR).data."
        parts.append(element("p", text(left), kind="soft"))
    return parts
