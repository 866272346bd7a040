"""The causal order-parameter equations of deep linear networks, solved forward in time for a batch of settings.

Every vector of the run is Gaussian given the others: a forward image c(t) = ξ_c(t) + Σ_{s≤t} B(t, s) b(s) and the
backward vector of the same layer b(t) = ξ_b(t) + Σ_{s<t} E(t, s) c(s), the input-side pair (v, q) likewise. All
means are the covariances and responses of such pairs, and a new time adds one row to each: no sampling, no fixed
point. With the responses K_xy = ∂x/∂ξ_y, one row costs six products of a vector with a triangular T × T matrix,
so a run costs 12 (L + 1) T³/3 multiplications. Arrays are (batch, time, time); docs/deep-linear.md has the equations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ._setting import DIVERGED, Setting
from ._triangular import lower_times_column, row_and_column, row_times_lower, symmetric_times


@dataclass(frozen=True)
class Pair:
    """Covariances and responses of two processes x and y that drive each other, y after x within a step."""

    k_xx: Float[ndarray, "B T T"]
    k_xy: Float[ndarray, "B T T"]
    k_yx: Float[ndarray, "B T T"]
    k_yy: Float[ndarray, "B T T"]
    c_xx: Float[ndarray, "B T T"]
    c_yy: Float[ndarray, "B T T"]
    c_yx: Float[ndarray, "B T T"]  # ⟨y(s) x(t)⟩

    @classmethod
    def empty(cls, batch: int, times: int) -> Pair:
        """All zero: nothing has happened."""
        return cls(*(np.zeros((batch, times, times)) for _ in range(7)))

    def one(self, at: slice) -> Pair:
        """Some runs of the batch."""
        return Pair(*(value[at] for value in vars(self).values()))

    def add_x(self, t: int, drive: Float[ndarray, "B t"], noise: Float[ndarray, "B t1"]) -> None:
        """x(t) = ξ(t) + Σ_{s<t} drive(s) y(s), with ``noise`` = ⟨ξ(t) ξ(s)⟩ for s ≤ t."""
        c_yx = self.c_yx
        _add(t, drive, noise, self.k_xx, self.k_xy, self.k_yx, self.k_yy, self.c_xx, self.c_yy, c_yx)

    def add_y(self, t: int, drive: Float[ndarray, "B t1"], noise: Float[ndarray, "B t1"]) -> None:
        """y(t) = ξ(t) + Σ_{s≤t} drive(s) x(s), after `add_x` of the same t."""
        c_xy = self.c_yx.swapaxes(1, 2)
        _add(t, drive, noise, self.k_yy, self.k_yx, self.k_xy, self.k_xx, self.c_yy, self.c_xx, c_xy)


@dataclass(frozen=True)
class OrderParameters:
    """What the recursion leaves: the pair (v, q) of the input side, (b, c) of each layer, and the residuals."""

    input: Pair  # x = v = Mᵀ…b - w*, the error vector; y = q, the gradient seen by the inputs
    layers: tuple[Pair, ...]  # x = b, y = c of layers 1..L
    response: Float[ndarray, "B T T"]  # R of the residuals
    residual: Float[ndarray, "B T T"]  # C_χ
    diverged_at: Float[ndarray, " B"]  # step at which the test loss left all bounds, NaN where it did not

    def one(self, i: int) -> OrderParameters:
        """Run ``i`` of the batch, as a batch of one (views, no copies)."""
        at = slice(i, i + 1)
        layers = tuple(pair.one(at) for pair in self.layers)
        return OrderParameters(self.input.one(at), layers, self.response[at], self.residual[at], self.diverged_at[at])

    @property
    def train_loss(self) -> Float[ndarray, "B T"]:
        return np.diagonal(self.residual, axis1=1, axis2=2)

    @property
    def test_loss(self) -> Float[ndarray, "B T"]:
        return np.diagonal(self.input.c_xx, axis1=1, axis2=2)


def solve(settings: Sequence[Setting]) -> OrderParameters:
    """All order parameters at times 0..steps, for settings of equal depth and steps, all full batch or all one-pass."""
    first, batch = settings[0], len(settings)
    times = first.steps + 1
    nu, gamma0, h = (_column([getattr(s, n) for s in settings]) for n in ("width_ratio", "gamma0", "step_size"))
    sigma2 = [_column([s.sigma[l] ** 2 for s in settings]) for l in range(first.depth + 1)]
    noise2 = _column([s.label_noise**2 for s in settings])
    ratio = _column([s.batch_ratio if s.online else s.sample_ratio for s in settings])

    layers = [Pair.empty(batch, times) for _ in range(first.depth)]
    inputs = Pair.empty(batch, times)
    response, residual = np.zeros((batch, times, times)), np.zeros((batch, times, times))
    diverged_at = np.full(batch, np.nan)
    ones = np.ones((batch, times))
    with np.errstate(all="ignore"):  # a diverging run overflows; it is marked, not raised
        for t in range(times):
            now = slice(0, t + 1)
            # backward: b^L .. b^1
            drive, noise = np.broadcast_to(-h, (batch, t)), sigma2[-1] * ones[:, now]
            for l in range(first.depth - 1, -1, -1):
                layer = layers[l]
                layer.add_x(t, drive, noise)
                drive = sigma2[l] * layer.k_xy[:, t, :t] - h * layer.c_xx[:, t, :t]
                noise = sigma2[l] * layer.c_xx[:, t, now]
            inputs.add_x(t, drive / gamma0, noise / (gamma0**2 * nu) + 1)
            # residuals, and the gradient on the input side
            error = inputs.c_xx[:, t, now] + noise2
            if first.online:
                response[:, t, t], residual[:, t, t] = 1, error[:, t]
                noise = np.zeros((batch, t + 1))
                noise[:, t] = error[:, t] / ratio[:, 0]
            else:
                _add_residual(t, inputs.k_xy[:, t, :t] / ratio, error, response, residual)
                noise = residual[:, t, now] / ratio
            inputs.add_y(t, response[:, t, now], noise)
            # forward: c^1 .. c^L
            drive, noise = sigma2[0] * inputs.k_yx[:, t, now] / (gamma0 * nu), inputs.c_yy[:, t, now]
            for l, layer in enumerate(layers):
                drive[:, :t] -= h * noise[:, :t]
                layer.add_y(t, drive, sigma2[l] * noise)
                drive, noise = sigma2[l + 1] * layer.k_yx[:, t, now], layer.c_yy[:, t, now]
            _mark(diverged_at, t, inputs.c_xx)
            if not np.isnan(diverged_at).any():
                break
    return OrderParameters(inputs, tuple(layers), response, residual, diverged_at)


def _add(
    t: int,
    drive: ndarray,
    noise: ndarray,
    k_xx: ndarray,
    k_xy: ndarray,
    k_yx: ndarray,
    k_yy: ndarray,
    c_xx: ndarray,
    c_yy: ndarray,
    c_yx: ndarray,
) -> None:
    """One row of everything that x(t) = ξ(t) + Σ_s drive(s) y(s) has a part in; y is known at m times."""
    m = drive.shape[1]
    past = noise[:, :t]
    k_xy[:, t, :m] = row_times_lower(drive, k_yy[:, :m, :m])
    k_xx[:, t, :t], of_noise = row_and_column(drive, k_yx[:, :m, :t], past)  # of_noise: ⟨y(s) ξ(t)⟩
    with_y = symmetric_times(c_yy[:, :m, :m], drive) + of_noise
    with_x = np.matmul(drive[:, None], c_yx[:, :m, :t])[:, 0] + lower_times_column(k_xx[:, :t, :t], past)
    k_xx[:, t, t] = 1
    c_yx[:, :m, t] = with_y
    c_xx[:, t, :t] = with_x
    c_xx[:, :t, t] = with_x
    c_xx[:, t, t] = noise[:, t] + np.vecdot(drive, of_noise + with_y)


def _add_residual(t: int, drive: ndarray, error: ndarray, response: ndarray, residual: ndarray) -> None:
    """χ(t) = u(t) + Σ_{s<t} drive(s) χ(s), with ``error`` = ⟨u(t) u(s)⟩."""
    response[:, t, :t] = row_times_lower(drive, response[:, :t, :t])
    response[:, t, t] = 1
    of_error = lower_times_column(response[:, :t, :t], error[:, :t])
    row = of_error + np.matmul(drive[:, None], residual[:, :t, :t])[:, 0]
    residual[:, t, :t] = row
    residual[:, :t, t] = row
    residual[:, t, t] = error[:, t] + np.vecdot(drive, of_error + row)


def _mark(diverged_at: ndarray, t: int, error: ndarray) -> None:
    out = ~(error[:, t, t] <= DIVERGED * np.maximum(error[:, 0, 0], 1.0))
    diverged_at[out & np.isnan(diverged_at)] = t


def _column(values: Sequence[float | None]) -> Float[ndarray, "B 1"]:
    return np.array(values, float)[:, None]
