"""The page of whatever a folder holds."""

from __future__ import annotations

from pathlib import Path

from ..runs import RunFolder
from ._experiment_page import write_experiment_report
from ._run_page import write_report


def rebuild(folder: RunFolder) -> Path:
    """Write a folder's page again from its files, be it an experiment's or a run's; the page's path."""
    write = write_experiment_report if folder.info().get("kind") in ("experiment", "advise") else write_report
    return write(folder)
