"""Text as numbers: one for each different character."""

from __future__ import annotations

import lzma
import math
import os
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from jaxtyping import Int

from .._checks import positive_int

SHIPPED = "king-james"  # see texts/README.md
LEAST = 1000  # characters; the smallest text of which a tenth still holds a window


@dataclass(frozen=True, eq=False, kw_only=True)
class Text:
    """A text as symbols: ``train`` and, behind it in the text, ``validation``; symbol i is ``alphabet[i]``."""

    name: str
    alphabet: str
    train: Int[np.ndarray, " N"]
    validation: Int[np.ndarray, " M"]

    @property
    def symbols(self) -> int:
        """How many different characters."""
        return len(self.alphabet)

    def decode(self, symbols: Int[np.ndarray, " k"]) -> str:
        """The characters of symbols."""
        return "".join(self.alphabet[i] for i in symbols)

    def encode(self, characters: str) -> Int[np.ndarray, " k"]:
        """The symbols of characters; ValueError for one that the text has not."""
        unknown = sorted(set(characters) - set(self.alphabet))
        if unknown:
            raise ValueError(f"`characters` must be of the text's alphabet; got {unknown[0]!r}.")
        number = {character: i for i, character in enumerate(self.alphabet)}
        return np.array([number[c] for c in characters], dtype=np.int64)

    def windows(
        self, count: int, length: int, seed: int | tuple[int, ...], *, part: str = "train"
    ) -> Int[np.ndarray, "count length"]:
        """``count`` windows of ``length`` symbols that start anywhere; the same for the same ``seed``.

        ValueError where ``part`` ("train" or "validation") is shorter than a window.
        """
        if part not in ("train", "validation"):
            raise ValueError(f"`part` must be 'train' or 'validation'; got {part!r}.")
        symbols = self.train if part == "train" else self.validation
        if positive_int("length", length) > len(symbols):
            raise ValueError(f"`length` must be at most {len(symbols)}, all of the {part} part; got {length}.")
        starts = np.random.default_rng(seed).integers(0, len(symbols) - length + 1, positive_int("count", count))
        return symbols[starts[:, None] + np.arange(length)]


def text(path: str | os.PathLike[str] | None = None, validation: float = 0.1) -> Text:
    """A text as numbers, to predict the next character: your UTF-8 file, or the one that comes along.

    symbol i = i-th of the text's different characters in order of code point

    ``path``: any file in UTF-8, its line ends read as "\\n"; None for the New Testament in the King James Version
    (1611, public domain; 0.95 million characters, 63 different). ``validation``: the share at the end that is kept
    out of ``train``. FileNotFoundError for a missing file; ValueError for one that is not UTF-8, is shorter than
    1000 characters or has one character only, or for a share not in (0, 0.5]. Cost: a tenth of a second.

    >>> found = text()
    >>> len(found.train) + len(found.validation), found.symbols
    (949738, 63)
    >>> found.decode(found.train[:51])
    'The book of the generation of Jesus Christ, the son'
    >>> text("no-such-file.txt")
    Traceback (most recent call last):
    FileNotFoundError: `path` must name a text file; there is no file no-such-file.txt.
    """
    if not (isinstance(validation, int | float) and math.isfinite(validation) and 0 < validation <= 0.5):
        raise ValueError(f"`validation` must be in (0, 0.5]; got {validation!r}.")
    name, characters = (SHIPPED, _shipped()) if path is None else (Path(path).stem, _read(Path(path).expanduser()))
    codes = np.frombuffer(characters.encode("utf-32-le"), dtype=np.uint32)
    alphabet, symbols = np.unique(codes, return_inverse=True)
    if len(alphabet) < 2:
        raise ValueError(f"{path} must have at least two different characters; it has {len(alphabet)}.")
    symbols = symbols.astype(np.int64)
    symbols.setflags(write=False)
    cut = len(symbols) - round(validation * len(symbols))
    return Text(name=name, alphabet="".join(map(chr, alphabet)), train=symbols[:cut], validation=symbols[cut:])


def _shipped() -> str:
    packed = files(__package__).joinpath("texts", f"{SHIPPED}.txt.xz").read_bytes()
    return lzma.decompress(packed).decode()


def _read(path: Path) -> str:
    if path.is_dir():
        raise ValueError(f"`path` must name a text file; {path} is a folder.")
    try:
        characters = path.read_bytes().decode("utf-8-sig")  # without a byte order mark
    except FileNotFoundError:
        raise FileNotFoundError(f"`path` must name a text file; there is no file {path}.") from None
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} must be UTF-8; its byte {error.start} is not: convert it, as with `iconv -t utf-8`."
        ) from None
    if len(characters) < LEAST:
        raise ValueError(f"{path} must have at least {LEAST} characters; it has {len(characters)}.")
    return characters.replace("\r\n", "\n").replace("\r", "\n")
