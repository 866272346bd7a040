"""Figure and data of the edge-of-stability experiment, and the rates and steps that they show."""

from __future__ import annotations

from typing import Any

import xarray as xr
from matplotlib.figure import Figure
from numpy import ndarray

BELOW, PAST = 0.19, 0.21  # rates: the mode comes to rest just below 2/rate, or goes beyond it
AT, AT_PAST = (10, 40, 99), (15, 30)
STEPS = (0, 2, 5, 8, 10, 12, 15, 18, 22, 30, 40, 60, 99)
LATE = tuple(range(201))
WIDTHS = {"mup": (0.5, 1.0, 4.0, 16.0), "ntk": (1.0, 4.0, 16.0)}


def edge_figure(
    lines: dict[Any, ndarray],
    past: dict[float, ndarray],
    finite: dict[str, ndarray],
    tracked: dict[tuple[float, str], xr.Dataset],
) -> Figure:
    """Rate times leading eigenvalue over training: below the edge, past it, and on digits."""
    figure = Figure(figsize=(13, 4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for i, nu in enumerate(WIDTHS["mup"]):
        left.plot(STEPS, lines["mup", nu], color=f"C{i}", label=f"muP, N/D = {nu:g}")
        if ("ntk", nu) in lines and nu > 1:
            left.plot(STEPS, lines["ntk", nu], "--", color=f"C{i}", label=f"NTK, N/D = {nu:g}")
    for i, nu in enumerate(past, start=1):
        middle.plot(LATE, past[nu], color=f"C{i}", label=f"N/D = {nu:g}")
    for (name, values), marker in zip(finite.items(), "osd^", strict=True):
        axis, at = (middle, AT_PAST) if str(PAST) in name else (left, AT)
        colour = "C1" if "N/D = 1" in name else "C2"
        label = name.split(", ", 2)[2]
        axis.errorbar(
            at, values.mean(0), values.std(0, ddof=1), fmt=marker, ms=4, color=colour, mfc="white", label=label
        )
    for i, ((lr, weights), data) in enumerate(tracked.items()):
        marker = "o" if weights == "dense" else "x"
        colour = f"C{i}"
        right.plot(
            data.step, data.scaled.sel(kind="ntk"), f"-{marker}", ms=4, color=colour, label=f"rate {lr:g}, {weights}"
        )
        if weights == "dense":
            right.plot(data.step, data.scaled.sel(kind="hessian"), ":", color=colour)
    for axis, title in zip(
        (left, middle, right), (f"rate {BELOW}", f"rate {PAST}, muP", "tanh on digits"), strict=True
    ):
        axis.axhline(2.0, color="0.4", ls="--", lw=1)
        axis.set(xlabel="updates", ylabel="rate × leading eigenvalue", title=title, ylim=(0, None))
    # on the left there is room only between the lines of the two parametrizations
    left.legend(
        frameon=False, fontsize=7, ncols=2, loc="center right", bbox_to_anchor=(1, 1.4),
        bbox_transform=left.get_yaxis_transform(),
    )  # fmt: skip
    for axis in (middle, right):
        axis.legend(frameon=False, fontsize=7)
    return figure


def dataset(
    lines: dict[Any, ndarray],
    past: dict[float, ndarray],
    finite: dict[str, ndarray],
    hessian: xr.DataArray,
    tracked: dict[tuple[float, str], xr.Dataset],
) -> xr.Dataset:
    """Everything measured and predicted."""
    units = {"long_name": "rate times leading NTK eigenvalue", "units": "1"}
    data = xr.Dataset(coords={"update": list(STEPS), "late_update": list(LATE)})
    for scheme, all_ in WIDTHS.items():
        data.coords[f"width_ratio_{scheme}"] = list(all_)
        data[f"{scheme}_mode"] = ((f"width_ratio_{scheme}", "update"), [lines[scheme, nu] for nu in all_], units)
    data.coords["width_ratio_past"] = list(past)
    data["past_mode"] = (("width_ratio_past", "late_update"), list(past.values()), units)
    for i, (name, values) in enumerate(finite.items()):
        data[f"network_mode_{i}"] = ((f"seed_{i}", f"at_{i}"), values, {**units, "networks": name})
    data["curvature"] = (("kind", "hessian_step"), hessian.transpose("kind", "step").values, {"units": "1"})
    data = data.assign_coords(kind=hessian.kind.values, hessian_step=hessian.step.values)
    for (lr, weights), found in tracked.items():
        for kind in found.kind.values:
            data[f"digits_{kind}_{weights}_{lr:g}"] = ("tracked", found.scaled.sel(kind=kind).values, units)
        data.coords["tracked"] = found.step.values
    return data
