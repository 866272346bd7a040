"""Pieces of Python source."""

from __future__ import annotations

from collections.abc import Iterable


def call(function: str, *, fold: bool = False, **arguments: object) -> str:
    """A call with named arguments; ``fold`` puts each on a line of its own.

    >>> call("nl.MLP", hidden=2, activation="tanh")
    'nl.MLP(hidden=2, activation="tanh")'
    """
    given = [f"{name}={literal(value)}" for name, value in arguments.items()]
    if fold:
        return "\n".join([f"{function}(", *(f"    {each}," for each in given), ")"])
    return f"{function}({', '.join(given)})"


class Name(str):
    """Text that stands for a variable."""


def literal(value: object) -> str:
    """A value as it is written; text in double quotes.

    >>> literal("a"), literal(Name("a")), literal(0.5)
    ('"a"', 'a', '0.5')
    """
    return f'"{value}"' if isinstance(value, str) and not isinstance(value, Name) else str(value)


def script(lines: Iterable[str | None]) -> str:
    """The lines that are there, one under the other; None is a line left out."""
    return "\n".join(line for line in lines if line is not None) + "\n"
