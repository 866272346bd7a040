"""The trials of a sweep as tables."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from ..sweeps import SweepFolder
from ._html import Html, element, table, text
from ._sweep_rows import ABSENT, Rows
from ._sweep_rows import show as field

MOST_TRIALS = 200  # in a table


def trial_tables(folder: SweepFolder, rows: Rows) -> list[Html]:
    """All of few trials, the best first; of many the best ten and those without a completed result, with reasons."""
    present = [i for i in range(len(rows.loss)) if rows.status[i] != ABSENT]
    order = sorted(present, key=lambda i: (math.isnan(rows.loss[i]), rows.loss[i], i))
    if len(present) <= MOST_TRIALS:
        return [_listing(folder, rows, order)]
    odd = [i for i in present if rows.status[i] != "completed"]
    kinds = Counter(rows.status[odd].tolist())
    known = [i for i in order[:10] if rows.status[i] == "completed"]
    parts = [element("h3", text("The ten of least final loss")), _listing(folder, rows, known)]
    if odd:
        words = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in kinds.items())
        odd = sorted(odd, key=lambda i: rows.status[i] not in ("failed", "damaged"))
        left = f" The first {MOST_TRIALS} are shown." if len(odd) > MOST_TRIALS else ""
        parts += [
            element("h3", text("Without a completed result")),
            element("p", text(f"{words}.{left}"), kind="soft"),
            _listing(folder, rows, odd[:MOST_TRIALS]),
        ]
    return parts


def _listing(folder: SweepFolder, rows: Rows, chosen: Sequence[int]) -> Html:
    """A row a trial; with reasons where there are any."""
    reasons = [_reason(folder, str(rows.name[i]), str(rows.status[i])) for i in chosen]
    cells = []
    for i, reason in zip(chosen, reasons, strict=True):
        values = (field(column[i].item()) for column in rows.columns.values())
        state, said = str(rows.status[i]).replace("_", " "), [reason] * any(reasons)
        cells.append((*values, state, _loss(rows.loss[i]), *said, str(rows.name[i])))
    headers = (*rows.columns, "state", "final loss", *(["reason"] * any(reasons)), "folder in trials/")
    found = table(headers, cells, numbers=[len(rows.columns) + 1])
    return element("div", found, kind="reasons") if any(reasons) else found


def _reason(folder: SweepFolder, name: str, state: str) -> str:
    """Why a trial has no completed result; of one that diverged without advice: the others show which rates train."""
    reason = folder.reason(folder.find(name))
    return reason.partition(";")[0] if state == "diverged" else reason


def _loss(value: float) -> str:
    return "–" if not abs(value) < float("inf") else f"{value:.5g}"
