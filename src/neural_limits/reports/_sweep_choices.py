"""What the figures of a sweep have in common: choices of the fields that are not drawn, and labels."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from ._sweep_rows import Rows, show

LABELS = {"lr": "learning rate"}


def choices(rows: Rows, names: Sequence[str]) -> Iterable[tuple[tuple[int, ...], tuple[Any, ...]]]:
    """Every combination of the values of fields, with the numbers of them."""
    return places([rows.values(n) for n in names])


def places(values: Sequence[Sequence[Any]]) -> Iterable[tuple[tuple[int, ...], tuple[Any, ...]]]:
    """Every combination of values, with the numbers of them."""
    numbered = itertools.product(*(list(enumerate(v)) for v in values))
    return [(tuple(i for i, _ in one), tuple(v for _, v in one)) for one in numbered]


def picks(rows: Rows, names: Sequence[str]) -> dict[str, list[str]]:
    """The values of fields in words."""
    return {n: [show(v) for v in rows.values(n)] for n in names}


def label(name: str) -> str:
    """A field in words."""
    return LABELS.get(name, name.replace("_", " "))
