"""Outputs in proportion to the width: what becomes of the hidden spectrum, in theory and in dense networks."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from ._bulk_agreement import Agreement, agreement, agreement_verdicts
from ._bulk_beyond import OUTPUTS, RATE, SAMPLES, STEPS, Found, beyond, beyond_verdicts, linear_laws
from ._bulk_edge import Ladder, edge_verdicts, ladders
from ._bulk_figures import beyond_figure, crossover_figure, edge_figure, gap_figure
from ._bulk_gap import TEACHERS, WIDTH_RATIOS, Diagram, diagram, gap_verdicts
from ._bulk_laws import SOURCE, WIDTH, Crossing, crossover, crossover_verdicts, describe
from ._experiment import Experiment, Result, Say

OPERATOR = {"long_name": "singular value of the hidden weight", "units": "operator norm"}
DISTANCE = {"long_name": "Kolmogorov-Smirnov distance to the law", "units": "1"}


def run(quick: bool, say: Say) -> Result:
    """From one output to half the width, agreement at large, the closing gap, the edge over widths, no law."""
    crossing, agreed = crossover(quick, say), agreement(quick, say)
    gap, edges, open_ = diagram(quick, say), ladders(quick, say), beyond(quick, say)
    laws = linear_laws(open_)
    verdict = [
        *crossover_verdicts(crossing), *agreement_verdicts(agreed), *gap_verdicts(gap), *edge_verdicts(edges),
        *beyond_verdicts(open_, laws),
    ]  # fmt: skip
    figures = {
        "crossover": crossover_figure(crossing), "gap": gap_figure(gap), "edge": edge_figure(edges),
        "beyond": beyond_figure(open_, laws),
    }  # fmt: skip
    return Result(_dataset(crossing, agreed, gap, edges, open_), verdict, figures, CAPTIONS)


CAPTIONS = {
    "crossover": f"Singular values (operator norm) of the hidden weight of dense networks of width {WIDTH} after 30 "
    "steps, readout fixed, pooled over seeds, and the law of C in proportion to the width; logarithmic density.",
    "gap": "Output ratio at which the gap between bulk and learned singular values closes, against the teacher's "
    "strength (curve), and dense networks: spacing below their C-th singular value over that of its neighbours, one "
    "where there is no gap.",
    "edge": "Mean top singular value (operator norm) of dense networks with N/2 outputs over width, with standard "
    "errors: the law's edge and its Tracy-Widom mean; right: relative distance to the edge.",
    "beyond": "A law is known here for the linear network with a fixed readout only (black). Singular values (operator "
    f"norm) of dense networks of width {WIDTH} after {STEPS} steps at rate {RATE:g} on {SAMPLES} samples; relu less "
    "its mean.",
}


# -- data ----------------------------------------------------------------------------------------------------------


def _dataset(
    crossing: list[Crossing], agreed: list[Agreement], gap: Diagram, edges: dict[str, Ladder], open_: Found
) -> xr.Dataset:
    parts = _crossing_data(crossing) | _agreement_data(agreed) | _gap_data(gap) | _edge_data(edges) | _open_data(open_)
    return xr.Dataset(parts, attrs={"width": WIDTH, "source": SOURCE})


def _crossing_data(found: list[Crossing]) -> dict[str, Any]:
    grid = np.linspace(0, 1.1 * found[-1].law.edge, 800)
    data: dict[str, Any] = {
        "outputs": ("outputs", [f.outputs for f in found]),
        "singular_value": ("singular_value", grid, OPERATOR),
        "law_density": (
            ("outputs", "singular_value"), [f.law.pdf(grid) for f in found], {"units": "per unit singular value"},
        ),
    }  # fmt: skip
    for f in found:
        data[f"values_{f.outputs}"] = ((f"seed_{f.outputs}", "mode"), f.values, OPERATOR)
    return data


def _agreement_data(found: list[Agreement]) -> dict[str, Any]:
    return {
        "setting": ("setting", [describe(f.case) for f in found]),
        "distance": ("setting", [f.distance.value for f in found], DISTANCE),
        "distance_stderr": ("setting", [f.distance.error for f in found], DISTANCE),
        "least_value": ("setting", [f.least for f in found], {"long_name": "compared above", "units": "operator norm"}),
    }


def _gap_data(found: Diagram) -> dict[str, Any]:
    points = found.points
    closing = {"long_name": "output ratio at which the gap closes", "symbol": "κ*", "units": "1"}
    numbers = {
        "width_ratio": "1", "teacher": "1", "output_ratio": "1", "gap": "operator norm", "empty": "operator norm",
        "inside": "singular values",
    }  # fmt: skip
    data: dict[str, Any] = {
        "width_ratio": ("width_ratio", list(WIDTH_RATIOS)),
        "teacher": ("teacher", list(TEACHERS)),
        "closing_ratio": (("width_ratio", "teacher"), found.closing, closing),
    }
    for name, units in numbers.items():
        data[f"point_{name}"] = ("point", [getattr(p, name) for p in points], {"units": units})
    for name, units in (("spacing", "operator norm"), ("relative", "neighbouring spacings")):
        means = [getattr(p, name) for p in points]
        data[f"point_{name}"] = ("point", [m.value for m in means], {"units": units})
        data[f"point_{name}_stderr"] = ("point", [m.error for m in means], {"units": units})
    return data


def _edge_data(found: dict[str, Ladder]) -> dict[str, Any]:
    widths = list(next(iter(found.values())).values)
    means = [list(ladder.means.values()) for ladder in found.values()]
    expected = [list(ladder.expected.values()) for ladder in found.values()]
    top = {"long_name": "mean top singular value", "units": "operator norm"}
    dims = ("case", "width")
    return {
        "case": ("case", list(found)),
        "width": ("width", widths),
        "top": (dims, [[m.value for m in row] for row in means], top),
        "top_stderr": (dims, [[m.error for m in row] for row in means], top),
        "tracy_widom": (dims, expected, {**top, "long_name": "the law's Tracy-Widom mean"}),
        "edge": ("case", [ladder.edge for ladder in found.values()], {"units": "operator norm"}),
    }


def _open_data(found: Found) -> dict[str, Any]:
    students, counts = list(dict.fromkeys(s for s, _ in found)), [c for c in OUTPUTS if any(c == n for _, n in found)]
    stacked = lambda part: np.array([[getattr(found[s, c], part) for c in counts] for s in students])  # noqa: E731
    dims = ("student", "student_outputs", "student_seed")
    return {
        "student": ("student", [str(s) for s in students]),
        "student_outputs": ("student_outputs", counts),
        "student_values": ((*dims, "mode"), stacked("values"), OPERATOR),
        "student_loss": ((*dims, "moment"), stacked("losses"), {"long_name": "loss per output", "units": "1"}),
        "moment": ("moment", ["before", "after"]),
    }


BULK_RESTRUCTURING = Experiment(
    "bulk-restructuring",
    "A few outputs add outliers to the hidden spectrum and leave its bulk; outputs in proportion to the width reshape "
    "the bulk, as a deterministic law says.",
    SOURCE,
    1.3,
    8,
    run,
)
