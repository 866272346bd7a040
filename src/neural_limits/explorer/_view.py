"""What every view is: checked settings, the numbers they lead to, and the code that gives the same numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from ._fields import Control

SECONDS = 60.0  # a computation estimated to take longer is refused
BYTES = 2 * 2**30
RECORDS = 9  # moments at which spectra are taken

Report = Callable[[int, int, str], None]


class Cost(NamedTuple):
    """An estimate, made before anything is computed."""

    seconds: float
    bytes: float


@dataclass(frozen=True)
class View(ABC):
    """Settings of one kind of computation. ValueError, in one line, for what is out of range or too costly.

    Every field carries its `Control`. `compute` returns a dataset with ``loss`` over step and, where the theory has
    them, ``singular_value`` and ``record_edge``, ``eigenvalue`` over record, and ``kernel`` over panel.
    """

    title: ClassVar[str]
    about: ClassVar[str]
    cheaper: ClassVar[str]  # what to lower where the cost is too high

    def __post_init__(self) -> None:
        for name, control in self.controls().items():
            object.__setattr__(self, name, control.check(name, getattr(self, name)))
        self.check()
        cost = self.cost()
        remedy = f"lower {self.cheaper}."
        if cost.bytes > BYTES:
            size = f"{cost.bytes / 2**30:.2g} GiB, more than {BYTES / 2**30:.0f}"
            raise ValueError(f"this would take about {size}; {remedy}")
        if cost.seconds > SECONDS:
            raise ValueError(f"this would take about {cost.seconds:,.0f} s, more than {SECONDS:.0f}; {remedy}")

    @classmethod
    def controls(cls) -> dict[str, Control]:
        """The control of each setting, in the order of the page."""
        return {field.name: field.metadata["control"] for field in fields(cls)}

    @classmethod
    def parse(cls, values: Mapping[str, object]) -> Self:
        """Settings from what a page sent; those left out keep their defaults. ValueError for unknown names."""
        unknown = [name for name in values if name not in cls.controls()]
        if unknown:
            raise ValueError(f"`{str(unknown[0])[:40]}` is no setting of this view.")
        return cls(**values)

    def settings(self) -> dict[str, Any]:
        """Name and value of each setting."""
        return asdict(self)

    def check(self) -> None:  # noqa: B027  # most views have nothing to add
        """ValueError for settings that do not go together."""

    @abstractmethod
    def cost(self) -> Cost:
        """How long it will take, and how much memory, roughly."""

    @abstractmethod
    def compute(self, report: Report) -> Any:
        """The numbers, as an xarray dataset with attributes ``status`` and ``message``."""

    @abstractmethod
    def code(self) -> str:
        """Python that computes the same numbers with the library."""


def records(steps: int) -> tuple[int, ...]:
    """Updates after which spectra are taken: the start, the end, and evenly between.

    >>> records(60), records(3)
    ((0, 8, 15, 22, 30, 38, 45, 52, 60), (0, 1, 2, 3))
    """
    return tuple(sorted({int(step) for step in np.linspace(0, steps, min(RECORDS, steps + 1)).round()}))
