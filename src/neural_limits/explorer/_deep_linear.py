"""The view of deep linear networks in the proportional limit: deterministic, milliseconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ._code import call, script
from ._fields import choice, number
from ._view import Cost, Report, View, records

if TYPE_CHECKING:
    import xarray as xr

    from ..limits.proportional import DeepLinear

TOP_SECONDS = 1.2e-6  # of one leading NTK mode, per cubed update and layer: 0.78 s at 99 updates, two layers, with room


@dataclass(frozen=True)
class DeepLinearLimit(View):
    """`limits.deep_linear`, with outliers and the leading NTK mode at a few moments."""

    title: ClassVar[str] = "Deep linear limit"
    about: ClassVar[str] = (
        "A deep linear network as width, inputs and samples grow together: a deterministic theory, "
        "outliers of every matrix and the tangent kernel's leading mode included."
    )
    cheaper: ClassVar[str] = "`steps` or `depth`"

    depth: int = number(2, 1, 8, "Depth", "weight matrices before the readout, L")
    width_ratio: float = number(1.0, 0.02, 100.0, "Width over inputs", "ν = N/D")
    sample_ratio: float = number(2.0, 0.02, 100.0, "Samples over inputs", "α = P/D")
    label_noise: float = number(0.3, 0.0, 10.0, "Label noise", "σ_ε")
    parametrization: str = choice("mup", {"mup": "muP", "ntk": "NTK"}, "Parametrization")
    gamma: float = number(2.0, 0.01, 100.0, "Output scale", "γ, larger learns more")
    sigma_w: float = number(0.5, 0.02, 5.0, "Initial deviation", "σ_w of all weights")
    lr: float = number(0.05, 1e-6, 1e3, "Learning rate", "η")
    steps: int = number(60, 1, 150, "Steps", "updates")

    def cost(self) -> Cost:
        modes = sum(step**3 for step in records(self.steps))
        return Cost(0.5 + TOP_SECONDS * self.depth * modes, 8 * (self.steps + 1) ** 2 * (7 * self.depth + 9))

    def compute(self, report: Report) -> xr.Dataset:
        import xarray as xr

        import neural_limits as nl

        at = records(self.steps)
        report(0, len(at), "order parameters")
        sol = nl.limits.deep_linear(**self.settings())
        diverged = float(sol.data.diverged_at)
        reached = [step for step in at if not step >= diverged]
        found = []
        for number_, step in enumerate(reached):
            report(number_, len(at), f"spectra after {step} updates")
            found.append((step, *_spectra(sol, step)))
        data = sol.data[["test_loss"]].assign(loss=sol.data.train_loss)
        data = data.merge(_outliers(found, self.depth))
        top = np.array([row[2:] for row in found]).reshape(-1, 2)
        data["eigenvalue"] = ("record", top[:, 0], {"symbol": "λ", "long_name": "leading mode of the NTK"})
        data["eigenvalue_edge"] = ("record", top[:, 1], {"symbol": "λ_edge", "long_name": "edge of the NTK's bulk"})
        kernels = [sol.data.residual_overlap.values, sol.data.backward_overlap.values[0]]
        panels = ["residuals", "backward vectors, layer 1"]
        data["kernel"] = xr.DataArray(np.stack(kernels), dims=("panel", "row", "column"), coords={"panel": panels})
        data.kernel.attrs = {
            "symbol": "C",
            "long_name": "Overlaps of the residuals, and of the backward vectors, of two steps.",
        }
        data.attrs = {"status": sol.status, "message": sol.message}
        return data

    def code(self) -> str:
        return script(
            [
                "import neural_limits as nl",
                "",
                call("sol = nl.limits.deep_linear", **self.settings(), fold=True),
                "print(sol.status, sol.message)",
                "print(sol.data.train_loss.values, sol.data.test_loss.values)  # over steps",
                f"for step in {records(self.steps)}:",
                "    if step >= float(sol.data.diverged_at):",
                "        break",
                f"    print(step, sol.outliers(step), {self.lr!r} * sol.ntk_leading(step))  # stable below 2",
                "print(sol.data.residual_overlap, sol.data.backward_overlap)",
            ]
        )


def _spectra(sol: DeepLinear, step: int) -> tuple[list[Any], float, float]:
    """Outliers of every matrix, the leading mode and the bulk's edge of the tangent kernel."""
    edge, top = sol.ntk_edge(step), sol.ntk_top(step)
    return sol.outliers(step), edge if np.isnan(top) else top, edge


def _outliers(found: list[Any], depth: int) -> xr.Dataset:
    """singular_value (record, layer, mode) above and below the bulk, and its edges."""
    import xarray as xr

    rows = [[np.concatenate([w.above, w.below]) for w in row[1]] for row in found]
    modes = max((len(values) for row in rows for values in row), default=0)
    values = np.full((len(found), depth, modes), np.nan)
    for i, row in enumerate(rows):
        for layer, each in enumerate(row):
            values[i, layer, : len(each)] = each
    edges = np.array([[w.edges for w in row[1]] for row in found]).reshape(-1, depth, 2)
    data = xr.Dataset(coords={"record": np.array([row[0] for row in found], int), "layer": np.arange(depth)})
    data["singular_value"] = (("record", "layer", "mode"), values, {"symbol": "σ"})
    data["record_edge"] = (("record", "layer"), edges[..., 1], {"symbol": "σ_edge"})
    data["record_edge_low"] = (("record", "layer"), edges[..., 0], {"symbol": "σ_edge"})
    return data
