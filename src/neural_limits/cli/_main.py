"""From the command line to a command, and from its outcome to an exit status."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import tyro

from ._advise import Advise
from ._audit import Audit
from ._doctor import Doctor
from ._errors import DONE, FAILED, USAGE, report_error
from ._experiment import Experiment, Experiments
from ._explore import Explore
from ._report import Report
from ._simulate import Simulate
from ._sweep import Sweep

Command = (
    Annotated[Simulate, tyro.conf.subcommand("simulate")]
    | Annotated[Advise, tyro.conf.subcommand("advise")]
    | Annotated[Audit, tyro.conf.subcommand("audit")]
    | Annotated[Experiments, tyro.conf.subcommand("experiments")]
    | Annotated[Experiment, tyro.conf.subcommand("experiment")]
    | Annotated[Sweep, tyro.conf.subcommand("sweep", description="Grids of trials, resumable.")]
    | Annotated[Explore, tyro.conf.subcommand("explore")]
    | Annotated[Report, tyro.conf.subcommand("report")]
    | Annotated[Doctor, tyro.conf.subcommand("doctor")]
)

DESCRIPTION = (
    "Training dynamics of infinitely wide networks, the spectra of their weights, and learning rates. "
    "`neural-limits --version` prints the version."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit status: 0 done, 1 failed, 2 bad usage."""
    for stream in (sys.stdout, sys.stderr):  # a name or symbol that a terminal cannot show is no failure
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments == ["--version"]:
        from .. import __version__

        print(f"neural-limits {__version__}")
        return DONE
    try:
        command = tyro.cli(Command, prog="neural-limits", description=DESCRIPTION, args=arguments, config=CONFIG)
        return command.run()
    except SystemExit as request:  # tyro: help (0) or a parse error (2)
        return request.code if isinstance(request.code, int) else USAGE
    except BrokenPipeError:  # the reader went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (Exception, KeyboardInterrupt) as error:
        return report_error(error)


CONFIG = (tyro.conf.FlagCreatePairsOff,)
