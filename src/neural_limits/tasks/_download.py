"""Fetch one file from its official address, verified before it gets its name."""

from __future__ import annotations

import hashlib
import os
import tempfile
import urllib.request
from pathlib import Path
from typing import BinaryIO

from rich.console import Console
from rich.progress import wrap_file

TIMEOUT = 60.0  # seconds without an answer
BLOCK = 2**20


def fetch(address: str, target: Path, md5: str) -> Path:
    """Write what the address serves to ``target``, if its MD5 is the one published; the target's path.

    The file is written under a temporary name in the same folder (made where it is missing), then renamed,
    so that a half-fetched file never bears the name. ConnectionError where the address does not answer,
    ValueError for another checksum; neither leaves a file. Progress on a terminal. Cost: the transfer.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f"{target.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            found = _transfer(address, file)
        if found != md5:
            raise ValueError(f"{address} gave a file with MD5 {found}, not {md5}; try again, or fetch it by hand.")
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return target


def _transfer(address: str, file: BinaryIO) -> str:
    """Copy the address's content to the file; its MD5 in hexadecimal."""
    digest = hashlib.md5(usedforsecurity=False)
    console = Console(stderr=True)
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT) as response:
            size = int(response.headers.get("Content-Length") or 0)
            with wrap_file(
                response,
                size,
                description=f"fetching {address.rsplit('/', 1)[-1]}",
                console=console,
                disable=not console.is_terminal,
            ) as source:
                while block := source.read(BLOCK):
                    digest.update(block)
                    file.write(block)
    except OSError as error:  # URLError and timeouts are OSErrors
        reason = getattr(error, "reason", error)
        raise ConnectionError(
            f"{address} could not be fetched ({reason}); fetch it by hand and pass folder=."
        ) from None
    return digest.hexdigest()
