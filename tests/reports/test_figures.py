"""Figures: which there are, what is drawn, and that no global state is touched."""

import sys
from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from neural_limits.reports import captions, figures, png

Maker = Callable[..., xr.Dataset]


def lines(figure: Figure, panel: int) -> dict[str, np.ndarray]:
    """Values drawn in a panel by label, several lines of one label one after the other."""
    drawn: dict[str, list[np.ndarray]] = {}
    for line in figure.axes[panel].get_lines():
        drawn.setdefault(str(line.get_label()), []).append(np.asarray(line.get_ydata(), float))
    return {label: np.concatenate(values) for label, values in drawn.items()}


def test_a_run_with_a_dense_network_beside_it(make_run: Maker) -> None:
    data, dense = make_run("conditioned", 64), make_run("dense", 32, spectrum=True)
    before = dict(mpl.rcParams)
    drawn = figures(data, dense)
    assert list(drawn) == ["loss", "outliers", "spectrum", "overlaps", "rank"]
    assert set(drawn) <= set(captions(data, dense))
    assert drawn["loss"].axes[0].get_yscale() == "log"
    for figure in drawn.values():
        content = png(figure)
        assert content.startswith(b"\x89PNG")
        assert len(content) > 5000
        assert all(axis.get_ylabel() or axis.get_xlabel() for axis in figure.axes[:1])
    assert dict(mpl.rcParams) == before
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


def test_predicted_and_measured_outliers_are_where_they_belong(make_run: Maker) -> None:
    data, dense = make_run("conditioned", 64), make_run("dense", 32)
    figure = figures(data, dense)["outliers"]
    for layer in range(2):
        drawn = lines(figure, layer)
        for label, run in (
            ("predicted (conditioned, n = 64)", data),
            ("measured (dense, n = 32)", dense),
        ):
            expected = run.singular_value.isel(layer=layer).transpose("mode", "record").values.ravel()
            np.testing.assert_array_equal(drawn[label], expected)
        np.testing.assert_array_equal(drawn["bulk edge σ$_{\\mathrm{edge}}$"], np.full(4, 2.0))


def test_spectrum_has_the_law_of_its_edge(make_run: Maker) -> None:
    figure = figures(make_run("conditioned", 64), make_run("dense", 400, spectrum=True))["spectrum"]
    line = next(line for line in figure.axes[0].get_lines() if line.get_label() == "quarter-circle law")
    x, y = np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
    np.testing.assert_allclose(y, np.sqrt(np.maximum(4 - x**2, 0)) / np.pi, atol=1e-6)
    bars = np.array([bar.get_height() * bar.get_width() for bar in figure.axes[0].patches])
    np.testing.assert_allclose(bars.sum(), 398 / 400)  # the two outliers lie beyond the bars
    assert lines(figure, 0)["measured outliers"].shape == (2,)
    ticks = figure.axes[0].collections[0].get_paths()
    assert len(ticks) == 2


@pytest.mark.parametrize("layers", [1, 5])
def test_any_number_of_layers(make_run: Maker, layers: int) -> None:
    data, dense = make_run("conditioned", 64, layers=layers), make_run("dense", 32, layers=layers, spectrum=True)
    drawn = figures(data, dense)
    assert sum(axis.get_visible() for axis in drawn["outliers"].axes) == layers


def test_a_deep_network_shows_some_layers(make_run: Maker) -> None:
    data = make_run("conditioned", 64, layers=30)
    titles = [axis.get_title(loc="left") for axis in figures(data)["outliers"].axes if axis.get_visible()]
    assert len(titles) == 12
    assert (titles[0], titles[-1]) == ("layer 0", "layer 29")
    assert "12 layers of 30" in captions(data)["outliers"]


def test_a_run_without_outliers(make_run: Maker, recwarn: pytest.WarningsRecorder) -> None:
    data, dense = make_run("conditioned", 64, modes=0), make_run("dense", 32, modes=0, spectrum=True)
    drawn = figures(data, dense)
    assert list(drawn) == ["loss", "outliers", "spectrum", "rank"]
    assert [text.get_text() for text in drawn["outliers"].axes[0].texts] == ["no outliers"]
    for name in ("outliers", "spectrum"):
        png(drawn[name])
    assert not recwarn.list


def test_a_run_without_records_or_hidden_weights(make_run: Maker) -> None:
    data = make_run("conditioned", 64)
    assert list(figures(data.isel(record=slice(0)))) == ["loss", "rank"]
    assert list(figures(data.isel(layer=slice(0)))) == ["loss"]


def test_a_dense_run_is_its_own_measurement(make_run: Maker) -> None:
    data = make_run("dense", 32, spectrum=True)
    drawn = figures(data)
    assert list(drawn) == ["loss", "outliers", "spectrum", "overlaps"]
    assert "measured (dense, n = 32)" in lines(drawn["outliers"], 0)
    assert "predicted" not in captions(data)["outliers"]


def test_a_diverged_run_is_drawn(make_run: Maker, recwarn: pytest.WarningsRecorder) -> None:
    data, dense = make_run("conditioned", 64), make_run("dense", 32, spectrum=True)
    data["loss"] = data.loss.where(data.step < 3)
    data.loss[2] = np.inf
    data["singular_value"] = data.singular_value * 1e5
    dense["spectrum"] = dense.spectrum.where(dense.spectrum < 2, 1e7)
    drawn = figures(data, dense)
    assert drawn["outliers"].axes[0].get_yscale() == "log"
    assert drawn["spectrum"].axes[0].get_xscale() == "symlog"
    for name in ("outliers", "spectrum"):
        png(drawn[name])
    assert not recwarn.list


def test_odd_names_are_text_and_not_mathematics(make_run: Maker) -> None:
    data = make_run("conditioned", 64).assign_attrs(weights="<b> $\\frac{$ ü")
    png(figures(data)["loss"])
