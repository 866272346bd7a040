"""The dataset of a sweep, and optima and slopes of data whose answers are known."""

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from neural_limits.runs import to_json
from neural_limits.sweeps import Request, SweepFolder, best_rate, open_sweep, rate_slope, slope
from neural_limits.sweeps import _curves as curves_module
from neural_limits.sweeps._trial import Claim, create


def filled(path: Path, tables: dict[str, Any], leave: int = 0) -> SweepFolder:
    """A sweep whose trials ended with loss lr · 10 + seed, all but the last ``leave``; lr above 1 diverges."""
    folder = SweepFolder.create(path)
    folder.add_request(Request.of(tables))
    trials = Request.of(tables).required({})
    for i, configuration in enumerate(trials):
        claim = Claim.take(folder.trials / create(folder.trials, configuration), 0.0)
        assert claim is not None
        if i >= len(trials) - leave:
            claim.give("waiting")
            continue
        loss = np.arange(configuration.steps + 1) + 10 * configuration.lr + configuration.seed
        status = "diverged" if configuration.lr > 1 else "completed"
        file = io.BytesIO()
        np.save(file, loss)
        claim.write("loss.npy", file.getvalue())
        last = float("inf") if status == "diverged" else loss[-1]
        claim.write("summary.json", to_json({"loss": last, "message": "", "seconds": 2.0, "status": status}))
        claim.give(status)
    return folder


def test_a_grid_is_laid_out_over_its_fields(tmp_path: Path) -> None:
    grid = {"lr": [0.1, 2.0], "steps": [3, 5], "parametrization": ["ntk", "mup"], "seed": [0, 1]}
    folder = filled(tmp_path, {"grid": grid}, leave=1)
    data = open_sweep(tmp_path).data
    assert dict(data.final_loss.sizes) == {"lr": 2, "steps": 2, "parametrization": 2, "seed": 2}
    assert data.parametrization.values.tolist() == ["ntk", "mup"]
    one = data.sel(lr=0.1, steps=3, parametrization="mup", seed=1)
    np.testing.assert_allclose(one.loss.values, [2, 3, 4, 5, np.nan, np.nan])
    assert (one.final_loss, one.status, one.seconds) == (5.0, "completed", 2.0)
    assert folder.configuration(str(one.trial_name.values)).seed == 1
    assert np.isinf(data.final_loss.sel(lr=2.0, steps=3)).all()
    last = data.isel(lr=-1, steps=-1, parametrization=-1, seed=-1)
    assert last.status == "waiting"
    assert np.isnan(last.final_loss)
    np.testing.assert_array_equal(
        data.loss.isel(lr=0, steps=0, parametrization=[1, 0], seed=-1).values[:, 1:3], [[3, 4], [3, 4]]
    )


def test_curves_are_read_when_they_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path, {"base": {"steps": 4}, "grid": {"lr": [0.1, 0.2, 0.3], "seed": [0, 1]}})
    read: list[Any] = []
    load = curves_module.read_curve
    monkeypatch.setattr(curves_module, "read_curve", lambda path, *a: read.append(path) or load(path, *a))
    data = open_sweep(tmp_path).data
    assert float(data.final_loss.mean()) == pytest.approx(4 + 2 + 0.5)
    assert not read
    assert float(data.loss.isel(lr=1, seed=0, step=2)) == 4.0
    assert len(read) == 1


def test_points_outside_the_grid_and_further_fields(tmp_path: Path) -> None:
    filled(tmp_path, {"grid": {"lr": [0.1, 0.2]}})
    filled(tmp_path, {"base": {"momentum": 0.9}, "grid": {"lr": [0.2, 0.4]}})
    data = open_sweep(tmp_path).data
    assert dict(data.final_loss.sizes) == {"lr": 3, "momentum": 2}
    assert data.status.sel(lr=0.4, momentum=0.0) == "not asked"
    assert data.status.sel(lr=0.4, momentum=0.9) == "completed"


