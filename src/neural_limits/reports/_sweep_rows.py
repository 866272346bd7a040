"""The trials of a sweep, point by point: which field is drawn along which direction, and what its seeds came to."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy import ndarray

RATE, SEED = "lr", "seed"
SIZES = ("width", "depth", "hidden", "samples", "inputs", "outputs", "batch", "steps")
MOST_CHOICES = 40  # a sampled field with more values is said in words, not chosen from a list
ABSENT, UNASKED = "missing", "not asked"

Key = tuple[Any, ...]


@dataclass(frozen=True)
class Roles:
    """``x``: the field that losses are drawn over; ``line``: one line for each value; ``picks``: chosen; ``free``:
    sampled fields with too many values to choose from."""

    x: str | None
    line: str | None
    picks: tuple[str, ...]
    free: tuple[str, ...]


class Point(NamedTuple):
    """What the seeds of one point came to: the geometric mean and range of those with a result."""

    x: Any
    free: Key
    mean: float
    low: float
    high: float
    states: Counter[str]
    rows: list[int]

    @property
    def diverged(self) -> bool:
        """For some seed."""
        return self.states["diverged"] > 0

    def words(self, fields: Sequence[str] = ()) -> str:
        """How many seeds, their range, and what the others came to."""
        total = self.states.total()
        known = total - sum(
            count for state, count in self.states.items() if state not in ("completed", "rank_exhausted")
        )
        parts = [f"{name} {show(value)}" for name, value in zip(fields, self.free, strict=False)]
        if total == 1 and known:
            parts += [state.replace("_", " ") for state in self.states if state != "completed"]
            return ", ".join(parts)
        parts.append(f"{known} of {total} trials" if known < total else f"{total} trials")
        if known > 1:
            parts.append(f"{self.low:.4g} to {self.high:.4g}")
        others = {state: count for state, count in self.states.items() if state != "completed"}
        return ", ".join([*parts, *(f"{count} {state.replace('_', ' ')}" for state, count in others.items())])


Points = dict[tuple[Key, Any], list[Point]]  # by the choices, and the value of the line


@dataclass(frozen=True)
class Rows:
    """All trials that were asked for: a column for each field that varies, and what came of each."""

    columns: Mapping[str, ndarray]
    loss: ndarray
    status: ndarray
    name: ndarray
    sampled: frozenset[str]
    told: frozenset[str]  # fields that another one fixes: said, not chosen

    @classmethod
    def of(cls, data: xr.Dataset) -> Rows:
        """The rows of a sweep's dataset, in its order."""
        final = data.final_loss
        asked = (data.status != UNASKED).transpose(*final.dims).values
        fields = [str(n) for n in data.coords if n not in ("step", "trial")]
        columns = {n: data[n].broadcast_like(final).transpose(*final.dims).values[asked] for n in fields}
        columns = {n: values for n, values in columns.items() if len(np.unique(values)) > 1}
        drawn = frozenset(n for n in columns if data[n].dims == ("trial",))
        told = frozenset(n for n in columns if n not in drawn and data[n].dims != (n,))
        loss, status, name = (
            data[n].transpose(*final.dims).values[asked] for n in ("final_loss", "status", "trial_name")
        )
        return cls(columns, loss, status, name, drawn, told)

    def roles(self) -> Roles:
        """Rates along the axis and widths as lines where there are such; else what stands nearest to that."""
        fields = [n for n in self.columns if n not in (SEED, *self.told)]
        numbers = [n for n in fields if self.columns[n].dtype.kind in "if"]
        sizes = [n for n in SIZES if n in fields]
        x = next((n for n in (RATE, *sizes, *numbers, *fields) if n in fields), None)
        rest = [n for n in fields if n != x]
        free = [n for n in rest if n in self.sampled and len(np.unique(self.columns[n])) > MOST_CHOICES]
        line = next((n for n in (*sizes, *rest) if n in rest and n not in free), None)
        return Roles(x, line, tuple(n for n in rest if n not in (*free, line)), tuple(free))

    def values(self, name: str | None) -> list[Any]:
        """The values of a field in their order; one nameless value where there is no field."""
        if name is None:
            return [None]
        found = self.columns[name].tolist()
        return sorted(set(found)) if self.columns[name].dtype.kind in "if" else list(dict.fromkeys(found))

    def points(self, roles: Roles) -> Points:
        """The points of every line of every choice, along x."""
        groups: dict[tuple[Key, Any, Any, Key], list[int]] = {}
        picks, free = self._keys(roles.picks), self._keys(roles.free)
        lines, xs = self._keys((roles.line,) if roles.line else ()), self._keys((roles.x,) if roles.x else ())
        for i, (pick, line, x, other) in enumerate(zip(picks, lines, xs, free, strict=True)):
            groups.setdefault((pick, line[0] if line else None, x[0] if x else None, other), []).append(i)
        found: Points = {}
        for (pick, line, x, other), rows in groups.items():
            found.setdefault((pick, line), []).append(self._point(x, other, rows))
        if roles.x is not None and self.columns[roles.x].dtype.kind in "if":
            found = {key: sorted(points, key=lambda p: p.x) for key, points in found.items()}
        return found

    def _keys(self, names: Sequence[str]) -> Iterator[Key]:
        columns = [self.columns[n].tolist() for n in names]
        return zip(*columns, strict=True) if columns else iter([()] * len(self.loss))

    def _point(self, x: Any, free: Key, rows: list[int]) -> Point:
        losses = self.loss[rows]
        known = losses[np.isfinite(losses)]
        states = Counter(self.status[rows].tolist())
        if not len(known):
            return Point(x, free, math.nan, math.nan, math.nan, states, rows)
        return Point(x, free, geometric(known), float(known.min()), float(known.max()), states, rows)


def geometric(values: ndarray) -> float:
    """The geometric mean of losses; zero where one of them is."""
    return float(np.exp(np.mean(np.log(values)))) if (values > 0).all() else 0.0


def show(value: Any) -> str:
    """A field's value: numbers to five digits.

    >>> show(0.1000000001), show(128), show("mup")
    ('0.1', '128', 'mup')
    """
    return f"{value:.5g}" if isinstance(value, float) else str(value)
