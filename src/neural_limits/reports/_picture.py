"""A figure as numbers: drawn by matplotlib for a file, by plotly for a page, so that both show the same."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Look = Literal["line", "dashed", "points", "diverged", "absent"]


@dataclass(frozen=True)
class Axis:
    """A label; ``ticks``: the values themselves where there are few."""

    label: str
    log: bool = False
    ticks: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Series:
    """Points of one colour. NaN breaks a line; ``low`` and ``high`` end the error bars; ``notes`` say more in words."""

    name: str
    x: list[Any]
    y: list[float]
    colour: str
    notes: list[str] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    look: Look = "line"
    hollow: list[bool] = field(default_factory=list)  # points that are bounds


@dataclass(frozen=True)
class Picture:
    """One figure with a view for every choice of ``picks`` (a field and its values); views by the choices' numbers."""

    name: str
    title: str
    caption: str
    x: Axis
    y: Axis
    series: str  # what the names of the series are
    picks: Mapping[str, Sequence[str]]
    views: Mapping[tuple[int, ...], Sequence[Series]]

    def label(self, place: tuple[int, ...]) -> str:
        """A view's choices in words."""
        return ", ".join(f"{name} {labels[i]}" for (name, labels), i in zip(self.picks.items(), place, strict=True))


def axis_of(label: str, values: Iterable[Any], *, most: int = 8, log: bool | None = None) -> Axis:
    """An axis for values: logarithmic where numbers spread, the values as ticks where they are few whole numbers."""
    known = sorted({v for v in values if not isinstance(v, float) or math.isfinite(v)})
    if not known or not all(isinstance(v, int | float) for v in known):
        return Axis(label)
    spread = known[0] > 0 and (known[-1] >= 4 * known[0] if log is None else log)
    few = len(known) <= most and all(isinstance(v, int) for v in known)
    return Axis(label, bool(spread), tuple(known) if few else ())