def test_a_form_that_each_width_has_is_a_coordinate_of_the_widths(tmp_path: Path) -> None:
    lazy = {"weights": "conditioned", "tolerance": 0.05}
    filled(tmp_path, {"base": {"weights": "dense"}, "grid": {"width": [8, 16], "lr": [0.1, 0.2], "seed": [0, 1, 2]}})
    filled(tmp_path, {"base": lazy, "grid": {"width": [32], "lr": [0.2, 0.4], "seed": [0]}})
    data = open_sweep(tmp_path).data
    assert dict(data.final_loss.sizes) == {"width": 3, "lr": 3, "seed": 3}
    assert data.weights.dims == data.tolerance.dims == ("width",)
    assert data.weights.values.tolist() == ["dense", "dense", "conditioned"]
    assert data.tolerance.values.tolist() == ["none", "none", "0.05"]
    assert data.status.sel(width=32, lr=0.2).values.tolist() == ["completed", "not asked", "not asked"]
    filled(tmp_path, {"base": lazy, "grid": {"width": [16], "lr": [0.1], "seed": [0]}})
    data = open_sweep(tmp_path).data  # width 16 has both
    assert dict(data.final_loss.sizes) == {"width": 3, "lr": 3, "seed": 3, "weights": 2}
    assert dict(zip(data.weights.values, data.tolerance.values, strict=True)) == {
        "dense": "none",
        "conditioned": "0.05",
    }


def test_a_trial_that_was_removed_is_missing_and_one_that_no_grid_holds_is_not_asked(tmp_path: Path) -> None:
    folder = filled(tmp_path, {"grid": {"lr": [0.1, 0.2], "seed": [0, 1]}})
    filled(tmp_path, {"base": {"seed": 2}, "grid": {"lr": [0.4]}})
    name = str(open_sweep(tmp_path).data.trial_name.sel(lr=0.2, seed=1).values)
    shutil.rmtree(folder.trials / name)
    status = open_sweep(tmp_path).data.status.transpose("lr", "seed").values.tolist()
    assert status == [
        ["completed", "completed", "not asked"],
        ["completed", "missing", "not asked"],
        ["not asked", "not asked", "completed"],
    ]


def test_defaults_that_follow_from_other_fields_are_no_dimensions(tmp_path: Path) -> None:
    filled(tmp_path, {"grid": {"optimizer": ["sgd", "muon"], "lr": [0.1, 0.2]}})  # momentum, nesterov, tolerance differ
    assert dict(open_sweep(tmp_path).data.final_loss.sizes) == {"optimizer": 2, "lr": 2}
    filled(tmp_path, {"base": {"optimizer": "sgd", "momentum": 0.5, "schedule": "linear"}, "grid": {"lr": [0.2]}})
    data = open_sweep(tmp_path).data
    assert dict(data.final_loss.sizes) == {"optimizer": 2, "lr": 2, "momentum": 3, "schedule": 2}
    assert (data.status == "completed").sum() == 5
    assert data.status.sel(optimizer="sgd", lr=0.2, momentum=0.5, schedule="linear") == "completed"


def test_samples_are_a_dimension_of_their_own(tmp_path: Path) -> None:
    spec = {"distribution": "log-uniform", "low": 0.01, "high": 1.0}
    filled(tmp_path, {"random": {"count": 7, "lr": spec, "gamma": spec}, "grid": {"seed": [0, 1]}})
    data = open_sweep(tmp_path).data
    assert dict(data.final_loss.sizes) == {"seed": 2, "trial": 7}
    np.testing.assert_allclose(data.final_loss.sel(seed=1), 100 + 10 * data.lr + 1)
    assert data.gamma.dims == ("trial",)


def test_a_damaged_trial_is_shown_as_such(tmp_path: Path) -> None:
    folder = filled(tmp_path, {"grid": {"lr": [0.1, 0.2, 0.3]}})
    first, second, _ = folder.scan()
    (first.folder / "summary.json").write_bytes(b"\0")
    (second.folder / "loss.npy").write_bytes(b"\0")
    data = open_sweep(tmp_path).data
    assert sorted(data.status.values) == ["completed", "completed", "damaged"]
    assert np.isnan(data.final_loss).sum() == 1
    assert "remove the folder" in data.problems[0]
    assert np.isnan(data.loss.isel(lr=data.trial_name.values.tolist().index(second.name))).all()


