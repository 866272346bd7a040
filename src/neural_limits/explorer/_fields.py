"""The controls of a view: a setting's label, its range, and one line for what lies outside it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

from .._checks import one_of


@dataclass(frozen=True)
class Control(ABC):
    """What the page shows for one setting, and what it accepts."""

    label: str
    hint: str = ""

    @abstractmethod
    def check(self, name: str, value: object) -> Any:
        """The value in its type; ValueError in one line otherwise."""


@dataclass(frozen=True)
class Number(Control):
    """A number from ``low`` to ``high``, typed as text."""

    low: float = 0.0
    high: float = 1.0
    whole: bool = False

    def check(self, name: str, value: object) -> int | float:
        """
        >>> Number("width", low=1, high=64, whole=True).check("width", "65")
        Traceback (most recent call last):
        ValueError: `width` must be a whole number from 1 to 64; got '65'.
        """
        kind = "a whole number" if self.whole else "a number"
        wrong = ValueError(f"`{name}` must be {kind} from {self.low:,.10g} to {self.high:,.10g}; got {_short(value)}.")
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise wrong
        try:
            number = float(value)
        except (ValueError, OverflowError):
            raise wrong from None
        if not (math.isfinite(number) and self.low <= number <= self.high) or (self.whole and number % 1):
            raise wrong
        return int(number) if self.whole else number


@dataclass(frozen=True)
class Choice(Control):
    """One of a few values, each under a label."""

    options: tuple[tuple[str, str], ...] = ()

    def check(self, name: str, value: object) -> str:
        """The value, if it is one of the options."""
        return one_of(name, value if isinstance(value, str) and len(value) < 50 else _short(value), dict(self.options))


def number(default: float, low: float, high: float, label: str, hint: str = "") -> Any:
    """A dataclass field with a `Number`: whole where the default is an int."""
    control = Number(label, hint, low, high, whole=isinstance(default, int))
    return field(default=default, metadata={"control": control})


def choice(default: str, options: tuple[str, ...] | dict[str, str], label: str, hint: str = "") -> Any:
    """A dataclass field with a `Choice`."""
    pairs = options.items() if isinstance(options, dict) else zip(options, options, strict=True)
    return field(default=default, metadata={"control": Choice(label, hint, tuple(pairs))})


def _short(value: object) -> str:
    """How a value is shown in an error: one line, never long."""
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
