"""Errors of a command: one line on stderr, and an exit status."""

from __future__ import annotations

import sys

DONE, FAILED, USAGE = 0, 1, 2


class Failed(Exception):
    """Something went wrong that one line explains."""


def say(text: str) -> None:
    """One line on stderr, under the command's name."""
    print(f"neural-limits: {text}", file=sys.stderr)


def report_error(error: BaseException) -> int:
    """Say what went wrong and give the exit status; raises what is nobody's fault but ours."""
    from ..runs import first_line

    if isinstance(error, KeyboardInterrupt):
        say("interrupted by Ctrl-C; what was written until then is kept.")
        return FAILED
    if isinstance(error, ValueError):
        say(first_line(error))
        return USAGE
    if isinstance(error, OSError | Failed):
        say(first_line(error))
        return FAILED
    if _out_of_memory(error):
        say(f"out of memory ({first_line(error)}); lower the width, or the samples.")
        return FAILED
    raise error


def _out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)
