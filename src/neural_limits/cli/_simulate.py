"""`neural-limits simulate`: the options of one training run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from ..sweeps import Configuration
from ._options import Numbers, unset


@dataclass(frozen=True)
class Simulate(Configuration):
    """Train one wide network, find the outliers of its weights, write a report.

    The network is simulated exactly in law on conditioned weights, which hold only what training touches;
    an ordinary dense network of smaller width is trained beside it to compare. Without options: a toy task
    that takes a minute.
    """

    # Fields of `Configuration` again, for how the command shows and reads them.
    classes: Annotated[Numbers, unset("N,N,...", "all ten")] = None
    samples: Annotated[int | None, unset("INT", "4 for toy, 20 for images")] = None
    inputs: Annotated[int | None, unset("INT", "8")] = None
    outputs: Annotated[int | None, unset("INT", "1")] = None
    data_folder: Annotated[Path | None, unset("PATH", "what NEURAL_LIMITS_DATA names")] = None
    hidden: Annotated[int | None, unset("INT", "3")] = None
    depth: Annotated[int | None, unset("INT", "8")] = None
    block: Annotated[Literal["one-layer", "two-layer"] | None, unset("{one-layer,two-layer}", "one-layer")] = None
    gamma: Annotated[float | None, unset("FLOAT", "4 for toy, else 1")] = None
    momentum: Annotated[float | None, unset("FLOAT", "0.95 for muon, else 0")] = None
    nesterov: Annotated[bool | None, unset("{True,False}", "True for muon, else False")] = None
    batch: Annotated[int | None, unset("INT", "all samples")] = None
    tolerance: Annotated[float | None, unset("FLOAT", "0.01; for muon 0.001")] = None
    memory: Annotated[float | None, unset("FLOAT", "most of what is free")] = None
    record: Annotated[Numbers, unset("N,N,...", "about 12, geometrically spaced")] = None

    devices: Annotated[int | None, unset("N", "1")] = None
    """Devices to cut the width over; the dense network beside it stays on one."""

    curvature: bool = False
    """Record the leading curvature eigenvalues (Gauss-Newton and Hessian) of this run at the same updates."""
    dense_width: Annotated[int | None, unset("INT", "1024, or less")] = None
    """Width of the dense network beside conditioned weights, 0 for none. With --parametrization standard,
    where widths do not compare, the default is the width itself up to 4096, beyond it none."""

    out: Annotated[Path | None, unset("PATH", "runs/TASK-NETWORK-wWIDTH-TIME")] = None
    """The folder to write to."""
    overwrite: bool = False
    """Replace the run in that folder."""

    def run(self) -> int:
        """Train, write, print."""
        from ._simulation import simulate

        return simulate(self)
