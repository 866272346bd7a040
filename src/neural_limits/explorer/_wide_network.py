"""The view of a wide network: trained on conditioned weights, or dense ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ._code import call, script
from ._fields import choice, number
from ._view import BYTES, Cost, Report, View, records

if TYPE_CHECKING:
    import xarray as xr

    from ..networks import Network, Parameters
    from ..parametrizations import Parametrization
    from ..tasks import Task

PARAMETRIZATIONS = {"mup": "muP", "depth-mup": "depth-muP", "ntk": "NTK", "standard": "standard"}
CLASSES = {"mup": "MuP", "depth-mup": "DepthMuP", "ntk": "NTK", "standard": "Standard"}
DIGITS = (3, 8)  # two classes: one output, so that the tangent kernel is one backward pass
TOUCHED = 30  # directions a sample adds over a run, both sides together (benchmarks/touched_rank.py)
START_SECONDS = 4.0  # compilation, and the spectra of a small run
SCAN_SECONDS = 30.0  # more for residual networks on conditioned weights: seen, on a busy machine, not explained
RATE = 1.5e9  # multiplications a second, seen on two cores


@dataclass(frozen=True)
class WideNetwork(View):
    """One training run of an MLP or a residual network."""

    title: ClassVar[str] = "Wide network"
    about: ClassVar[str] = (
        "One network trained by full-batch gradient descent. Conditioned weights have exactly the law of the ordinary "
        "network of that width, without a weight matrix; dense weights are the ordinary network."
    )
    cheaper: ClassVar[str] = "`width`, `samples`, `depth` or `steps`"

    task: str = choice("toy", {"toy": "toy, 8 inputs", "digits": "digits, 3 or 8"}, "Task")
    samples: int = number(4, 2, 64, "Samples", "P")
    network: str = choice("mlp", {"mlp": "fully connected", "resnet": "residual"}, "Network")
    depth: int = number(2, 1, 64, "Depth", "hidden matrices or blocks, L")
    activation: str = choice("tanh", ("tanh", "relu", "gelu", "erf", "linear"), "Activation")
    width: int = number(16384, 16, 1_000_000, "Width", "neurons a layer, n")
    weights: str = choice("conditioned", ("conditioned", "dense"), "Weights")
    parametrization: str = choice("mup", PARAMETRIZATIONS, "Parametrization")
    gamma: float = number(4.0, 0.01, 100.0, "Output scale", "γ, larger learns more")
    sigma_w: float = number(1.0, 0.05, 5.0, "Initial deviation", "σ_w of hidden weights")
    lr: float = number(0.3, 1e-6, 1e4, "Learning rate", "η")
    steps: int = number(40, 1, 500, "Steps", "updates")
    seed: int = number(0, 0, 2**31 - 1, "Seed")

    def check(self) -> None:
        if self.network == "mlp" and self.depth > 12:
            raise ValueError(f"`depth` of a fully connected network must be at most 12 here; got {self.depth}.")
        if self.network == "mlp" and self.parametrization == "depth-mup":
            raise ValueError("`parametrization` depth-mup scales residual blocks; choose the residual network, or muP.")

    def cost(self) -> Cost:
        matrix = self.width if self.weights == "dense" else min(TOUCHED, 4 * self.steps + 4) * self.samples
        held = self.depth * self.width * matrix * 4.0
        work = held / 4 * self.samples * (self.steps + 4 * len(records(self.steps)))
        copies = 3 if self.weights == "dense" else 4  # growing, and the looks of the spectra
        scanned = SCAN_SECONDS if self.network == "resnet" and self.weights == "conditioned" else 0.0
        return Cost(START_SECONDS + scanned + work / RATE, copies * held)

    @property
    def _task_options(self) -> dict[str, Any]:
        return {"samples": self.samples} | ({"classes": DIGITS} if self.task == "digits" else {})

    def _objects(self) -> tuple[Task, Network, Parametrization]:
        import neural_limits as nl

        task = getattr(nl.tasks, self.task)(**self._task_options)
        network: Network = (
            nl.MLP(hidden=self.depth, activation=self.activation)
            if self.network == "mlp"
            else nl.ResNet(depth=self.depth, activation=self.activation)
        )
        table = getattr(nl, CLASSES[self.parametrization])(gamma=self.gamma, sigma_w=self.sigma_w)
        return task, network, table

    @property
    def has_curvature(self) -> bool:
        """Residual networks have their tangent kernel on dense weights only."""
        return self.network == "mlp" or self.weights == "dense"

    def compute(self, report: Report) -> xr.Dataset:
        import jax.numpy as jnp
        import xarray as xr

        import neural_limits as nl

        report(0, self.steps, "compiling")
        task, network, table = self._objects()
        optimizer, at = nl.SGD(lr=self.lr), records(self.steps)
        curvature = nl.CurvatureWatch(
            network, task, table, optimizer, width=self.width, kinds=("gauss_newton",), count=1
        )
        rules, x = network.rules(table, self.width, task.inputs), jnp.asarray(task.x)
        kernels: dict[int, Any] = {}

        def watch(step: int, parameters: Parameters) -> None:
            if self.has_curvature:
                curvature(step, parameters)
            if step in (0, self.steps):
                features = network.forward(parameters, x, rules)[1].last
                kernels[step] = np.asarray(features @ features.T) / self.width

        run = nl.train(
            network, task, table, optimizer, width=self.width, steps=self.steps, weights=self.weights,
            seed=self.seed, record=at, watch=watch, memory=float(BYTES),
            progress=lambda step, steps, loss: report(step, steps, f"loss {loss:.4g}"),
        )  # fmt: skip
        data = run.data[["loss", "singular_value", "record_edge"]].copy()
        if kernels:
            panels = [f"{'end' if step else 'start'}, step {step}" for step in kernels]
            values = np.stack(list(kernels.values()))
            data["kernel"] = xr.DataArray(values, dims=("panel", "row", "column"), coords={"panel": panels})
            data.kernel.attrs = {
                "symbol": "Φ",
                "long_name": "Features of the last layer, sample by sample (mean over neurons).",
            }
            if self.has_curvature:
                found = curvature.dataset()
                data["eigenvalue"] = found.eigenvalue.isel(kind=0, mode=0, drop=True).rename(step="record")
        data.attrs = {"status": run.status, "message": run.message}
        if not self.has_curvature:
            data.attrs["no_eigenvalue"] = "Residual networks have it on dense weights only."
        return data

    def code(self) -> str:
        name = "MLP" if self.network == "mlp" else "ResNet"
        size: dict[str, Any] = {"hidden" if self.network == "mlp" else "depth": self.depth}
        tangent = '("gauss_newton",)'
        lines = [
            "import jax.numpy as jnp",
            "import numpy as np",
            "import neural_limits as nl",
            "",
            f"task = {call(f'nl.tasks.{self.task}', **self._task_options)}",
            f"network = {call(f'nl.{name}', **size, activation=self.activation)}",
            f"table = {call(f'nl.{CLASSES[self.parametrization]}', gamma=self.gamma, sigma_w=self.sigma_w)}",
            f"optimizer = {call('nl.SGD', lr=self.lr)}",
            f"width, steps, record = {self.width}, {self.steps}, {records(self.steps)}",
            "rules, x = network.rules(table, width, task.inputs), jnp.asarray(task.x)",
            "kernels = {}",
            "curvature = nl.CurvatureWatch(" if self.has_curvature else None,
            f"    network, task, table, optimizer, width=width, kinds={tangent}, count=1"
            if self.has_curvature
            else None,
            ")" if self.has_curvature else None,
            "",
            "",
            "def watch(step, parameters):",
            "    curvature(step, parameters)" if self.has_curvature else None,
            "    if step in (0, steps):",
            "        features = network.forward(parameters, x, rules)[1].last",
            "        kernels[step] = np.asarray(features @ features.T) / width",
            "",
            "",
            "run = nl.train(",
            "    network, task, table, optimizer, width=width, steps=steps, record=record, watch=watch,",
            f'    weights="{self.weights}", seed={self.seed},',
            ")",
            "print(run.status, run.message)",
            "print(run.data.loss.values)  # over steps",
            "print(run.data.singular_value, run.data.record_edge)  # outliers, edge of the bulk",
            f"print({self.lr!r} * curvature.dataset().eigenvalue)  # stable below 2" if self.has_curvature else None,
        ]
        return script(lines)
