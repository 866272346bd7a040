"""Argument checks: one clear line naming the argument, its value and the remedy."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from difflib import get_close_matches


def positive_int(name: str, value: object, *, least: int = 1) -> int:
    """The value as an int of at least ``least``; ValueError naming ``name`` otherwise.

    >>> positive_int("width", 64)
    64
    """
    try:
        number = operator.index(value)  # type: ignore[arg-type]  # refuses floats, accepts NumPy integers
    except TypeError:
        raise ValueError(f"`{name}` must be a whole number; got {value!r}.") from None
    if isinstance(value, bool) or number < least:
        raise ValueError(f"`{name}` must be at least {least}; got {value!r}.")
    return number


def positive_float(name: str, value: object, *, zero: bool = False) -> float:
    """The value as a finite float above zero (or at zero, with ``zero=True``); ValueError otherwise."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ValueError(f"`{name}` must be a number; got {value!r}.") from None
    if not math.isfinite(number) or number < 0 or (number == 0 and not zero):
        raise ValueError(f"`{name}` must be {'zero or ' if zero else ''}positive and finite; got {value!r}.")
    return number


def one_of(name: str, value: object, known: Iterable[str]) -> str:
    """The value if it is among ``known``; ValueError naming the known ones (and the nearest) otherwise."""
    known = tuple(known)
    if value in known:
        return str(value)
    near = get_close_matches(str(value), known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"`{name}` must be one of {', '.join(map(repr, known))}; got {value!r}.{hint}")
