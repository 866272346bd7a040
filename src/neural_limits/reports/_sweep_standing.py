"""How a sweep stands, and what it was asked for, in words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import xarray as xr

from ..sweeps import Request, Status
from ._common import show
from ._html import Html, element, join, table, text
from ._sweep_rows import ABSENT, Rows
from ._sweep_rows import show as field


def standing(now: Status, data: xr.Dataset) -> Html:
    """Whether all is done, in one line; what cannot be read, below it."""
    bad = now.counts["failed"] + now.counts["damaged"]
    if not now.total:
        kind, word, rest = "", "not begun", "no trial is there yet"
    elif now.open:
        kind, word = "", "not finished"
        rest = f"{now.finished} of {now.total} trials have a result; this page shows what was there on {time_now()}"
    else:
        kind, word = ("bad", "finished with failures") if bad else ("good", "finished")
        rest = f"{now.finished} of {now.total} trials have a result" + (f", {bad} failed or are damaged" if bad else "")
    line = element("p", element("b", text(word)), text(f": {rest}."), kind=f"status {kind}".strip())
    problems = data.attrs.get("problems", [])
    return join([line, *(element("p", text(f"Warning: {problem}"), kind="soft") for problem in problems[:20])])


def counts(now: Status, rows: Rows | None) -> Html:
    """Trials by state."""
    found = {state.replace("_", " "): count for state, count in now.counts.items() if count}
    absent = int((rows.status == ABSENT).sum()) if rows else 0
    if absent:
        found["points of the grid without a trial"] = absent
    return table(("state", "trials"), [*found.items(), ("all trials", now.total)], numbers=[1])


def request_tables(requests: Sequence[Request]) -> list[Html]:
    """What was asked for; grids that differ in their values alone, as those that follow results do, in one table."""
    alike: dict[str, list[Request]] = {}
    for request in requests:
        alike.setdefault(repr((request.base, [*request.grid], request.random, request.halving)), []).append(request)
    parts = []
    for group in alike.values():
        parts.append(_request_table(group))
        if len(group) > 1:
            note = f"Asked for in {len(group)} grids: not every combination of these values."
            parts.append(element("p", text(note), kind="soft"))
    return parts


def _request_table(requests: Sequence[Request]) -> Html:
    """A field, how it varies, its values."""
    one = requests[0]
    rows: list[tuple[str, str, str]] = [(name, "fixed", _words(value)) for name, value in one.base.items()]
    for name in one.grid:
        found = [value for request in requests for value in request.grid[name]]
        if len(requests) > 1 and all(isinstance(value, int | float) for value in found):
            found = sorted({*found})
        rows.append((name, "grid", ", ".join(dict.fromkeys(map(_words, found)))))
    for kind, entries in (("random", one.random), ("halving", one.halving)):
        rows += [(name, kind, _spec(value)) for name, value in entries.items()]
    return table(("field", "", "values"), rows)


def _words(value: Any) -> str:
    return field(value) if isinstance(value, float) else show(value)


def _spec(value: Any) -> str:
    return ", ".join(f"{k} {show(v)}" for k, v in value.items()) if isinstance(value, dict) else show(value)


def time_now() -> str:
    """To the second, with the zone."""
    return datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
