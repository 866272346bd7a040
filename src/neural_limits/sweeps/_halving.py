"""Successive halving: all points on a small budget of steps or seeds, the better ones on the next larger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._checks import one_of, positive_float, positive_int
from ._configuration import Configuration, name_of

if TYPE_CHECKING:
    from ._request import Request

OVER = ("steps", "seed")


def check_halving(table: Mapping[str, Any]) -> None:
    """ValueError unless ``over``, a growing ``ladder`` and perhaps ``keep`` in (0, 1) are there."""
    for name in table:
        one_of("entry of [halving]", name, ("over", "ladder", "keep"))
    one_of("over", table.get("over"), OVER)
    ladder = table.get("ladder")
    if not isinstance(ladder, list | tuple) or len(ladder) < 2:
        raise ValueError(f"`ladder` must be a list of at least two budgets; got {ladder!r}.")
    numbers = [positive_int("ladder", budget) for budget in ladder]
    if numbers != sorted(set(numbers)):
        raise ValueError(f"`ladder` must grow; got {ladder!r}.")
    if "keep" in table and not 0 < positive_float("keep", table["keep"]) < 1:
        raise ValueError(f"`keep` must lie in (0, 1); got {table['keep']!r}.")


def rungs(request: Request, points: Sequence[dict[str, Any]], losses: Mapping[str, float]) -> list[Configuration]:
    """The trials of every rung that results decide: a rung is decided once all trials of the one before have ended.

    Points that differ in their seed alone stand or fall together, by their mean loss; of equals the first stays.
    """
    table = request.halving
    over, ladder = table["over"], list(table["ladder"])
    first = int(request.base.get("seed", 0))
    groups: dict[str, list[dict[str, Any]]] = {}
    for point in points:
        groups.setdefault(repr({k: v for k, v in point.items() if k != "seed"}), []).append(point)
    alive, found = [*groups.values()], []
    for i, budget in enumerate(ladder):
        values = [budget] if over == "steps" else range(first, first + budget)
        trials = [[request.configuration(p | {over: v}) for p in group for v in values] for group in alive]
        found += [trial for group in trials for trial in group]
        scores = [_score(group, losses) for group in trials]
        if None in scores or i + 1 == len(ladder):
            break
        keep = max(1, int(len(alive) * table.get("keep", budget / ladder[i + 1]) + 1e-9))
        best = np.argsort(np.array(scores, float), kind="stable")[:keep]
        alive = [alive[j] for j in sorted(best)]
    return [*{name_of(trial.canonical()): trial for trial in found}.values()]


def _score(trials: Sequence[Configuration], losses: Mapping[str, float]) -> float | None:
    """Mean final loss, inf where one diverged; None as long as one is missing."""
    found = [losses.get(name_of(trial.canonical())) for trial in trials]
    known = [loss for loss in found if loss is not None]
    return float(np.mean(np.nan_to_num(known, nan=np.inf))) if len(known) == len(found) else None
