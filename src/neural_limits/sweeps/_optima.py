"""Optima of the learning rate and slopes over sizes, with bootstrap errors over seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr
from numpy import ndarray

from .._fits import RESAMPLES, log_slope, slope_over, vertex

Estimate = Callable[[Sequence[float], list[ndarray]], tuple[float, float]]  # a slope and its error


def best_rate(data: xr.Dataset, *, rate: str = "lr", seeds: str = "seed", seed: int = 0) -> xr.Dataset:
    """The learning rate of least final loss, for every combination of the other fields.

    Geometric mean of ``data.final_loss`` over seeds; a parabola in log loss over log rate through the lowest point and
    its neighbours. ``best``; ``best_error``: its relative standard error, from resampled seeds (NaN for fewer than
    two); ``at_border``: the lowest point is the smallest or largest rate, or stands beside a missing one, so that the
    optimum may lie beyond; ``beside_divergence``: the next rate diverged for a seed, and ``best`` is a point of the
    grid. A rate at which a seed diverged is none.

    >>> lr, seed = [0.1, 0.2, 0.4], [0, 1]
    >>> loss = [[2.0, 2.1], [1.0, 1.1], [2.0, 2.2]]
    >>> data = xr.Dataset({"final_loss": (("lr", "seed"), loss)}, coords={"lr": lr, "seed": seed})
    >>> float(best_rate(data).best.round(2)), bool(best_rate(data).at_border)
    (0.2, False)
    """
    rates = np.asarray(data[rate].values, float)
    losses = _ordered(data.final_loss, (rate, seeds))

    def one(cell: ndarray) -> tuple[float, float, bool, bool]:
        cell = cell[:, ~np.isnan(cell).all(0)]  # seeds without a result are none to be resampled
        value, border, beside = _best(cell, rates)
        error = float("nan")
        if (n := cell.shape[1]) > 1:
            rng = np.random.default_rng(seed)
            drawn = np.stack([rng.integers(0, n, n) for _ in range(RESAMPLES)])
            again, _, _ = _best(cell[:, drawn].swapaxes(0, 1), rates)
            error = float(np.std(again) * np.log(2))
        return 2.0 ** float(value), error, bool(border), bool(beside)

    names = ("best", "best_error", "at_border", "beside_divergence")
    kinds = (float, float, bool, bool)
    found = xr.apply_ufunc(
        one, losses, input_core_dims=[[rate, seeds]], output_core_dims=[[]] * 4, vectorize=True, output_dtypes=kinds
    )
    return xr.Dataset(dict(zip(names, found, strict=True)))


def rate_slope(data: xr.Dataset, over: str, *, rate: str = "lr", seeds: str = "seed") -> xr.Dataset:
    """``slope`` and ``slope_error`` of log best rate in log size, such as the width; zero where rates transfer."""
    rates = np.asarray(data[rate].values, float)

    def estimate(sizes: Sequence[float], samples: list[ndarray]) -> tuple[float, float]:
        """As `slope_over`, all resamples of a size at once."""
        rng = np.random.default_rng(0)
        drawn = [[rng.integers(0, len(s), len(s)) for s in samples] for _ in range(RESAMPLES)]
        values = [_best(s.T, rates)[0] for s in samples]
        again = [
            _best(s[np.stack(d)].swapaxes(1, 2), rates)[0]
            for s, d in zip(samples, zip(*drawn, strict=True), strict=True)
        ]
        value, scattered = (log_slope(sizes, 2.0 ** np.stack(v, -1)) for v in (values, again))
        return float(value), float(np.nanstd(scattered))

    return _slopes(data.final_loss, over, seeds, [rate], estimate)


def slope(values: xr.DataArray, over: str, *, seeds: str = "seed") -> xr.Dataset:
    """``slope`` and ``slope_error`` of the logarithm of the mean over seeds in the logarithm of a size.

    >>> loss = xr.DataArray([[4.0, 4.0], [2.0, 2.0], [1.0, 1.0]], {"width": [1, 2, 4], "seed": [0, 1]})
    >>> float(slope(loss, "width").slope.round(6))
    -1.0
    """

    def means(samples: list[ndarray]) -> ndarray:
        return np.array([np.nanmean(s) for s in samples])

    return _slopes(values, over, seeds, [], lambda sizes, samples: slope_over(sizes, samples, means))


def _slopes(values: xr.DataArray, over: str, seeds: str, inner: Sequence[str], estimate: Estimate) -> xr.Dataset:
    core = [over, seeds, *inner]
    values = _ordered(values, core)
    sizes = values[over].values.tolist()

    def one(cell: ndarray) -> tuple[float, float]:
        samples = [s[~np.isnan(s.reshape(len(s), -1)).all(1)] for s in cell]
        if min(map(len, samples)) == 0:
            return float("nan"), float("nan")
        value, error = estimate(sizes, samples)
        return value, error if max(map(len, samples)) > 1 else float("nan")

    found = xr.apply_ufunc(
        one, values, input_core_dims=[core], output_core_dims=[[], []], vectorize=True,
        output_dtypes=(float, float),
    )  # fmt: skip
    return xr.Dataset({"slope": found[0], "slope_error": found[1]})


def _ordered(values: xr.DataArray, core: Sequence[str]) -> xr.DataArray:
    """With all dimensions that are asked for; a field that does not vary has length one."""
    missing = [name for name in core if name not in values.dims]
    if set(missing) - {"seed"}:
        raise ValueError(f"`{missing[0]}` must be a field that varies; got {tuple(values.dims)}.")
    return values.expand_dims(missing)


def _best(losses: ndarray, rates: ndarray) -> tuple[ndarray, ndarray, ndarray]:
    """log2 of the best rate of losses (..., rate, seed), whether it is at the border, whether beside divergence."""
    x, last = np.log2(rates), len(rates) - 1
    count = (~np.isnan(losses)).sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(count > 0, np.nansum(np.log(losses), -1) / np.maximum(count, 1), np.nan)
    usable = np.isfinite(logs)
    i = np.argmin(np.where(usable, logs, np.inf), -1)
    near = np.clip(i[..., None] + [-1, 0, 1], 0, last)
    y = np.take_along_axis(logs, near, -1)
    border = (i == 0) | (i == last) | np.isnan(y).any(-1)
    beside = np.where(border, np.isinf(y[..., 2]), ~np.isfinite(y).all(-1))
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = vertex(x[near], y)
    none = ~usable.any(-1)
    value = np.where(none, np.nan, np.where(border | beside, x[i], inside))
    return value, border | none, beside & ~none
