"""Pieces of Python source."""

from __future__ import annotations

from collections.abc import Iterable


def call(function: str, **arguments: object) -> str:
    """A call with named arguments.

    >>> call("nl.MLP", hidden=2, activation="tanh")
    'nl.MLP(hidden=2, activation="tanh")'
    """
    return f"{function}({', '.join(f'{name}={literal(value)}' for name, value in arguments.items())})"


def literal(value: object) -> str:
    """A value as it is written; text in double quotes.

    >>> literal("a"), literal(0.5), literal((1, 2))
    ('"a"', '0.5', '(1, 2)')
    """
    return f'"{value}"' if isinstance(value, str) else repr(value)


def script(lines: Iterable[str | None]) -> str:
    """The lines that are there, one under the other; None is a line left out."""
    return "\n".join(line for line in lines if line is not None) + "\n"
