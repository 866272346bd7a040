"""`deep_linear`: one deep linear run in the proportional limit, or a grid of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import numpy as np
import xarray as xr
from numpy import ndarray
from threadpoolctl import threadpool_limits

from ..._checks import positive_int
from ._dmft import solve
from ._setting import Setting, check_sigma
from ._solution import DeepLinear, Found, dataset

GRID = ("width_ratio", "sample_ratio", "batch_ratio", "gamma", "label_noise", "lr")
CHUNK_BYTES = 2**28  # of order parameters solved together: small products let other threads work only in large batches
KERNEL_BYTES = 2**31  # order parameters of a grid beyond this are refused, before they fill the memory

Report = Callable[[int, int], None]


def deep_linear(
    depth: int = 2,
    width_ratio: Any = 1.0,
    sample_ratio: Any = 2.0,
    lr: Any = 0.05,
    gamma: Any = 2.0,
    sigma_w: float | Sequence[float] = 0.5,
    label_noise: Any = 0.3,
    steps: int = 60,
    parametrization: str = "mup",
    batch_ratio: Any = None,
    *,
    kernels: bool = True,
    progress: Report | None = None,
) -> DeepLinear:
    """Training of a deep linear network as width N, inputs D and samples P diverge together, without sampling.

    h¹ = W⁰x/√D, h^{l+1} = W^l h^l/√N, f = √D/(γ₀N) w·h^L, y = X w*/√D + σ_ε ε, loss (1/2P) Σ (f - y)², gradient
    descent at rate η γ₀² N. ``width_ratio`` ν = N/D, ``sample_ratio`` α = P/D; ``parametrization`` "mup" keeps
    γ₀ = ``gamma`` over widths, "ntk" is γ₀ = gamma/√ν. ``sigma_w`` is the standard deviation of the entries of
    W⁰..W^{L-1} and w: a number, or depth + 1 of them. With ``batch_ratio`` = batch/D every step draws a fresh
    batch (one pass; the train loss is then the expected loss of the batch, and sample_ratio is not used). Any of
    the ratios, gamma, label_noise and lr may be an array: each becomes a dimension of the results.

    Returns a `DeepLinear` with `.status`, `.data` (train_loss and test_loss over step = 0..steps updates made, mean
    squared errors, test without label noise; kernels unless ``kernels=False``, which a large grid needs) and
    `.outliers(k)`, `.ntk_edge(k)`, `.ntk_top(k)`. Divergence is a status; losses are NaN from that step on.
    ``progress(done, runs)`` is called now and then.

    ValueError for arguments out of range. Error: rounding; networks of finite size scatter about the limit by
    order 1/√D (docs/deep-linear.md). Cost: 12 (L + 1) steps³/3 multiplications a run, on all cores for a grid.
    Source: arXiv 2605.07870 (setting); equations derived in docs/deep-linear.md.

    >>> import neural_limits as nl
    >>> sol = nl.limits.deep_linear(steps=20)
    >>> sol.data.train_loss.values[[0, 10, 20]].round(8).tolist()
    [1.09390625, 0.68474476, 0.16075469]
    >>> [w.above.round(6).tolist() for w in sol.outliers(20)]
    [[1.204107], [1.226226]]
    """
    given = dict(zip(GRID, (width_ratio, sample_ratio, batch_ratio, gamma, label_noise, lr), strict=True))
    axes = {name: _axis(name, value) for name, value in given.items() if np.ndim(value)}
    depth = positive_int("depth", depth)
    fixed = {name: value for name, value in given.items() if name not in axes}
    sigma = check_sigma(sigma_w, depth)
    common = {"depth": depth, "sigma_w": sigma, "steps": steps, "parametrization": parametrization, **fixed}
    settings = [Setting(**common, **dict(zip(axes, point, strict=True))) for point in product(*axes.values())]
    shape = [len(axis) for axis in axes.values()]
    index = xr.DataArray(np.arange(len(settings)).reshape(shape), dims=list(axes), coords=dict(axes))
    found = _in_threads(settings, kernels, progress)
    return DeepLinear(tuple(settings), index, found, dataset(settings[0], index, found))


def _axis(name: str, values: Any) -> ndarray:
    """One dimension of a grid; ValueError unless it is a list of different numbers."""
    axis = np.asarray(values, float)
    if axis.ndim != 1 or axis.size == 0:
        raise ValueError(f"`{name}` must be a number or a list of numbers; got shape {axis.shape}.")
    if len(np.unique(axis)) < len(axis):
        raise ValueError(f"`{name}` must hold different values; remove the repeated ones.")
    return axis


def _in_threads(settings: Sequence[Setting], kernels: bool, progress: Report | None) -> Found:
    """All runs, in chunks side by side; products of large batches release the interpreter's lock."""
    bytes_each = _bytes(settings[0])
    total = len(settings)
    if kernels and bytes_each * total > KERNEL_BYTES:
        size = bytes_each * total / 2**30
        raise ValueError(f"`kernels` of {total} runs would take {size:.3g} GiB; pass kernels=False for losses only.")
    size = min(max(1, CHUNK_BYTES // bytes_each), -(-total // (os.cpu_count() or 1)))
    chunks = [settings[i : i + size] for i in range(0, total, size)]

    def one(chunk: Sequence[Setting]) -> Found:
        order = solve(chunk)
        kept = tuple(order.one(i) for i in range(len(chunk))) if kernels else None
        return Found(order.train_loss.copy(), order.test_loss.copy(), order.diverged_at, kept)

    found = []
    # the products are too small to be worth BLAS threads of their own
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
        for part in pool.map(one, chunks):
            found.append(part)
            if progress is not None:
                progress(sum(len(p.diverged_at) for p in found), total)
    kept = tuple(order for part in found for order in part.orders or ()) if kernels else None
    joined = [np.concatenate([part[i] for part in found]) for i in range(3)]
    return Found(joined[0], joined[1], joined[2], kept)


def _bytes(setting: Setting) -> int:
    """Of the order parameters of one run: seven matrices a pair, two for the residuals."""
    return 8 * (setting.steps + 1) ** 2 * (7 * (setting.depth + 1) + 2)
