"""Power laws in width and depth."""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy import stats

from neural_limits.torch._size_slopes import axes, ladder, slope


def test_slope_and_error_are_those_of_a_linear_regression() -> None:
    rng = np.random.default_rng(0)
    widths = xr.DataArray([32, 64, 256], dims="size")
    values = xr.DataArray(np.exp(rng.normal(size=(3, 4, 2))), dims=("size", "seed", "layer"))
    value, error = slope(values, widths)
    for layer in range(2):
        x, y = np.repeat(np.log([32, 64, 256]), 4), np.log(values[..., layer].values.ravel())
        oracle = stats.linregress(x, y)
        np.testing.assert_allclose([value[layer], error[layer]], [oracle.slope, oracle.stderr], rtol=1e-12)


def test_two_points_have_no_error_and_zeros_no_slope() -> None:
    widths = xr.DataArray([32, 64], dims="size")
    value, error = slope(xr.DataArray([[1.0], [4.0]], dims=("size", "seed")), widths)
    np.testing.assert_allclose(value, 2.0, rtol=1e-12)
    assert np.isnan(error)
    value, error = slope(xr.DataArray([[0.0, 1.0], [4.0, 1.0]], dims=("size", "seed")), widths)
    assert np.isnan(value)
    assert np.isnan(error)


def test_ladders_share_the_first_size() -> None:
    data = xr.Dataset(coords={"width": ("size", [32, 64, 32, 32]), "depth": ("size", [2, 2, 4, 8])})
    assert axes(data) == ["width", "depth"]
    assert ladder(data, "width").width.values.tolist() == [32, 64]
    assert ladder(data, "depth").depth.values.tolist() == [2, 4, 8]
    assert axes(data.drop_vars("depth").isel(size=[0, 1])) == ["width"]
