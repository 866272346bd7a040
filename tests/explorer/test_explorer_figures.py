"""Figures and numbers show what is in the dataset."""

import numpy as np
import pytest
import xarray as xr

from neural_limits.explorer._callbacks import results
from neural_limits.explorer._figures import kernel_figure, loss_figure, outlier_figure, stability_figure
from neural_limits.explorer._numbers import numbers
from neural_limits.explorer._views import VIEWS
from neural_limits.explorer._worker import Job


@pytest.fixture
def data() -> xr.Dataset:
    values = np.full((3, 2, 1), np.nan)
    values[1:, 1, 0] = 2.3, 2.5
    return xr.Dataset(
        {
            "loss": ("step", [1.0, 0.5, 0.02]),
            "singular_value": (("record", "layer", "mode"), values),
            "record_edge": (("record", "layer"), np.full((3, 2), 2.0)),
            "eigenvalue": ("record", [1.0, 30.0, 60.0]),
            "kernel": (("panel", "row", "column"), [np.eye(2), 3 * np.eye(2)], {"long_name": "sample by sample"}),
        },
        coords={"step": [0, 1, 2], "record": [0, 1, 2], "panel": ["start", "end"]},
        attrs={"status": "completed", "message": "", "seconds": 1.0, "warnings": ""},
    )


def test_loss(data: xr.Dataset) -> None:
    figure = loss_figure(data)
    assert list(figure.data[0].y) == [1.0, 0.5, 0.02]
    assert figure.layout.yaxis.type == "log"  # it spans more than twenty
    assert loss_figure(data.isel(step=[0, 1])).layout.yaxis.type is None
    assert [trace.name for trace in loss_figure(data.assign(test_loss=data.loss)).data] == ["train", "test"]
    error = data.assign(loss_stderr=data.loss / 10, loss_truncation=data.loss)
    np.testing.assert_allclose(loss_figure(error).data[0].error_y.array, [1.2, 0.6, 0.024])


def test_outliers_and_edge(data: xr.Dataset) -> None:
    traces = {trace.name: trace for trace in outlier_figure(data).data}
    assert set(traces) == {"bulk edge", "layer 1"}  # both layers have one edge; layer 0 has no outlier
    assert list(traces["layer 1"].y)[1:] == [2.3, 2.5]
    none = data.assign(singular_value=data.singular_value * np.nan)
    assert "no singular value" in outlier_figure(none).layout.annotations[0].text
    assert (
        outlier_figure(data.drop_vars("singular_value").assign_attrs(no_outliers="why")).layout.annotations[0].text
        == "why"
    )


def test_stability_is_drawn_against_two(data: xr.Dataset) -> None:
    figure = stability_figure(data, lr=0.05)
    traces = {trace.name: trace for trace in figure.data}
    np.testing.assert_allclose(traces["leading mode"].y, [0.05, 1.5, 3.0])
    assert set(traces["stable below 2"].y) == {2}
    assert figure.layout.yaxis.range[1] > 3.0


def test_kernels_of_start_and_end_share_a_scale(data: xr.Dataset) -> None:
    figure = kernel_figure(data)
    assert {trace.zmax for trace in figure.data} == {3.0}
    data.kernel.attrs["long_name"] = "of two steps"
    assert [trace.zmax for trace in kernel_figure(data).data] == [1.0, 3.0]


def test_numbers(data: xr.Dataset) -> None:
    rows = dict(numbers(data, lr=0.05))
    assert rows["loss after 2 updates"] == "0.02"
    assert rows["outliers, layer 0"] == "none (edge 2)"
    assert rows["outliers, layer 1"] == "2.5 (edge 2)"
    assert rows["η λ after 2 updates"] == "3"
    diverged = data.assign(loss=("step", [1.0, 9.0, np.nan]))
    assert dict(numbers(diverged, lr=0.05))["loss after 1 update"] == "9"


def test_a_view_that_has_little_is_drawn_all_the_same() -> None:
    data = xr.Dataset({"loss": ("step", [1.0, np.nan])}, coords={"step": [0, 1]})
    data.attrs = {"status": "diverged", "message": "it grew", "seconds": 1.0, "warnings": ""}
    drawn = results(Job(1, VIEWS["network"](), state="done", data=data))
    assert len(drawn) == 8
