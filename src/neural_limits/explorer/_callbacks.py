"""What happens when a control changes, while a computation runs, and when it has ended."""

from __future__ import annotations

from typing import Any

from dash import ALL, ClientsideFunction, Dash, Input, Output, State, ctx, no_update

from ._figures import kernel_figure, loss_figure, outlier_figure, stability_figure
from ._numbers import numbers
from ._page import controls, table
from ._views import VIEWS
from ._worker import Job, Worker

RESULTS = ("loss", "outliers", "stability", "kernels")
UNKNOWN = "this computation was replaced, by another page perhaps; press Compute again."


def connect(app: Dash, worker: Worker) -> None:
    """Register the callbacks."""

    @app.callback(
        Output("controls", "children"), Output("about", "children"), Input("view", "value"), prevent_initial_call=True
    )
    def choose(name: str) -> Any:
        view = VIEWS[name]
        return controls(view), view.about

    @app.callback(
        Output("refused", "children"), Output("job", "data"), Output("poll", "disabled"),
        Input({"setting": ALL}, "value"), Input("again", "n_clicks"), State("view", "value"),
    )  # fmt: skip
    def compute(values: list[Any], _again: int | None, name: str) -> Any:
        names = [each["id"]["setting"] for each in ctx.inputs_list[0]]
        return started(worker, name, dict(zip(names, values, strict=True)))

    @app.callback(Input("cancel", "n_clicks"), prevent_initial_call=True)
    def cancel(_clicks: int) -> None:
        worker.cancel()

    # Light, as the browser drops an answer once it has asked anew; what takes time is drawn once, below.
    @app.callback(
        Output("status", "children"), Output("status", "className"), Output("progress", "value"),
        Output("cancel", "disabled"), Output("figures", "className"), Output("poll", "disabled", allow_duplicate=True),
        Output("finished", "data"),
        Input("poll", "n_intervals"), Input("job", "data"), prevent_initial_call=True,
    )  # fmt: skip
    def follow(_ticks: int, number: int | None) -> Any:
        job = worker.look(number) if isinstance(number, int) else None
        return (*standing(job, number), number if job is not None and job.state == "done" else no_update)

    @app.callback(
        *(Output(name, "figure") for name in RESULTS),
        Output("kernels-caption", "children"), Output("numbers", "children"), Output("code", "children"),
        Output("warnings", "children"),
        Input("finished", "data"), prevent_initial_call=True,
    )  # fmt: skip
    def draw(number: int) -> Any:
        return results(worker.look(number) if isinstance(number, int) else None)

    app.clientside_callback(  # only the browser can write to its clipboard
        ClientsideFunction("explorer", "copy"),
        Output("copy", "children"), Input("copy", "n_clicks"), Input("code", "children"), prevent_initial_call=True,
    )  # fmt: skip


def started(worker: Worker, name: object, values: dict[str, object]) -> tuple[str, Any, Any]:
    """Refusal (empty: none), the job's number, and whether polling rests; a refused view leaves the last one alone."""
    try:
        view_type = VIEWS.get(name) if isinstance(name, str) else None
        if view_type is None:
            raise ValueError(f"`view` must be one of {', '.join(VIEWS)}.")
        number = worker.submit(view_type.parse(values))
    except ValueError as error:
        return str(error), no_update, no_update
    return "", number, False


def standing(job: Job | None, number: int | None) -> tuple[Any, ...]:
    """Status, its class, progress, whether Cancel is off, the figures' class, whether polling rests."""
    if job is None:
        return (UNKNOWN if number else no_update), "odd", "0", True, "figures stale", True
    if job.state == "running":
        share = job.done / job.total if job.total else 0.0
        count = f" {job.done} of {job.total}" if job.total else ""
        text = f"computing{count}, {job.message} ({job.seconds:.0f} s)"
        return text, "", f"{share:.3f}", False, "figures stale", False
    if job.state != "done":
        return f"{job.state}: {job.message}", "bad", "0", True, "figures stale", True
    status, message = job.data.attrs["status"], job.data.attrs["message"]
    text = f"{status} in {job.data.attrs['seconds']:.1f} s" + (f": {message}" if message else ".")
    return text, "good" if status == "completed" else "odd", "1", True, "figures", True


def results(job: Job | None) -> tuple[Any, ...]:
    """Four figures, a caption, the numbers, the code and the warnings of a job that is done; no change otherwise."""
    if job is None or job.state != "done":
        return (no_update,) * (len(RESULTS) + 4)
    data, lr = job.data, job.view.settings()["lr"]
    figures = (loss_figure(data), outlier_figure(data), stability_figure(data, lr), kernel_figure(data))
    caption = data.kernel.attrs["long_name"] if "kernel" in data else ""
    return (*figures, caption, table(numbers(data, lr)), job.view.code(), data.attrs["warnings"])
