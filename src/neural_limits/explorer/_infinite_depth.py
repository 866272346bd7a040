"""The view of infinitely deep and wide residual networks: exact for linear ones, sampled with errors for others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ._code import Name, call, script
from ._fields import choice, number
from ._view import Cost, Report, View

if TYPE_CHECKING:
    import xarray as xr

DEPTHS = (4, 8, 16)
SEEDS = 4


@dataclass(frozen=True)
class InfiniteDepth(View):
    """`limits.infinite_depth`: one-layer blocks under depth-muP, the toy task with sine labels."""

    title: ClassVar[str] = "Infinite depth"
    about: ClassVar[str] = (
        "A residual network under depth-muP as depth and width grow without bound. Linear: exact. Other activations: "
        f"particles on networks of depth {', '.join(map(str, DEPTHS))}, {SEEDS} seeds each, extrapolated in 1/depth; "
        "bars are two standard errors and the truncation of the extrapolation."
    )
    cheaper: ClassVar[str] = "`particles`, `samples` or `steps`"

    activation: str = choice("linear", ("linear", "tanh", "relu", "gelu", "erf"), "Activation")
    samples: int = number(4, 1, 8, "Samples", "P")
    sigma_w: float = number(1.0, 0.05, 3.0, "Initial deviation", "σ_w of hidden weights")
    lr: float = number(0.2, 1e-6, 100.0, "Learning rate", "η")
    steps: int = number(4, 1, 8, "Steps", "updates")
    particles: int = number(1024, 64, 8192, "Particles", "neurons; the linear theory needs none")

    def cost(self) -> Cost:
        vectors = (self.steps + 1) * self.samples
        if self.activation == "linear":  # ten sweeps a step, solves of size 16 K P
            return Cost(0.5 + 1e-9 * 10 * self.steps * (16 * vectors) ** 3, 8 * 60 * (16 * vectors) ** 2)
        runs = SEEDS * sum(DEPTHS)
        return Cost(15 + 4e-9 * runs * self.particles * vectors**2, 32.0 * max(DEPTHS) * self.particles * vectors)

    def compute(self, report: Report) -> xr.Dataset:
        import xarray as xr

        import neural_limits as nl

        task, theory = nl.tasks.toy(samples=self.samples, labels="sine"), nl.limits.infinite_depth
        if self.activation == "linear":
            report(0, 1, "fixed point")
            found = theory.linear(task.x, task.y, steps=self.steps, lr=self.lr, sigma_w=self.sigma_w)
        else:
            report(0, SEEDS * len(DEPTHS), "compiling")
            found = theory.solve(
                task, self.activation, steps=self.steps, lr=self.lr, sigma_w=self.sigma_w, particles=self.particles,
                depths=DEPTHS, seeds=SEEDS, progress=lambda done, runs: report(done, runs, "networks trained"),
            )  # fmt: skip
        data = found.data[[name for name in ("loss", "loss_stderr", "loss_truncation") if name in found.data]].copy()
        if found.status == "completed":
            kernel, steps = found.data.feature_kernel.isel(time=-1), (0, self.steps)
            ends = [kernel.isel(step=step, step_b=step).values for step in steps]
            panels = [f"start, step {steps[0]}", f"end, step {steps[1]}"]
            data["kernel"] = xr.DataArray(np.stack(ends), dims=("panel", "row", "column"), coords={"panel": panels})
            data.kernel.attrs = {
                "symbol": "Φ",
                "long_name": "Features at the output end, sample by sample (mean over neurons).",
            }
        first = theory.kernels_at_init(task.x, self.activation, self.sigma_w).tangent_kernel.values
        data["eigenvalue"] = ("record", np.linalg.eigvalsh(first)[-1:] / task.samples, {"symbol": "λ"})
        data.coords["record"] = [0]
        data.attrs = {"status": found.status, "message": found.message}
        data.attrs["no_outliers"] = "This limit gives kernels, not spectra of single matrices."
        data.attrs["no_eigenvalue"] = "This limit gives it before training only."
        return data

    def code(self) -> str:
        given: dict[str, Any] = {"steps": self.steps, "lr": self.lr, "sigma_w": self.sigma_w}
        if self.activation == "linear":
            solve = call("solution = theory.linear", x=Name("task.x"), y=Name("task.y"), **given)
        else:
            given |= {"particles": self.particles, "depths": DEPTHS, "seeds": SEEDS}
            solve = call("solution = theory.solve", fold=True, task=Name("task"), activation=self.activation, **given)
        return script(
            [
                "import numpy as np",
                "import neural_limits as nl",
                "",
                "theory = nl.limits.infinite_depth",
                f"task = {call('nl.tasks.toy', samples=self.samples, labels='sine')}",
                solve,
                "print(solution.status, solution.message)",
                "print(solution.data.loss.values)  # over steps",
                "print(solution.data.feature_kernel.isel(time=-1))",
                f'first = theory.kernels_at_init(task.x, "{self.activation}", {self.sigma_w!r}).tangent_kernel.values',
                f"print({self.lr!r} * np.linalg.eigvalsh(first)[-1] / task.samples)  # stable below 2",
            ]
        )
