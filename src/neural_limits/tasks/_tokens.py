"""CIFAR-10's python batches without unpickling: their tokens are read as data, and nothing is ever run.

A pickle is a program; loading one runs what its author wrote. Here ``pickletools.genops`` splits it into
tokens, and a small interpreter follows only those that build dictionaries, lists, numbers, strings and the
bytes of a NumPy array. Names of functions are compared with a short list and never looked up; any other name
or token is refused.
"""

from __future__ import annotations

import pickletools
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, UInt8

PIXELS = 3072  # 32 x 32, three colours

_RECONSTRUCT = ("numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct")
_ENCODE = "_codecs encode"  # how Python 3 writes bytes under protocol 2
_NAMES = (*_RECONSTRUCT, _ENCODE, "numpy ndarray", "numpy dtype")
_NUMBERS = ("BININT", "BININT1", "BININT2")
_STRINGS = ("SHORT_BINSTRING", "BINSTRING", "BINUNICODE", "SHORT_BINBYTES", "BINBYTES")
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_PUTS, _GETS = ("BINPUT", "LONG_BINPUT"), ("BINGET", "LONG_BINGET")
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Name(NamedTuple):
    """A name the file mentions; only ever compared."""

    text: str


class _Built:
    """What the file says to construct: the name, its arguments, and the state set afterwards."""

    def __init__(self, name: str, arguments: tuple[Any, ...]) -> None:
        self.name, self.arguments = name, arguments
        self.state: Any = None


class _Refused(ValueError):
    """The tokens are not those of a CIFAR-10 batch."""


def read_batch(content: bytes, source: str) -> tuple[UInt8[np.ndarray, "k 3072"], Int[np.ndarray, " k"]]:
    """Pixels and labels of one python batch, a dictionary with keys ``data`` and ``labels``.

    pixels[i] holds 1024 red, 1024 green and 1024 blue values, row by row.

    ``source`` names the file in errors. ValueError where the bytes are anything but a dictionary with one
    array of unsigned bytes (k, 3072) and one list of k labels. Cost: about 0.1 s for 10000 images.

    Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images (2009); Python's pickletools.
    """
    try:
        batch = _follow(content)
        return _pixels(batch), _labels(batch)
    except _Refused as reason:
        raise ValueError(f"{source} is not a CIFAR-10 python batch: {reason}; fetch the archive again.") from None


def _follow(content: bytes) -> dict[str, Any]:
    """The dictionary that the tokens describe, its keys as text."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}
    try:
        for token, argument, _ in pickletools.genops(content):
            if token.name == "STOP":
                break
            _step(token.name, argument, stack, marks, memo)
    except _Refused:
        raise
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise _Refused(f"its tokens do not fit together ({error or type(error).__name__})") from None
    if len(stack) != 1 or not isinstance(stack[0], dict):
        raise _Refused("it does not hold one dictionary")
    return stack[0]


def _step(token: str, argument: Any, stack: list[Any], marks: list[int], memo: dict[int, Any]) -> None:
    """Follow one token."""
    if token in _NUMBERS or token in _STRINGS:
        stack.append(argument)
    elif token in _PUTS:
        memo[argument] = stack[-1]
    elif token in _GETS:
        stack.append(memo[argument])
    elif token in _CONSTANTS:
        stack.append(_CONSTANTS[token])
    elif token == "MARK":
        marks.append(len(stack))
    elif token in ("EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE"):
        stack.append({"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}[token]())
    elif token in _TUPLES:
        stack.append(tuple(_taken(stack, len(stack) - _TUPLES[token])))
    elif token == "TUPLE":
        stack.append(tuple(_taken(stack, marks.pop())))
    elif token in ("APPEND", "APPENDS"):
        values = _taken(stack, len(stack) - 1 if token == "APPEND" else marks.pop())
        _expect(stack[-1], list).extend(values)
    elif token in ("SETITEM", "SETITEMS"):
        values = _taken(stack, len(stack) - 2 if token == "SETITEM" else marks.pop())
        _set_items(_expect(stack[-1], dict), values)
    elif token == "GLOBAL":
        if argument not in _NAMES:
            raise _Refused(f"it names {argument[:60]!r}, which no such file does")
        stack.append(_Name(argument))
    elif token == "REDUCE":
        name, arguments = _taken(stack, len(stack) - 2)
        stack.append(_built(_expect(name, _Name).text, _expect(arguments, tuple)))
    elif token == "BUILD":
        (state,) = _taken(stack, len(stack) - 1)
        _expect(stack[-1], _Built).state = state
    elif token != "PROTO":
        raise _Refused(f"it has the token {token}, which no such file has")


def _taken(stack: list[Any], start: int) -> list[Any]:
    """Everything from a height of the stack upwards, removed from it."""
    if not 0 <= start <= len(stack):
        raise _Refused("its tokens do not fit together")
    values = stack[start:]
    del stack[start:]
    return values


def _expect(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise _Refused(f"a {kind.__name__} was expected where it has a {type(value).__name__}")
    return value


def _set_items(target: dict[str, Any], values: list[Any]) -> None:
    for key, value in zip(values[::2], values[1::2], strict=True):
        text = key.decode("latin-1") if isinstance(key, bytes) else _expect(key, str)
        if text in target:
            raise _Refused(f"it has the key {text[:60]!r} twice")
        target[text] = value


def _built(name: str, arguments: tuple[Any, ...]) -> Any:
    """Bytes where the file spells them as text; otherwise a note of what was to be built."""
    if name == _ENCODE:
        text, encoding = arguments
        if encoding != "latin1":
            raise _Refused("it has text in another encoding than latin1")
        return _bytes(_expect(text, str))
    return _Built(name, arguments)


def _bytes(value: Any) -> bytes:
    """Bytes as they are, or written as text of one character a byte (Python 2's strings)."""
    try:
        return value.encode("latin-1") if isinstance(value, str) else _expect(value, bytes)
    except UnicodeEncodeError:
        raise _Refused("it has text where bytes belong") from None


def _pixels(batch: dict[str, Any]) -> UInt8[np.ndarray, "k 3072"]:
    """The array under ``data``: state (version, shape, type, Fortran order, bytes)."""
    array = batch.get("data")
    if not isinstance(array, _Built) or array.name not in _RECONSTRUCT or not isinstance(array.state, tuple):
        raise _Refused("it has no array under the key 'data'")
    if len(array.state) != 5:
        raise _Refused("its array is not written as NumPy writes arrays")
    _, shape, kind, fortran, values = array.state
    if not isinstance(kind, _Built) or kind.name != "numpy dtype" or kind.arguments[:1] not in (("u1",), (b"u1",)):
        raise _Refused("its array is not one of unsigned bytes")
    values = _bytes(values)
    if not _is_image_shape(shape) or len(values) != shape[0] * PIXELS:
        raise _Refused(f"its array is not of shape (k, {PIXELS}) with {PIXELS} bytes an image")
    return np.frombuffer(values, dtype=np.uint8).reshape(shape, order="F" if fortran else "C")


def _is_image_shape(shape: Any) -> bool:
    return isinstance(shape, tuple) and len(shape) == 2 and all(type(n) is int for n in shape) and shape[1] == PIXELS


def _labels(batch: dict[str, Any]) -> Int[np.ndarray, " k"]:
    labels = batch.get("labels")
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise _Refused("it has no list of whole numbers under the key 'labels'")
    if len(labels) != batch["data"].state[1][0]:
        raise _Refused(f"it has {batch['data'].state[1][0]} images and {len(labels)} labels")
    return np.array(labels, dtype=np.int64)
