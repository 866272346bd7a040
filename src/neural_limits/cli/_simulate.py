"""`neural-limits simulate`: the options of one training run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from ._options import Numbers, unset


@dataclass(frozen=True)
class Simulate:
    """Train one wide network, find the outliers of its weights, write a report.

    The network is simulated exactly in law on conditioned weights, which hold only what training touches;
    an ordinary dense network of smaller width is trained beside it to compare. Without options: a toy task
    that takes a minute.
    """

    task: Literal["toy", "digits", "fashion-mnist", "cifar10"] = "toy"
    """The data to train on."""
    classes: Annotated[Numbers, unset("N,N,...", "all ten")] = None
    """Image tasks: the classes to tell apart."""
    samples: Annotated[int | None, unset("INT", "4 for toy, 20 for images")] = None
    """Training samples. The touched rank, and with it the cost, is several times their number."""
    inputs: Annotated[int | None, unset("INT", "8")] = None
    """toy: input dimension."""
    outputs: Annotated[int | None, unset("INT", "1")] = None
    """toy: outputs."""
    data_folder: Annotated[Path | None, unset("PATH", "what NEURAL_LIMITS_DATA names")] = None
    """fashion-mnist, cifar10: the folder with the files."""

    network: Literal["mlp"] = "mlp"
    """The architecture."""
    hidden: int = 3
    """Hidden weight matrices."""
    activation: str = "tanh"
    """One of tanh, relu, gelu, erf, linear."""
    width: int = 16384
    """Neurons in each hidden layer."""
    parametrization: Literal["mup", "ntk", "standard"] = "mup"
    """How multipliers, initial deviations and rates depend on width."""
    gamma: Annotated[float | None, unset("FLOAT", "4 for toy, else 1")] = None
    """Output scale: the readout is divided by it. Larger values learn more features; at 1 the toy shows no outlier."""
    sigma_w: float = 1.0
    """Initial standard deviation of hidden weights, times the square root of the width."""

    optimizer: Literal["sgd", "adam"] = "sgd"
    """adam has no exact form on conditioned weights: use it with --weights dense."""
    lr: float = 0.3
    """Learning rate."""
    momentum: float = 0.0
    """sgd: momentum."""
    weight_decay: float = 0.0
    """Decoupled weight decay."""
    steps: int = 100
    """Updates."""
    batch: Annotated[int | None, unset("INT", "all samples")] = None
    """Mini-batch size."""
    seed: int = 0
    """Of the initial weights and the batches; the data stay the same."""

    weights: Literal["conditioned", "dense"] = "conditioned"
    """dense: train the ordinary network."""
    tolerance: Annotated[float | None, unset("FLOAT", "0.01")] = None
    """Relative size below which a new direction is not kept."""
    memory: Annotated[float | None, unset("FLOAT", "most of what is free")] = None
    """GiB that conditioned weights may grow to."""
    dtype: Literal["float32", "float64"] = "float32"
    """Precision."""
    record: Annotated[Numbers, unset("N,N,...", "about 12, geometrically spaced")] = None
    """Updates after which outliers are computed."""
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
