"""Plotly figures of a view's numbers, in the colours of the reports."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ..reports import EDGE, LAYERS, MEASURED, PREDICTED, layer_colours, spans

if TYPE_CHECKING:
    import xarray as xr

MOST_LAYERS = 6  # lines that can still be told apart
DIVERGING = [[0.0, PREDICTED], [0.5, "#FFFFFF"], [1.0, MEASURED]]
GRID, AXIS, INK = "#E6E6E6", "#7F7F7F", "#1B1F24"
FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif'
SHADE = "rgba(0, 114, 178, 0.18)"  # PREDICTED, light


def loss_figure(data: xr.Dataset) -> go.Figure:
    """Training loss over steps with its error, and the test loss where the theory has one."""
    figure = _plain("step", "loss")
    error = sum((2 * data.loss_stderr, data.loss_truncation)) if "loss_stderr" in data else None
    bars = None if error is None else {"type": "data", "array": _list(error), "color": PREDICTED, "thickness": 1.2}
    figure.add_scatter(
        x=_list(data.step), y=_list(data.loss), error_y=bars, name="train", line={"color": PREDICTED, "width": 2},
        mode="lines+markers" if data.sizes["step"] < 15 else "lines",
    )  # fmt: skip
    if "test_loss" in data:
        dashed = {"color": MEASURED, "width": 2, "dash": "dash"}
        figure.add_scatter(x=_list(data.step), y=_list(data.test_loss), name="test", line=dashed, mode="lines")
    if spans(_list(data.loss)):
        figure.update_yaxes(type="log", tickformat="~g", dtick=1 if _decades(data.loss) < 6 else None)
    return figure


def outlier_figure(data: xr.Dataset) -> go.Figure:
    """Singular values outside the bulk of each hidden matrix over steps, and the bulk's edges."""
    if "singular_value" not in data:
        return _note(data.attrs.get("no_outliers", ""))
    figure = _plain("step", "singular value σ")
    layers = _chosen(data.sizes["layer"])
    for name in ("record_edge", "record_edge_low"):
        for edge in _different([_list(data[name].isel(layer=l)) for l in layers] if name in data else []):
            _line(figure, data, edge, "bulk edge", EDGE, dash="dash", first=name == "record_edge", group="edge")
    for l, colour in zip(layers, layer_colours(len(layers)), strict=True):
        for mode in range(data.sizes["mode"]):
            values = _list(data.singular_value.isel(layer=l, mode=mode))
            if np.isfinite(values).any():
                _line(figure, data, values, f"layer {l}", colour, group=f"layer {l}", marks=True)
    if not np.isfinite(data.singular_value.isel(layer=layers)).any():
        _text(figure, "no singular value outside the bulk", 0.82)
    return figure


def stability_figure(data: xr.Dataset, lr: float) -> go.Figure:
    """Learning rate times the tangent kernel's leading mode, against 2."""
    if "eigenvalue" not in data:
        return _note(data.attrs.get("no_eigenvalue", ""))
    figure = _plain("step", "η λ")
    steps = _list(data.record)
    _line(figure, data, _list(lr * data.eigenvalue), "leading mode", PREDICTED, marks=True)
    if "eigenvalue_edge" in data:
        _line(figure, data, _list(lr * data.eigenvalue_edge), "bulk edge", EDGE, dash="dot")
    limit = {"color": MEASURED, "width": 1.6, "dash": "dash"}
    span = [0, int(data.step.max())]
    figure.add_scatter(x=span, y=[2, 2], mode="lines", name="stable below 2", line=limit)
    if len(steps) == 1 and data.attrs.get("no_eigenvalue"):
        _text(figure, data.attrs["no_eigenvalue"], 0.5)
    top = np.nanmax(_list(lr * data.eigenvalue), initial=0.0)
    if top > 50:
        figure.update_yaxes(type="log", tickformat="~g")
    else:
        figure.update_yaxes(range=[0, 1.15 * max(2.0, top)])
    return figure


