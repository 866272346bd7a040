"""Deep linear networks of finite size, dense or conditioned: what the proportional limit is held against."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Float
from numpy import ndarray

from ..._checks import one_of, positive_float, positive_int
from ..._notation import attributes
from ...laws import TracyWidom
from ...spectra import Outliers, outliers
from ...weights import ConditionedMatrix, DenseMatrix, WeightMatrix, check_tolerance
from ._finite_loop import Form, Numbers, State, advance, energies, initial_state, ntk_product, ntk_product_in_place
from ._lanczos import largest_eigenvalue
from ._setting import Setting

NTK_ITERATIONS, NTK_RESIDUAL = 40, 1e-3  # of Lanczos; the error of an outlier is the square of the residual


@dataclass(frozen=True)
class DeepLinearNetwork:
    """A trained deep linear network: how the run ended, what was recorded, and its matrices.

    ``status`` is completed or diverged, with a one-line ``message``; ``data`` has train_loss and test_loss over
    step = 0..steps (NaN after divergence), singular_value (record, layer, mode) with edge and threshold (layer), and
    ntk_top (record) where asked for; ``seconds`` is the time of the run, compilation included.
    """

    status: str
    message: str
    data: xr.Dataset
    setting: Setting
    state: State = field(repr=False)
    seconds: float = 0.0

    @property
    def weights(self) -> tuple[WeightMatrix, ...]:
        """M⁰ = W⁰/√D (N × D) and M^l = W^l/√N (N × N), after training."""
        return self.state.weights

    def ntk_top(self, iterations: int = NTK_ITERATIONS) -> float:
        """The largest eigenvalue of Θ = γ₀² N J Jᵀ/P after training, see `ntk_top`."""
        return ntk_top(self.state, iterations)

    def below_bulk(self, layer: int = 0, false_alarm: float = 1e-3) -> Float[ndarray, " k"]:
        """Singular values of a dense rectangular M^layer below the lower edge std |√n - √p|, smallest first.

        Counted below the level that an untrained matrix passes with probability ``false_alarm`` (Tracy-Widom on
        the logarithm of the smallest eigenvalue). A full decomposition: O(n p min(n, p)). ValueError for
        conditioned or square matrices.
        """
        weight = self.weights[layer]
        if not isinstance(weight, DenseMatrix):
            raise ValueError('singular values below the bulk need the whole matrix; use weights="dense".')
        return _below_bulk(np.asarray(weight.value, np.float64), float(weight.std), false_alarm)


def deep_linear_network(
    setting: Setting,
    inputs: int,
    weights: str = "dense",
    seed: int = 0,
    *,
    dtype: Any = None,
    tolerance: float = 1e-3,
    record: Sequence[int] = (),
    record_ntk: bool = False,
) -> DeepLinearNetwork:
    """Train the network of ``setting`` at D = ``inputs``, N = round(ν D) and P = round(α D).

    On M⁰ = W⁰/√D, M^l = W^l/√N and A = X/√D, all ``weights`` "dense" or "conditioned" (exact in law up to the
    relative ``tolerance``, nothing of size N D formed, not even the data), with |w*|² = D and |ε|² = P exactly;
    in one pass a fresh A and ε at every step. The ratios of the rounded sizes enter the equations. ``record``
    names the numbers of updates after which weight outliers are found, and with ``record_ntk`` the largest
    eigenvalue of the NTK (the edge of stability is at lr × ntk_top = 2). ``dtype`` defaults to JAX's float.

    ValueError for arguments out of range. Divergence is a status. Cost per step: O(N D + N² L + P D) dense,
    O((N + D + P) T L) conditioned, T = steps; memory the same, of numbers.

    >>> setting = Setting(depth=2, width_ratio=1, sample_ratio=2, lr=0.05, gamma=2, sigma_w=0.5, steps=5)
    >>> run = deep_linear_network(setting, inputs=200, weights="conditioned")
    >>> run.status, run.data.train_loss.shape, run.weights[0].shape
    ('completed', (6,), (200, 200))
    """
    stops = [positive_int("record", k, least=0) for k in record]
    if stops and max(stops) > setting.steps:
        raise ValueError(f"`record` must hold numbers of updates up to steps = {setting.steps}; got {max(stops)}.")
    if record_ntk and setting.online:
        raise ValueError("`record_ntk` needs a full batch; got `batch_ratio`, which draws new samples at every step.")
    form = _form(setting, inputs, weights, dtype, tolerance)
    numbers = Numbers.of(setting, form.dtype)
    started = time.perf_counter()
    state = initial_state(jax.random.key(positive_int("seed", seed, least=0)), numbers, form)
    found: list[list[Outliers]] = []
    tops: list[float] = []
    for stop in sorted(set(stops)):
        state = advance(state, stop, numbers, form)
        if bool(state.diverged):
            break
        found.append([outliers(m) for m in state.weights])
        if record_ntk:
            tops.append(ntk_top(state))
    state = jax.block_until_ready(advance(state, setting.steps + 1, numbers, form))
    status, message = "completed", ""
    if bool(state.diverged):
        step = int(state.step) - 1
        status, message = "diverged", f"the loss grew to {float(state.train[step]):.3g} at step {step}; lower `lr`."
    data = _dataset(state, sorted(set(stops))[: len(found)], found, tops)
    data.attrs.update(form._asdict(), lr=setting.lr, seed=seed, status=status, message=message)
    return DeepLinearNetwork(status, message, data, setting, state, time.perf_counter() - started)


def ntk_top(state: State, iterations: int = NTK_ITERATIONS) -> float:
    """The largest eigenvalue of Θ = (1/α) A [C_b¹ + (1/ν) Σ_l C_b^{l+1} A_lᵀ A_l] Aᵀ, by Lanczos from A w*.

    Through products of the matrices alone; conditioned ones look along new directions of a copy, so the value has
    the law of that of the whole network. Low at a bulk edge, where no mode leads. Cost: ``iterations`` times
    2 L + 2 products. ValueError in one pass, where no fixed samples exist.
    """
    iterations = positive_int("iterations", iterations)
    if state.data is None:
        raise ValueError("the NTK on the samples needs a full batch; got `batch_ratio`, which draws new ones.")
    weights, data, multiply = state.weights, state.data, ntk_product
    if isinstance(data, ConditionedMatrix):
        weights, data = tuple(_copied(m, iterations + 2) for m in weights), _copied(data, iterations + 2)
        multiply = ntk_product_in_place
    start, _, data = data.matvec(state.teacher)
    levels, weights = energies(state.readout, weights)

    def product(u: ndarray) -> ndarray:
        nonlocal weights, data
        value, weights, data = multiply(jnp.asarray(u[None], start.dtype), levels, weights, data)
        return np.asarray(value[0], np.float64)

    return largest_eigenvalue(product, np.asarray(start[0], np.float64), iterations, NTK_RESIDUAL)


def _copied(weight: WeightMatrix, looks: int) -> ConditionedMatrix:
    """A copy that may be overwritten, with room for more looks."""
    assert isinstance(weight, ConditionedMatrix)
    left, right = weight.capacity
    larger = weight.resize(left + looks, right + looks)  # new buffers; the scalars are still shared
    return jax.tree.map(lambda x: jnp.copy(x) if x.ndim == 0 else x, larger)


def _form(setting: Setting, inputs: int, weights: str, dtype: Any, tolerance: float) -> Form:
    inputs = positive_int("inputs", inputs)
    dtype = jnp.dtype(dtype or jnp.result_type(float))
    ratio = setting.batch_ratio if setting.online else setting.sample_ratio
    width, samples = (max(1, round(float(r) * inputs)) for r in (setting.width_ratio, ratio))  # type: ignore[arg-type]
    weights, tolerance = one_of("weights", weights, ("dense", "conditioned")), check_tolerance(tolerance, dtype)
    return Form(inputs, width, samples, setting.depth, setting.steps, setting.online, weights, tolerance, dtype.name)


def _dataset(state: State, stops: list[int], found: list[list[Outliers]], tops: list[float]) -> xr.Dataset:
    data = xr.Dataset(coords={"step": np.arange(len(state.train))})
    for name, losses in (("train_loss", state.train), ("test_loss", state.test)):
        data[name] = ("step", np.asarray(losses, np.float64), attributes(name))  # NaN where no step was made
    modes = max((o.count for row in found for o in row), default=0)
    values = np.full((len(stops), len(state.weights), modes), np.nan)
    for r, row in enumerate(found):
        for l, o in enumerate(row):
            values[r, l, : o.count] = o.values
    data = data.assign_coords(record=np.array(stops, int), layer=np.arange(len(state.weights)))
    data["singular_value"] = (("record", "layer", "mode"), values, attributes("singular_value"))
    for name in ("edge", "threshold") if found else ():
        data[name] = ("layer", np.array([getattr(o, name) for o in found[0]]), attributes(name))
    if tops:
        text = {"symbol": "λ_max(Θ)", "units": "1", "long_name": "largest eigenvalue of the NTK on the samples"}
        data["ntk_top"] = ("record", np.array(tops), text)
    return data


def _below_bulk(matrix: Float[ndarray, "n p"], std: float, false_alarm: float) -> Float[ndarray, " k"]:
    rows, columns = matrix.shape
    if rows == columns:
        raise ValueError("`layer` must be rectangular: the bulk of a square matrix reaches down to zero.")
    large, small = np.sqrt(max(rows, columns)), np.sqrt(min(rows, columns))
    # log λ_min = log μ - (s/μ) S, S Tracy-Widom: μ = (√n - √p)², s = (√n - √p)(1/√p - 1/√n)^⅓
    spread = np.cbrt(1 / small - 1 / large) / (large - small)
    extreme = float(TracyWidom().isf(positive_float("false_alarm", false_alarm)))
    level = std * (large - small) * np.exp(-max(spread * extreme, 0.0) / 2)
    values = np.linalg.svd(matrix, compute_uv=False)[::-1]
    return values[values < level]
