"""Errors in one line."""

from __future__ import annotations


def first_line(error: BaseException) -> str:
    """What an error says, in one line.

    >>> first_line(ValueError("bad width"))
    'bad width'
    >>> first_line(KeyboardInterrupt())
    'KeyboardInterrupt'
    """
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    name = getattr(error, "filename", None)
    lines = text.splitlines() or [type(error).__name__]
    return f"{lines[0]}: {name}" if name else lines[0]
