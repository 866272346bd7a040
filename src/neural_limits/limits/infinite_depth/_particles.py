"""Neural Feature Dynamics for any activation: a ladder of depths, seeds, and extrapolation to L = ∞."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy import ndarray

from ..._checks import one_of, positive_float, positive_int
from ..._notation import attributes
from ...networks import Activation, ResNet, resolve_activation
from ...parametrizations import DepthMuP
from ...tasks import Task
from ...training import SGD
from ._data import Rates, check_data
from ._solution import Solution
from ._trajectories import gram, trajectories

KERNEL_TIMES = 9  # kernels are kept at t = 0, 1/8 … 1 (or at every layer of the shallowest grid if there are fewer)

Report = Callable[[int, int], None]


def solve(
    task: Task,
    activation: str | Activation = "tanh",
    steps: int = 3,
    lr: float = 0.5,
    lr_input: float | None = None,
    lr_output: float | None = None,
    sigma_w: float = 1.0,
    particles: int = 8192,
    depths: Sequence[int] = (16, 32, 64),
    seeds: int = 10,
    backward: str = "reused",
    *,
    tolerance: float = 1e-3,
    dtype: Any = None,
    progress: Report | None = None,
) -> Solution:
    """Training of an infinitely deep and wide residual network under depth-muP, with an error on every number.

    dh_t = σ dξ_t + Σ [σ² r - η χ Φ] g dt, -dg_t = φ'(h) {σ dζ_t + Σ [σ² s - η χ G] φ(h) dt}: solved by particles,
    neurons of a network of width ``particles`` on conditioned weights, layer by layer on grids of L = ``depths``
    steps, for ``seeds`` seeds each, and extrapolated in 1/L from the two finest grids.

    Returns `.status` and `.data` over step = 0..``steps``: loss, outputs, and the kernels over time t, each at
    L = ∞ with `_stderr` (over seeds, after extrapolation) and, from three grids on, `_truncation` (how far the
    extrapolation from the coarser pair lies); `loss_at` (depth, step) and `outputs_at` before extrapolation.
    Width enters as a bias O(1/particles), and as noise that the seeds average. ``lr_input`` and ``lr_output``:
    None is lr, 0 frozen. ``progress(done, runs)`` is called after each run.

    ValueError for arguments out of range, fewer than two depths (too short to extrapolate), fewer than two
    seeds (no error), a sample of norm zero. Cost: time and memory O(L n (steps P)²) a run; docs/infinite-depth.md.

    >>> import neural_limits as nl
    >>> task = nl.tasks.toy(samples=2, inputs=4, labels="sine")
    >>> solution = nl.limits.infinite_depth.solve(task, steps=1, lr=0.2, particles=64, depths=(2, 4), seeds=2)
    >>> solution.status, sorted(solution.data.sizes.items())[:2]
    ('completed', [('depth', 2), ('sample', 2)])
    """
    _, y = check_data(task.x, task.y)
    resolve_activation(activation)
    steps, seeds = positive_int("steps", steps, least=0), positive_int("seeds", seeds)
    rates = Rates.of(lr, lr_input, lr_output)
    ladder = check_ladder(depths)
    if seeds < 2:
        raise ValueError(f"`seeds` must be at least 2, for an error; got {seeds}.")
    one_of("backward", backward, ("reused", "decoupled"))
    times = np.linspace(0, 1, min(KERNEL_TIMES, ladder[0] + 1))
    scheme = DepthMuP(sigma_w=positive_float("sigma_w", sigma_w))
    optimizer = SGD(positive_float("lr", rates.lr), lr_input=rates.input, lr_output=rates.output)
    runs: list[list[dict[str, ndarray]]] = []
    for i, depth in enumerate(ladder):
        runs.append([])
        for seed in range(seeds):
            run = trajectories(
                ResNet(depth, "one-layer", activation), task, scheme, optimizer, width=particles, steps=steps,
                seed=1000 * depth + seed, backward=backward, tolerance=tolerance, dtype=dtype,
            )  # fmt: skip
            if run.status != "completed":
                return Solution(run.status, f"depth {depth}, seed {seed}: {run.message}", _empty(steps, y))
            layers = np.round(times * depth).astype(int)
            phi = resolve_activation(activation)
            runs[-1].append(
                {
                    "outputs": run.outputs,
                    "feature_kernel": gram(phi(run.h[layers])),
                    "gradient_kernel": gram(run.g[layers]),
                }
            )
            if progress is not None:
                progress(i * seeds + seed + 1, len(ladder) * seeds)
    data = _dataset(runs, ladder, times, y, steps)
    data.attrs.update(
        lr=rates.lr, lr_input=rates.input, lr_output=rates.output, sigma_w=sigma_w, backward=backward,
        activation=str(getattr(activation, "__name__", activation)), particles=particles, seeds=seeds,
        tolerance=tolerance, status="completed", message="",
    )  # fmt: skip
    return Solution("completed", "", data)


def check_ladder(depths: Sequence[int]) -> tuple[int, ...]:
    """At least two different depths, rising; ValueError otherwise."""
    ladder = tuple(sorted({positive_int("depths", depth) for depth in depths}))
    if len(ladder) < 2:
        raise ValueError(f"`depths` must hold at least two depths to extrapolate from; got {tuple(depths)}.")
    return ladder


def extrapolate(values: ndarray, depths: Sequence[int]) -> tuple[ndarray, ndarray, ndarray]:
    """Values (depth, seed, ...) at L = ∞ from a + b/L through the two finest grids: value, standard error, truncation.

    Truncation is the distance from what the pair of next coarser grids gives, an upper estimate of the error that
    b'/L² leaves; NaN with two grids only.
    """
    mean = values.mean(axis=1)
    error = values.std(axis=1, ddof=1) / values.shape[1] ** 0.5
    inverse = 1 / np.asarray(depths, float)

    def pair(i: int, j: int) -> tuple[ndarray, ndarray]:
        a, b = inverse[i] / (inverse[i] - inverse[j]), inverse[j] / (inverse[j] - inverse[i])
        return b * mean[i] + a * mean[j], np.hypot(b * error[i], a * error[j])

    value, stderr = pair(-2, -1)
    truncation = np.abs(pair(-3, -2)[0] - value) if len(inverse) > 2 else np.full_like(value, np.nan)
    return value, stderr, truncation


def _dataset(
    runs: list[list[dict[str, ndarray]]], depths: tuple[int, ...], times: ndarray, y: ndarray, steps: int
) -> xr.Dataset:
    """Everything extrapolated; the loss from each seed's own outputs."""
    samples = len(y)
    outputs = np.stack([[r["outputs"] for r in row] for row in runs])
    losses = ((outputs - y) ** 2).mean(-1) / 2
    data = xr.Dataset(
        coords={"step": np.arange(steps + 1), "sample": np.arange(samples), "time": times, "depth": list(depths)}
    )
    shape = (len(depths), len(runs[0]), len(times), steps + 1, samples, steps + 1, samples)
    kernel_dims = ("time", "step", "sample", "step_b", "sample_b")
    series = {"loss": (("step",), losses), "outputs": (("step", "sample"), outputs)}
    for name in ("feature_kernel", "gradient_kernel"):
        series[name] = (kernel_dims, np.stack([[r[name] for r in row] for row in runs]).reshape(shape))
    for name, (dims, values) in series.items():
        for suffix, array in zip(("", "_stderr", "_truncation"), extrapolate(values, depths), strict=True):
            data[name + suffix] = (dims, array, attributes(name))
        if name in ("loss", "outputs"):
            data[f"{name}_at"] = (("depth", *dims), values.mean(1), attributes(name))
            data[f"{name}_at_stderr"] = (("depth", *dims), values.std(1, ddof=1) / values.shape[1] ** 0.5)
    return data


def _empty(steps: int, y: ndarray) -> xr.Dataset:
    data = xr.Dataset(coords={"step": np.arange(steps + 1), "sample": np.arange(len(y))})
    for name in ("loss", "loss_stderr"):
        data[name] = ("step", np.full(steps + 1, np.nan), attributes("loss"))
    return data