# -- optima and slopes -------------------------------------------------------------------------------------


def parabolas(optima: dict[int, float], rates: np.ndarray, seeds: int = 1, spread: float = 0.0) -> xr.Dataset:
    """log loss = (log2 lr - log2 optimum(width) - noise(seed))²."""
    noise = spread * np.random.default_rng(0).standard_normal((len(optima), seeds))
    centre = np.log2(list(optima.values()))[:, None] + noise
    loss = np.exp((np.log2(rates)[None, :, None] - centre[:, None]) ** 2)
    coords = {"width": list(optima), "lr": rates, "seed": range(seeds)}
    return xr.Dataset({"final_loss": (("width", "lr", "seed"), loss)}, coords)


def test_the_optimum_of_a_parabola_is_found_exactly_on_uneven_grids() -> None:
    rates = np.array([0.01, 0.02, 0.05, 0.2, 0.3, 1.0])
    found = best_rate(parabolas({64: 0.07, 128: 0.22}, rates))
    np.testing.assert_allclose(found.best, [0.07, 0.22], rtol=1e-12)
    assert not found.at_border.any()
    assert np.isnan(found.best_error).all()


def test_the_error_is_that_of_the_mean_over_seeds() -> None:
    rates = 2.0 ** np.arange(-12, 4)
    found = best_rate(parabolas({64: 0.05}, rates, seeds=40, spread=0.5))
    error = 0.5 * np.log(2) / np.sqrt(40)
    assert float(found.best_error[0]) == pytest.approx(error, rel=0.35)
    assert abs(np.log(float(found.best[0]) / 0.05)) < 4 * error


def test_borders_and_divergence_are_said() -> None:
    rates = 2.0 ** np.arange(-6, 1)
    data = parabolas({1: 2.0**-3, 2: 2.0, 3: 2.0**-2.9, 4: 2.0**-3}, rates)
    data.final_loss.loc[{"width": 3, "lr": rates[4:]}] = np.inf
    data.final_loss.loc[{"width": 4, "lr": rates[4]}] = np.nan
    found = best_rate(data)
    assert found.at_border.values.tolist() == [False, True, False, True]
    assert found.beside_divergence.values.tolist() == [False, False, True, False]
    assert found.best.values.tolist() == [2.0**-3, 1.0, 2.0**-3, 2.0**-3]


def test_sizes_may_have_different_numbers_of_seeds() -> None:
    widths, rates = (64, 128, 256, 512), 2.0 ** np.arange(-14, 2)
    whole = parabolas({n: 4.0 * n**-0.75 for n in widths}, rates, seeds=12, spread=0.2)
    few = whole.copy(deep=True)
    few.final_loss.loc[{"width": 512, "seed": range(3, 12)}] = np.nan
    own = best_rate(whole.sel(width=[512], seed=[0, 1, 2]))
    found = best_rate(few)
    assert float(found.best[3]) == pytest.approx(float(own.best[0]))
    assert float(found.best_error[3]) == pytest.approx(float(own.best_error[0]))
    assert float(rate_slope(few, "width").slope_error) > float(rate_slope(whole, "width").slope_error)
    few.final_loss.loc[{"width": 512}] = np.nan
    assert np.isnan(best_rate(few).best[3])
    assert np.isnan(rate_slope(few, "width").slope)


def test_slopes_of_best_rates_and_of_losses() -> None:
    widths, rates = (64, 128, 256, 512), 2.0 ** np.arange(-14, 2)
    data = parabolas({n: 4.0 * n**-0.75 for n in widths}, rates, seeds=12, spread=0.2)
    found = rate_slope(data, "width")
    assert 0 < float(found.slope_error) < 0.1
    assert abs(float(found.slope) + 0.75) < 4 * float(found.slope_error)
    loss = xr.DataArray([[3.0 / n] * 2 for n in widths], {"width": list(widths), "seed": [0, 1]}, ("width", "seed"))
    assert float(slope(loss, "width").slope) == pytest.approx(-1)
    with pytest.raises(ValueError, match="`depth` must be a field that varies"):
        slope(loss, "depth")
