"""The page: controls on one side, status, figures, numbers and code on the other."""

from __future__ import annotations

import json
from typing import Any

from dash import dcc, html

from ._fields import Choice, Control, Number
from ._figures import empty_figure
from ._view import View
from ._views import VIEWS

FIGURES = {
    "loss": ("Loss", ""),
    "outliers": ("Outliers", "Singular values of each hidden matrix outside its random bulk; dashed: the bulk's edge."),
    "stability": (
        "Stability",
        "Learning rate times the tangent kernel's leading mode. Above 2, training oscillates or diverges.",
    ),
    "kernels": ("Kernels", ""),
}
GRAPH: Any = {"displayModeBar": False, "scrollZoom": False, "responsive": True}
HEIGHT = "290px"
POLL = 500  # milliseconds
FIRST = next(iter(VIEWS))


def layout() -> html.Div:
    """Everything, with the first view's controls."""
    return html.Div(
        [
            html.Header([html.H1("neural-limits explorer"), html.A("Results", href="#results", className="skip")]),
            html.Main([_settings(), _results()]),
            dcc.Store(id="job"),
            dcc.Store(id="finished"),
            dcc.Interval(id="poll", interval=POLL, disabled=True),
        ]
    )


def _settings() -> html.Section:
    return html.Section(
        [
            html.Fieldset(
                [
                    html.Legend("View"),
                    dcc.RadioItems({name: view.title for name, view in VIEWS.items()}, FIRST, id="view"),
                ],
                className="tabs",
            ),
            html.P(VIEWS[FIRST].about, id="about", className="soft"),
            html.Details([html.Summary("Settings"), html.Div(controls(VIEWS[FIRST]), id="controls")], open=True),
        ],
        className="settings",
        **_named("Settings"),
    )


def controls(view: type[View]) -> list[Any]:
    """The controls of a view at its defaults."""
    defaults = view().settings()
    return [_control(name, control, defaults[name]) for name, control in view.controls().items()]


def setting_id(name: str) -> dict[str, str]:
    """The id of one control."""
    return {"setting": name}


def _control(name: str, control: Control, value: Any) -> Any:
    hint = [html.Span(control.hint, className="soft hint")] if control.hint else []
    if isinstance(control, Choice):
        radio = dcc.RadioItems(dict(control.options), value, id=setting_id(name))
        return html.Fieldset([html.Legend([control.label, *hint]), radio], className="choice")
    assert isinstance(control, Number)
    dom = json.dumps(setting_id(name), sort_keys=True, separators=(",", ":"))  # as Dash writes it
    box = dcc.Input(
        id=setting_id(name), value=f"{value:g}" if isinstance(value, float) else str(value), type="text",
        inputMode="numeric" if control.whole else None, debounce=True, autoComplete="off", maxLength=20,
    )  # fmt: skip
    return html.Div([html.Label([control.label, *hint], htmlFor=dom), box], className="number")


def _results() -> html.Section:
    figures = [
        html.Figure([html.H2(title), graph(name), html.Figcaption(caption, id=f"{name}-caption")])
        for name, (title, caption) in FIGURES.items()
    ]
    return html.Section(
        [
            html.P("", id="refused", role="alert"),
            html.Div(
                [
                    html.P("starting", id="status", role="status"),
                    html.Progress(id="progress", max="1", value="0", **_named("Progress")),
                    html.Button("Cancel", id="cancel", disabled=True),
                    html.Button("Compute again", id="again"),
                ],
                className="bar",
            ),
            html.P("", id="warnings", className="soft"),
            html.Div(figures, className="figures", id="figures"),
            html.Div([html.H2("Numbers"), html.Div(id="numbers", className="scroll")]),
            html.Div(
                [
                    html.Div(
                        [html.H2("Code for these numbers"), html.Button("Copy", id="copy")],
                        className="head",
                    ),
                    html.Pre("", id="code", tabIndex=0, **_named("Python code")),
                ]
            ),
        ],
        id="results",
        className="results",
        tabIndex=-1,
        **_named("Results"),
    )


def _named(label: str) -> dict[str, Any]:
    """What a screen reader calls an element."""
    return {"aria-label": label}


def graph(name: str) -> dcc.Graph:
    """An empty figure of that name."""
    return dcc.Graph(figure=empty_figure(), id=name, config=GRAPH, responsive=True, style={"height": HEIGHT})


def table(rows: list[tuple[str, str]]) -> html.Table:
    """Labels and values."""
    return html.Table(html.Tbody([html.Tr([html.Th(label, scope="row"), html.Td(value)]) for label, value in rows]))
