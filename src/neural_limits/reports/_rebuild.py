"""The page of whatever a folder holds."""

from __future__ import annotations

from pathlib import Path

from ..runs import RunFolder
from ._audit_page import write_audit_report
from ._experiment_page import write_experiment_report
from ._run_page import write_report

PAGES = {"experiment": write_experiment_report, "advise": write_experiment_report, "audit": write_audit_report}


def rebuild(folder: RunFolder) -> Path:
    """Write a folder's page again from its files, be it an experiment's, an audit's or a run's; the page's path."""
    return PAGES.get(folder.info().get("kind", ""), write_report)(folder)
