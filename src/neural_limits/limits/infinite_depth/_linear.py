"""Deep linear residual networks, exactly: infinite width at finite depth L, and at L = ∞."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float
from numpy import ndarray
from numpy.polynomial import chebyshev

from ..._checks import one_of, positive_float, positive_int
from . import _linear_finite, _linear_limit
from ._data import Rates, check_data, kernel_dataset
from ._linear_equations import Problem, Solved, State, enlarged, first_guess
from ._solution import Solution

ITERATIONS = 400
PRECISION = 1e-12  # of the fixed point, relative
DIVERGED = 1e6
NODES = (12, 16, 24, 36, 54)
TAIL = 1e-10  # Chebyshev coefficients of the kernels must fall this far, or more nodes are taken


def linear(
    x: ndarray,
    y: ndarray,
    steps: int = 4,
    lr: float = 0.2,
    lr_input: float | None = None,
    lr_output: float | None = None,
    sigma_w: float = 1.0,
    depth: int | None = None,
    backward: str = "reused",
) -> Solution:
    """Training of a linear one-layer-block ResNet under depth-muP at infinite width, without sampling.

    h_l = h_{l-1} + W_l h_{l-1}/√(L n), f = v·h_L/n, loss 1/2P Σ (f - y)²: the joint Gaussian law of features h
    and backward vectors g over all steps and samples is closed by its covariances Φ, G and the responses R, S
    that reusing W_l in backpropagation brings (docs/infinite-depth.md). ``depth`` None is the limit L = ∞.

    x (P, d) with no zero row, y (P,) or (P, 1); ``lr`` moves W, ``lr_input`` U, ``lr_output`` v (None: lr, 0:
    frozen); ``backward`` "decoupled" replaces the weights of backpropagation by independent ones (R = S = 0).
    Returns `.status` (completed, diverged or no_convergence, with a message) and `.data` over step = 0..steps:
    loss, outputs, and the kernels and responses over time t = l/L; NaN after divergence.

    ValueError for arguments out of range. Error: 1e-12 relative at finite depth, the Chebyshev tail (in
    `.data.attrs["truncation"]`) in the limit. Cost: a fixed point of about ten sweeps per step, each O(L (K P)³)
    or O((16 K P)³), K = steps + 1. Source: arXiv 2512.21075; equations derived in docs/infinite-depth.md.

    >>> import neural_limits as nl
    >>> task = nl.tasks.toy(samples=4, inputs=8, seed=7, labels="sine")
    >>> solution = nl.limits.infinite_depth.linear(task.x, task.y, steps=2, lr=0.2)
    >>> solution.data.loss.values.round(6).tolist()
    [0.5, 0.085787, 0.033459]
    """
    x, y = check_data(x, y)
    steps = positive_int("steps", steps, least=0)
    rates = Rates.of(lr, lr_input, lr_output)
    sigma_w = positive_float("sigma_w", sigma_w, zero=True)
    reused = one_of("backward", backward, ("reused", "decoupled")) == "reused"
    if depth is not None:
        depth = positive_int("depth", depth)
    gram = x @ x.T / x.shape[1]
    problem = lambda active: Problem(gram, y, active, *rates, sigma_w, reused)  # noqa: E731
    for count in NODES if depth is None else (depth,):
        found = _over_steps(problem, steps, depth, count)
        tail = _tail(found.solved) if depth is None else 0.0
        if tail < TAIL or found.status != "completed":
            break
    done = found.reached
    data = kernel_dataset(
        found.solved.times, y, steps, found.solved.state.outputs.reshape(done, -1),
        found.solved.features, _over_samples(found.solved.gradients, len(y)),
    )  # fmt: skip
    _add_responses(data, found.solved, depth, sigma_w)
    data.attrs.update(
        lr=rates.lr, lr_input=rates.input, lr_output=rates.output, sigma_w=sigma_w, backward=backward,
        depth=np.inf if depth is None else depth, truncation=tail, activation="linear",
        status=found.status, message=found.message,
    )  # fmt: skip
    return Solution(found.status, found.message, data)


class _Found(NamedTuple):
    status: str
    message: str
    reached: int  # forward passes that were solved
    solved: Solved


def _over_steps(problem: Any, steps: int, depth: int | None, count: int) -> _Found:
    """The fixed point with one training step after the other switched on: what is earlier is already right."""
    sweep = _linear_limit.sweep if depth is None else _linear_finite.sweep
    state = first_guess(problem(1), count)
    good: Solved | None = None
    for active in range(1, steps + 2):
        now = problem(active)
        state = enlarged(state, now) if active > 1 else state
        solved, change = _fixed_point(sweep, now, state)
        loss = np.mean((solved.state.outputs[-now.samples :] - now.y) ** 2) / 2
        if not loss <= DIVERGED * max(1.0, np.mean(now.y**2)):
            message = f"the loss is beyond {DIVERGED:g} at step {active - 1}; lower the rates."
            return _Found("diverged", message, active - 1, good or solved)
        if change > 1e3 * PRECISION:
            message = f"the fixed point moves by {change:.1e} at step {active - 1}; lower the rates."
            return _Found("no_convergence", message, active - 1, good or solved)
        good, state = solved, solved.state
    assert good is not None
    return _Found("completed", "", steps + 1, good)


def _fixed_point(sweep: Any, problem: Problem, state: State) -> tuple[Solved, float]:
    """Plain iteration; the last solution and its relative change."""
    change = np.inf
    with np.errstate(all="ignore"):  # divergence shows in the change, and is a status
        for _ in range(ITERATIONS):
            solved = sweep(problem, state)
            before, change = change, _change(state, solved.state)
            state = solved.state
            if change < PRECISION or not np.isfinite(change) or (change < 1e3 * PRECISION and change >= before):
                break
    return solved, change if np.isfinite(change) else np.inf


def _change(old: State, new: State) -> float:
    pairs = zip(old, new, strict=True)
    return max(float(np.max(np.abs(a - b), initial=0) / (1 + np.max(np.abs(b), initial=0))) for a, b in pairs)


def _tail(solved: Solved) -> float:
    """How far the Chebyshev series of the kernels have fallen, relative to their largest coefficient."""
    count = len(solved.times)
    values = np.concatenate([solved.features.reshape(count, -1), solved.gradients.reshape(count, -1)], axis=1)
    series = np.abs(np.linalg.solve(chebyshev.chebvander(2 * solved.times - 1, count - 1), values)).max(axis=1)
    return float(series[-3:].max() / series.max())


def _over_samples(gradients: Float[ndarray, "t K K"], samples: int) -> Float[ndarray, "t KP KP"]:
    return np.repeat(np.repeat(gradients, samples, axis=1), samples, axis=2)


def _add_responses(data: xr.Dataset, solved: Solved, depth: int | None, sigma_w: float) -> None:
    """σ r and σ s of the drift: R and S times √L at finite depth, on layers l - 1 → l."""
    scale = sigma_w if depth is None else depth**0.5
    times = solved.times if depth is None else solved.times[1:]
    done = solved.gradients.shape[1]
    size = data.sizes["step"]
    samples = data.sizes["sample"]
    forward = np.full((len(times), size, samples, size), np.nan)
    backward = np.full((len(times), size, size, samples), np.nan)
    forward[:, :done, :, :done] = scale * solved.state.forward.reshape(len(times), done, samples, done)
    backward[:, :done, :done] = scale * solved.state.backward.reshape(len(times), done, done, samples)
    name = "time" if depth is None else "layer_time"
    data.coords[name] = times
    data["forward_response"] = ((name, "step", "sample", "step_b"), forward, {"symbol": "σ r", "units": "1"})
    data["backward_response"] = ((name, "step", "step_b", "sample_b"), backward, {"symbol": "σ s", "units": "1"})
