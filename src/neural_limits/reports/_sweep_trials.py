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
    cells = []
    for i in chosen:
        values = (field(column[i].item()) for column in rows.columns.values())
        name, state = str(rows.name[i]), str(rows.status[i])
        cells.append((*values, state.replace("_", " "), _loss(rows.loss[i]), folder.reason(folder.find(name)), name))
    headers = (*rows.columns, "state", "final loss", "reason", "folder in trials/")
    return table(headers, cells, numbers=[len(rows.columns) + 1])


def _loss(value: float) -> str:
    return "–" if not abs(value) < float("inf") else f"{value:.5g}"
