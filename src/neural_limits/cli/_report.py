"""`neural-limits report`: figures and page again, from data alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ._errors import DONE
from ._show import line
from ._sweep import report_sweep


@dataclass(frozen=True)
class Report:
    """Rebuild the figures and the HTML page of a run, an experiment or a sweep from its data."""

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """The folder of the run or sweep."""

    def run(self) -> int:
        """Write the page; print its path."""
        from ..reports import rebuild
        from ..runs import RunFolder
        from ..sweeps import SweepFolder

        if SweepFolder.holds(self.folder):
            report_sweep(self.folder)
            return DONE
        folder = RunFolder.open(self.folder)
        page = rebuild(folder)
        line("status  " + ": ".join(filter(None, (folder.status, folder.message))))
        line(f"report  {page}")
        return DONE
