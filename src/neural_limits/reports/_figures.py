"""All figures of a run, and what each shows."""

from __future__ import annotations

import xarray as xr
from matplotlib.figure import Figure

from ._curvature import curvature_figure
from ._loss import loss_figure
from ._outliers import outlier_figure
from ._overlaps import overlap_figure
from ._rank import rank_figure
from ._sources import Sources, name_of, sources
from ._spectrum import spectrum_figure
from ._style import MOST_PANELS


def figures(data: xr.Dataset, dense: xr.Dataset | None = None) -> dict[str, Figure]:
    """Figures of a run's dataset, and of the dense network trained beside it where there is one.

    ``loss``; ``outliers``, ``overlaps`` where outliers were recorded; ``spectrum`` where a dense dataset has
    all singular values (variable ``spectrum`` (layer, index)); ``rank`` on conditioned weights; ``curvature``
    where it was recorded. Nothing of
    matplotlib's global state is read or changed.
    """
    found = sources(data, dense)
    drawn = {"loss": loss_figure([data, *([dense] if dense is not None else [])])}
    if all(run.sizes.get("record", 0) and run.sizes.get("layer", 0) for run in found.known):
        drawn["outliers"] = outlier_figure(found)
        drawn |= _present(spectrum=spectrum_figure(found), overlaps=overlap_figure(found))
    return drawn | _present(rank=rank_figure(found), curvature=curvature_figure(data))


def captions(data: xr.Dataset, dense: xr.Dataset | None = None) -> dict[str, str]:
    """What is seen in each figure, and where its lines come from."""
    found = sources(data, dense)
    runs = " and ".join(name_of(run) for run in (data, dense) if run is not None)
    accuracy = " Right: the fraction of training samples classified right." if "accuracy" in data else ""
    return {
        "loss": f"Training loss before each step's update ({runs}).{accuracy}",
        "outliers": f"Singular values of the hidden weights above the bulk.{_outlier_lines(found)} Dashed: "
        f"the upper edge of the bulk, τ(√n + √n) for entries of standard deviation τ.{_left_out(data)}",
        "spectrum": "All singular values of the dense network's hidden weights at the end. Dashed: the "
        "quarter-circle law of an untrained matrix of the same edge. Open circles: values above "
        f"the Tracy-Widom threshold.{_ticks(found)}{_left_out(data)}",
        "overlaps": "Squared overlap of each outlier's singular vectors with those of the learned part "
        f"of the weight, at the last record.{_overlap_lines(found)} 1 is a vector that was learned entirely, "
        "0 one of the bulk.",
        "curvature": "Leading eigenvalue of the tangent kernel (squared error) or Gauss-Newton matrix, and of the "
        "Hessian, of the full task in the metric of the rates, times the learning rate. Gradient descent is linearly "
        "stable below the dashed line.",
        "rank": "Directions of each hidden weight that training has touched: on the left by backward "
        "vectors, on the right by features. The cost of a conditioned run grows with them.",
    }


def _present(**drawn: Figure | None) -> dict[str, Figure]:
    return {name: figure for name, figure in drawn.items() if figure is not None}


def _outlier_lines(found: Sources) -> str:
    predicted = " Filled, joined by lines: predicted from what training has touched (no weight matrix is formed)."
    measured = " Open circles: measured in an ordinary dense network."
    return (predicted if found.predicted is not None else "") + (measured if found.measured is not None else "")


def _overlap_lines(found: Sources) -> str:
    return " Filled: predicted; open: measured in the dense network." if all(s is not None for s in found) else ""


def _ticks(found: Sources) -> str:
    return (
        " Ticks: outliers predicted by the conditioned run at its last record." if found.predicted is not None else ""
    )


def _left_out(data: xr.Dataset) -> str:
    return (
        f" {MOST_PANELS} layers of {data.sizes['layer']} are drawn." if data.sizes.get("layer", 0) > MOST_PANELS else ""
    )