def kernel_figure(data: xr.Dataset) -> go.Figure:
    """Two matrices side by side: kernels at start and end on one scale, or overlaps of two steps."""
    if "kernel" not in data:
        return _note("")
    panels = [str(name) for name in data.panel.values]
    figure = make_subplots(1, len(panels), subplot_titles=panels, horizontal_spacing=0.12)
    sizes = np.nanmax(np.abs(data.kernel.values), axis=(1, 2), initial=1e-12)
    shared = "sample" in data.kernel.attrs["long_name"]
    for i, values in enumerate(data.kernel.values):
        bound = float(sizes.max() if shared else sizes[i])
        place = (i + 0.5) / len(panels)
        bar = {"orientation": "h", "thickness": 9, "len": 0.8 / len(panels), "x": place, "xanchor": "center", "y": -0.3,
               "tickvals": [-bound, 0, bound], "ticktext": [f"{v:.2g}" for v in (-bound, 0, bound)], "outlinewidth": 0,
               "tickfont": {"size": 11}}  # fmt: skip
        figure.add_heatmap(
            z=np.asarray(values, float), zmin=-bound, zmax=bound, colorscale=DIVERGING, row=1, col=i + 1,
            colorbar=bar, hovertemplate="%{y}, %{x}: %{z:.4g}<extra></extra>",
        )  # fmt: skip
    figure.update_yaxes(autorange="reversed")
    _style(figure)
    figure.update_xaxes(showgrid=False, zeroline=False, constrain="domain", nticks=5)
    figure.update_yaxes(showgrid=False, zeroline=False, scaleanchor="x", constrain="domain", nticks=5)
    for i in range(1, len(panels)):
        figure.update_yaxes(scaleanchor=f"x{i + 1}", row=1, col=i + 1)
    figure.update_annotations(font={"size": 13})
    figure.update_layout(margin={"l": 34, "r": 8, "t": 34, "b": 64})
    return figure


def empty_figure() -> go.Figure:
    """Before anything has been computed."""
    return _note("")


def _plain(x: str, y: str) -> go.Figure:
    figure = go.Figure()
    figure.update_xaxes(title={"text": x, "standoff": 6}, rangemode="tozero")
    figure.update_yaxes(title={"text": y, "standoff": 6})
    return _style(figure)


def _style(figure: go.Figure) -> go.Figure:
    """Few lines, the page's font, nothing that needs room on a narrow screen."""
    figure.update_layout(
        template="none", paper_bgcolor="white", plot_bgcolor="white", font={"family": FONT, "size": 13, "color": INK},
        margin={"l": 58, "r": 12, "t": 8, "b": 44}, hovermode="closest", dragmode=False, showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 12}},
        colorway=list(LAYERS),
    )  # fmt: skip
    axis = {"gridcolor": GRID, "linecolor": AXIS, "showline": True, "zeroline": False, "ticks": "outside",
            "tickcolor": AXIS, "ticklen": 4, "automargin": True}  # fmt: skip
    return figure.update_xaxes(**axis).update_yaxes(**axis)


def _line(
    figure: go.Figure, data: xr.Dataset, values: list[float], name: str, colour: str, *, dash: str | None = None,
    marks: bool = False, first: bool = True, group: str | None = None,
) -> None:  # fmt: skip
    """A line over the records; one entry in the legend for each group."""
    known = any(trace.legendgroup == group for trace in figure.data) if group else False
    figure.add_scatter(
        x=_list(data.record), y=values, name=name, legendgroup=group, showlegend=first and not known,
        mode="lines+markers" if marks else "lines", line={"color": colour, "width": 2, "dash": dash},
        marker={"size": 6},
    )  # fmt: skip


def _different(edges: list[list[float]]) -> list[list[float]]:
    """Edges that lie on top of each other are drawn once; one at zero bounds nothing."""
    kept: list[list[float]] = []
    for edge in edges:
        if any(edge) and not any(np.allclose(edge, other, rtol=2e-3) for other in kept):
            kept.append(edge)
    return kept


def _note(text: str) -> go.Figure:
    """No axes, only words."""
    figure = _style(go.Figure()).update_xaxes(visible=False).update_yaxes(visible=False)
    _text(figure, text, 0.5)
    return figure


def _text(figure: go.Figure, text: str, y: float) -> None:
    """Words over the axes, in lines short enough for a phone."""
    figure.add_annotation(
        text="<br>".join(wrap(text, 36)), x=0.5, y=y, xref="paper", yref="paper", showarrow=False,
        font={"size": 14, "color": "#57606A"},
    )  # fmt: skip


def _chosen(layers: int) -> list[int]:
    if layers <= MOST_LAYERS:
        return list(range(layers))
    return [round(i * (layers - 1) / (MOST_LAYERS - 1)) for i in range(MOST_LAYERS)]


def _decades(values: Any) -> float:
    known = np.asarray(values, float)
    known = known[np.isfinite(known) & (known > 0)]
    return float(np.log10(known.max() / known.min())) if len(known) else 0.0


def _list(values: Any) -> list[Any]:
    return np.asarray(values).tolist()
