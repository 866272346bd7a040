"""What the singular values of a trained weight say, as fields and in words; filled in by ``diagnose``."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from numpy import ndarray

MEANING = {
    "unchanged": "the untrained law",
    "rescaled": "the untrained law at another scale",
    "deformed": "not noise of any scale",
    "undeformed": "noise of some scale, the initial one not given",
}


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """Bulk and outliers of one weight; built by ``diagnose``. Singular values and edges are in operator norm.

    From the initialisation (None without ``init_std``): ``edge`` of the untrained bulk; ``threshold`` that noise
    passes with probability ``false_alarm``; ``outliers`` above it, largest first; their ``count``; ``changed_rank``,
    the least rank of a change that takes the untrained spectrum to this one.

    From the bulk itself (None unless all of at least 30 singular values were given):

    * ``bulk``: "unchanged" if it follows the untrained law, "rescaled" if it follows it at another scale, "deformed" if
      at none; "undeformed" if at some scale, the initial one not given.
    * ``bulk_std``, ``bulk_std_error``: scale of its central values as a standard deviation of entries;
      ``bulk_shift`` = bulk_std/init_std − 1, ``bulk_shift_error``; ``quantile_shifts`` at .1, .25, .5, .75, .9.
    * ``bulk_distance``: Kolmogorov-Smirnov distance from the untrained law, ``shape_distance`` from the fitted one.
    * ``bulk_shift_level``, ``bulk_level``, ``shape_level``: what noise passes with probability ``false_alarm`` (half of
      it in the first two), plus what the outliers may add to it. "unchanged" is below the first two, "deformed"
      above the third.
    * ``bulk_edge``, ``bulk_threshold``: of the bulk as it is now; None if deformed, as there is no law then.
    * ``separated``: how many values stand above that threshold; if deformed, above the lowest wide gap.
    * ``gap``: how many stand above the lowest wide gap in any case, 0 if there is none.

    ``stable_rank`` Σ s²/max s², ``untrained_stable_rank`` its value at the start, ``outlier_energy`` the share of Σ s²
    that the ``separated`` values (the ``outliers``, if the bulk is unknown) hold; None for a part of the values.
    """

    shape: tuple[int, int]
    singular_values: Float[ndarray, " k"]
    init_std: float | None
    false_alarm: float
    edge: float | None = None
    threshold: float | None = None
    outliers: Float[ndarray, " count"] | None = None
    count: int | None = None
    changed_rank: int | None = None
    bulk: str | None = None
    bulk_std: float | None = None
    bulk_std_error: float | None = None
    bulk_shift: float | None = None
    bulk_shift_error: float | None = None
    bulk_shift_level: float | None = None
    quantile_shifts: tuple[float, ...] | None = None
    bulk_distance: float | None = None
    bulk_level: float | None = None
    shape_distance: float | None = None
    shape_level: float | None = None
    bulk_edge: float | None = None
    bulk_threshold: float | None = None
    separated: int | None = None
    gap: int | None = None
    stable_rank: float | None = None
    untrained_stable_rank: float | None = None
    outlier_energy: float | None = None

    @property
    def complete(self) -> bool:
        """All min(rows, columns) singular values were given, not the largest alone."""
        return len(self.singular_values) == min(self.shape)

    def __str__(self) -> str:
        lines = [_head(self), *_start_lines(self), *_bulk_lines(self)]
        if self.complete:
            lines.append(
                f"stable rank: {self.stable_rank:.3g}, untrained {self.untrained_stable_rank:.3g}; "
                f"outliers hold {self.outlier_energy:.2%} of the energy"
            )
        return "\n".join(lines)


def _head(found: Diagnosis) -> str:
    given = "all" if found.complete else "the largest"
    std = "unknown initial std" if found.init_std is None else f"initial std {found.init_std:.4g}"
    return f"{found.shape[0]} x {found.shape[1]} weight, {given} {len(found.singular_values)} singular values, {std}"


def _start_lines(found: Diagnosis) -> list[str]:
    if found.outliers is None:
        return []
    # Of a list cut short, all may lie above.
    least = "at least " if not found.complete and found.count == len(found.singular_values) else ""
    values = ", ".join(f"{value:.4g}" for value in found.outliers[:5]) + (", ..." if len(found.outliers) > 5 else "")
    return [
        f"from the start: {least}{found.count} above {found.threshold:.4g} (edge {found.edge:.4g}, "
        f"false alarms {found.false_alarm:g})" + (f": {values}" if values else ""),
    ]


def _bulk_lines(found: Diagnosis) -> list[str]:
    if found.bulk is None:
        return ["bulk: unknown, it takes all of at least 30 singular values"]
    lines = [f"bulk: {found.bulk}, {MEANING[found.bulk]}"]
    if found.bulk_shift is not None:
        lines.append(
            f"  scale {found.bulk_shift:+.2%} (standard error {found.bulk_shift_error:.2%}, "
            f"level {found.bulk_shift_level:.2%}), distance {found.bulk_distance:.4f} (level {found.bulk_level:.4f}) "
            "from the untrained law"
        )
    lines.append(
        f"  std {found.bulk_std:.4g}, distance {found.shape_distance:.4f} (level {found.shape_level:.4f}) at that scale"
    )
    where = "a gap" if found.bulk_threshold is None else f"its present level {found.bulk_threshold:.4g}"
    lines.append(f"  {found.separated} separated from it by {where}")
    return lines
