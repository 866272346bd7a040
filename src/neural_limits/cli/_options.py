"""Kinds of options: lists of numbers with commas."""

from __future__ import annotations

import shlex
from dataclasses import fields
from typing import Annotated, Any

import tyro
from tyro.constructors import PrimitiveConstructorSpec


def parse_numbers(text: str) -> tuple[int, ...]:
    """Whole numbers from text with commas; ValueError saying what was expected.

    >>> parse_numbers("0,1,5")
    (0, 1, 5)
    """
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"expected whole numbers with commas, such as 0,1,5; got {text!r}.") from None


_NUMBERS = PrimitiveConstructorSpec(
    nargs=1,
    metavar="N,N,...",
    instance_from_str=lambda words: parse_numbers(words[0]),
    is_instance=lambda value: value is None or isinstance(value, tuple),
    str_from_instance=lambda value: ["none" if value is None else ",".join(map(str, value))],
)


def unset(metavar: str, default: str) -> Any:
    """How the help shows an option that is None until it is given: what stands in for it."""
    return tyro.conf.arg(metavar=metavar, help_behavior_hint=f"(default: {default})")


Numbers = Annotated[tuple[int, ...] | None, _NUMBERS]


def command_line(
    name: str, options: Any, *, leave_out: tuple[str, ...] = ("out", "overwrite"), first: tuple[Any, ...] = ()
) -> str:
    """The command that sets every option of a dataclass to its present value, defaults too.

    Defaults may change between versions; a command with all options does not. ``first``: positional arguments.
    """
    words = ["neural-limits", name, *map(str, first)]
    for field in fields(options):
        value = getattr(options, field.name)
        flag = isinstance(field.default, bool)
        if field.name in leave_out or value is None or (flag and not value):
            continue
        words.append("--" + field.name.replace("_", "-"))
        if isinstance(value, tuple):
            words.append(",".join(map(str, value)))
        elif not flag:
            words.append(str(value))
    return shlex.join(words)
