"""The command `neural-limits`."""

from ._main import main as main
