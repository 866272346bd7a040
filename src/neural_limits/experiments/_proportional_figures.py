"""Figures and data of the proportional-limit experiment."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy import ndarray

from ..limits.proportional import DeepLinear, Setting
from ._proportional import RECORD, Size, changed, first_or_nan, theory
from ._slopes import label_sizes


def size_figure(limit: DeepLinear, found: dict[Size, dict[str, ndarray]]) -> Figure:
    """Train loss, outliers and leading NTK mode over training: the limit and the networks of each size."""
    figure = Figure(figsize=(10, 6.4), layout="constrained")
    axes = figure.subplots(2, 2).ravel()
    steps = list(range(1, 61))
    axes[0].semilogy(np.arange(61), limit.data.train_loss, color="black", label="limit")
    for layer in (0, 1):
        line = [first_or_nan(limit.outliers(k)[layer].above) for k in steps]
        axes[1 + layer].plot(steps, line, color="black")
        axes[1 + layer].axhline(1.0, color="0.4", ls="--", lw=1)
    axes[3].plot(RECORD, [limit.ntk_leading(k) for k in RECORD], color="black")
    for i, (size, values) in enumerate(found.items()):
        style: dict[str, Any] = {"fmt": "o", "ms": 3, "color": f"C{i}", "elinewidth": 1, "label": str(size)}
        at = np.array(RECORD) + 0.5 * (i - len(found) / 2)
        series = (
            values["train"][:, list(RECORD)],
            values["outlier"][:, :, 0],
            values["outlier"][:, :, 1],
            values["ntk"],
        )
        for axis, samples in zip(axes, series, strict=True):
            axis.errorbar(at, samples.mean(0), samples.std(0, ddof=1), **style)
    for axis, name in zip(axes, ("train loss", "outlier of W⁰/√D", "outlier of W¹/√N", "NTK: λ_max(Θ)"), strict=True):
        axis.set(xlabel="updates", ylabel=name)
    axes[0].legend(frameon=False, fontsize=8)
    return figure


def scan_figure(scans: dict[str, dict[str, Any]], escapes: dict[str, Any]) -> Figure:
    """Outliers over output scale and initial standard deviation, and escape steps over width."""
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    axes = figure.subplots(1, 3)
    for axis, (name, scan) in zip(axes, scans.items(), strict=False):
        fine = np.geomspace(scan["values"][0], scan["values"][-1], 40)
        lines = np.array([_relative(changed(lr=0.04, **{name: float(v)})) for v in fine])
        edge = 2 * np.array(scan["values"]) if name == "sigma_w" else np.ones(len(scan["values"]))
        for layer in (0, 1):
            axis.semilogx(fine, lines[:, layer], color=f"C{layer}", label=f"W{layer}")
            points = scan["measured"][:, :, layer] / edge[:, None]
            axis.errorbar(scan["values"], points.mean(1), points.std(1, ddof=1), fmt="o", ms=4, color=f"C{layer}")
        axis.axhline(1.0, color="0.4", ls="--", lw=1)
        axis.set(xlabel={"gamma": "output scale γ", "sigma_w": "initial standard deviation σ"}[name])
        axis.set_xticks(scan["values"], [f"{v:g}" for v in scan["values"]])
        axis.minorticks_off()
    axes[0].set(ylabel="outlier over bulk edge")
    for i, scheme in enumerate(("muP", "NTK")):
        axes[2].loglog(escapes["widths"], escapes["expected"][i], color=f"C{2 + i}", label=scheme)
        detected = escapes["detected"][i]
        spread = detected.std(1, ddof=1)
        axes[2].errorbar(escapes["widths"], detected.mean(1), spread, fmt="o", ms=4, color=f"C{2 + i}")
    axes[2].set(xlabel="width ratio N/D", ylabel="step at which W¹ shows an outlier")
    label_sizes(axes[2], escapes["widths"])
    axes[2].set_yticks([5, 10, 20, 40, 80], ["5", "10", "20", "40", "80"])
    axes[2].yaxis.set_minor_locator(NullLocator())
    for axis in axes:
        axis.legend(frameon=False, fontsize=8)
    return figure


def _relative(setting: Setting) -> list[float]:
    """Outliers of W⁰ and W¹ after all steps over the bulk's edge; NaN where there is none or the run diverges."""
    limit = theory(setting)
    if limit.status == "diverged":
        return [np.nan] * 2
    return [first_or_nan(w.above) / w.edges[1] for w in limit.outliers(setting.steps)]


def dataset(limit: DeepLinear, found: dict[Size, Any], scans: dict[str, Any], escapes: dict[str, Any]) -> xr.Dataset:
    """Everything measured and predicted."""
    data = xr.Dataset(coords={"record": list(RECORD), "layer": [0, 1], "width_ratio": list(escapes["widths"])})
    for size, values in found.items():
        key = f"{size.weights}_{size.inputs}"
        data[f"outlier_{key}"] = ((f"seed_{key}", "record", "layer"), values["outlier"], {"units": "operator norm"})
        data[f"train_loss_{key}"] = ((f"seed_{key}", "step"), values["train"], {"units": "1"})
        data[f"ntk_top_{key}"] = ((f"seed_{key}", "record"), values["ntk"], {"units": "1"})
    data["train_loss"] = limit.data.train_loss
    for name, scan in scans.items():
        data.coords[name] = list(scan["values"])
        data[f"outlier_over_{name}"] = ((name, "layer"), scan["predicted"], {"units": "operator norm"})
        data[f"outlier_over_{name}_measured"] = ((name, "seed", "layer"), scan["measured"], {"units": "operator norm"})
    data.coords["parametrization"] = ["mup", "ntk"]
    for name in ("escape", "expected"):
        data[f"{name}_step"] = (("parametrization", "width_ratio"), escapes[name], {"units": "updates"})
    data["detected_step"] = (
        ("parametrization", "width_ratio", "escape_seed"), escapes["detected"], {"units": "updates"}
    )  # fmt: skip
    return data
