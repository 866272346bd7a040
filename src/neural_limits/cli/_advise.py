"""`neural-limits advise`: the largest stable learning rate, and whether it transfers over widths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from ._errors import DONE
from ._options import Numbers, command_line, unset
from ._output import choose_folder
from ._progress import working
from ._show import line, table

if TYPE_CHECKING:
    from numpy import ndarray

    from .. import Advice

HEADERS = ("width", "largest stable lr", "2/λ at the start", "diverges above", "loss at the same lr")


@dataclass(frozen=True)
class Advise:
    """Find the largest stable learning rate at several widths, and say whether one rate does for all.

    Stable: lr times the leading curvature eigenvalue stays below 2 along the whole run of plain gradient
    descent. Past it training oscillates; it may still settle, or diverge.
    """

    task: Literal["toy", "digits", "fashion-mnist", "cifar10"] = "toy"
    """The data to train on."""
    classes: Annotated[Numbers, unset("N,N,...", "all ten")] = None
    """Image tasks: the classes to tell apart."""
    samples: Annotated[int | None, unset("INT", "4 for toy, 20 for images")] = None
    """Training samples."""
    data_folder: Annotated[Path | None, unset("PATH", "what NEURAL_LIMITS_DATA names")] = None
    """fashion-mnist, cifar10: the folder with the files."""

    hidden: int = 1
    """Hidden weight matrices of the network, an MLP."""
    activation: str = "tanh"
    """One of tanh, relu, gelu, erf, linear."""
    widths: Annotated[Numbers, unset("N,N,...", "128,512,2048")] = None
    """Widths to compare, increasing."""
    parametrization: Literal["mup", "ntk", "standard"] = "mup"
    """How multipliers, initial deviations and rates depend on width."""
    gamma: float = 1.0
    """Output scale: the readout is divided by it."""
    sigma_w: float = 1.0
    """Initial standard deviation of hidden weights, times the square root of the width."""

    steps: int = 20
    """Updates of each run."""
    momentum: float = 0.0
    """Of gradient descent."""
    seeds: int = 3
    """Networks at each width; errors need two or more."""
    weights: Literal["auto", "conditioned", "dense"] = "auto"
    """auto: conditioned where the width exceeds 50 times the samples."""
    dtype: Literal["float32", "float64"] = "float32"
    """Precision."""

    out: Annotated[Path | None, unset("PATH", "runs/advise-TASK-TIME")] = None
    """The folder to write to."""
    overwrite: bool = False
    """Replace the run in that folder."""

    def run(self) -> int:
        """Search, write, print."""
        import jax

        from ..reports import write_experiment_report
        from ..runs import RunFolder

        with jax.enable_x64(self.dtype == "float64"):
            search = self._prepared()
            folder = RunFolder.create(choose_folder(self.out, f"advise-{self.task}"), self.overwrite)
            with folder.recording():
                folder.update(
                    kind="advise", title=f"Learning rates on {self.task}", configuration=asdict(self),
                    command=command_line("advise", self),
                    claim="The largest stable learning rate at each width, and whether it transfers.",
                )  # fmt: skip
                with working("advise") as tell:
                    advice = search(tell)
                folder.write_dataset("data.nc", advice.data)
                folder.finish("completed", advice.message)
                page = write_experiment_report(folder)
        table("Learning rates, mean over seeds", HEADERS, rows(advice), numbers=range(len(HEADERS)))
        line(f"advice  {advice.transfers}: {advice.message}")
        line(f"report  {page}")
        return DONE

    def _prepared(self) -> Callable[[Callable[[str], None]], Advice]:
        """The search as a function of `tell`; what can be refused is refused here, before a folder is made."""
        from .. import MLP, SGD, advise_learning_rate
        from .._checks import positive_int
        from ..advice import check_widths
        from ..sweeps import Configuration, make_parametrization, make_task

        asked = Configuration(
            task=self.task, classes=self.classes, samples=self.samples, data_folder=self.data_folder,
            parametrization=self.parametrization, gamma=self.gamma, sigma_w=self.sigma_w,
        )  # fmt: skip
        network, task = MLP(self.hidden, self.activation), make_task(asked)
        parametrization = make_parametrization(asked)
        optimizer, seeds = SGD(1.0, self.momentum), range(positive_int("seeds", self.seeds))
        widths, steps = check_widths(self.widths or (128, 512, 2048)), positive_int("steps", self.steps)

        def search(tell: Callable[[str], None]) -> Advice:
            return advise_learning_rate(
                network, task, parametrization, widths=widths, steps=steps, optimizer=optimizer,
                weights=self.weights, seeds=seeds, dtype=self.dtype, progress=tell,
            )  # fmt: skip

        return search


def rows(advice: Advice) -> list[tuple[str, ...]]:
    """One row for each width: geometric means over seeds with their spread."""
    import numpy as np

    data = advice.data

    def cell(values: ndarray) -> str:
        known = values[np.isfinite(values)]
        if not len(known):
            return "–"
        spread = f" ± {np.std(np.log(known), ddof=1):.0%}" if len(known) > 1 else ""
        return f"{np.exp(np.log(known).mean()):.3g}{spread}"

    names = ("stable_lr", "naive_lr", "divergence_lr")
    return [
        (str(width), *(cell(data[name].values[i]) for name in names), cell(data.matched_loss.values[i, :, -1]))
        for i, width in enumerate(data.width.values)
    ]
