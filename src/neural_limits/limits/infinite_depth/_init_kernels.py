"""Kernels of the untrained network at infinite width: Φ, G and the tangent kernel, by quadrature, at any depth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array
from numpy import ndarray
from scipy.integrate import solve_ivp

from ..._checks import positive_float, positive_int
from ..._notation import attributes
from ...networks import Activation, resolve_activation, value_and_slope
from ._data import check_data

QUADRATURE = 60  # Gauss-Hermite nodes in each of two dimensions
TIMES = 33
Pairs = Callable[[ndarray], tuple[ndarray, ndarray]]


def kernels_at_init(
    x: ndarray,
    activation: str | Activation = "tanh",
    sigma_w: float = 1.0,
    depth: int | None = None,
) -> xr.Dataset:
    """Φ_t = E φ(h)φ(h), G_t = E g g and the tangent kernel before training, depth-muP, infinite width.

    dC/dt = σ² E[φ(h)φ(h)], h ~ N(0, C), C_0 = X Xᵀ/d;  G_t = exp ∫_t^1 σ² E[φ'(h)φ'(h)] ds;
    Θ = C_1 + ∫ Φ G dt + C_0 G_0 (readout, hidden, input weights), or the same recursion with ``depth`` layers.

    x (P, d) with no zero row. Returns feature_kernel, gradient_kernel, covariance (time, sample, sample_b) and
    tangent_kernel (sample, sample_b); ``attrs["quadrature_error"]`` is the change of Θ when a third of the
    nodes is left out (relu and linear are exact in closed form). ValueError for arguments out of range. Cost:
    O(P² Q²) for each right-hand side, Q = 60. Source: Schoenholz et al. 2017, Yang et al. 2023.

    >>> kernels = kernels_at_init(np.eye(2) * 2**0.5, "tanh")
    >>> round(float(kernels.covariance[-1, 0, 0]), 4), round(float(kernels.gradient_kernel[0, 0, 0]), 4)
    (1.4279, 1.5408)
    """
    x, _ = check_data(x, np.zeros(len(x)))
    sigma_w = positive_float("sigma_w", sigma_w, zero=True)
    if depth is not None:
        positive_int("depth", depth)
    start = x @ x.T / x.shape[1]
    fine, coarse = (
        _kernels(start, expectations(activation, q), sigma_w, depth) for q in (QUADRATURE, 2 * QUADRATURE // 3)
    )
    times, covariance, features, gradients, tangent = fine
    data = xr.Dataset(coords={"time": times, "sample": np.arange(len(x))})
    dims = ("time", "sample", "sample_b")
    data["feature_kernel"] = (dims, features, attributes("feature_kernel"))
    data["gradient_kernel"] = (dims, gradients, attributes("gradient_kernel"))
    data["covariance"] = (dims, covariance, {"symbol": "C", "long_name": "mean over neurons of h h", "units": "1"})
    data["tangent_kernel"] = (dims[1:], tangent, {"symbol": "Θ", "long_name": "tangent kernel", "units": "output²"})
    data.attrs["quadrature_error"] = float(np.abs(tangent - coarse[-1]).max())
    return data


def expectations(activation: str | Activation, nodes: int = QUADRATURE) -> Pairs:
    """The map C ↦ (E φ(h)φ(h), E φ'(h)φ'(h)), h ~ N(0, C), for all pairs of samples."""
    if activation == "linear":
        return lambda c: (c, np.ones_like(c))
    if activation == "relu":
        return _relu
    phi = resolve_activation(activation)
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    weights = weights / weights.sum()
    u, v = np.meshgrid(points, points, indexing="ij")
    w = np.multiply.outer(weights, weights)

    def pairs(c: ndarray) -> tuple[ndarray, ndarray]:
        size = np.sqrt(np.diag(c))
        rho = np.clip(c / np.multiply.outer(size, size), -1, 1)[..., None, None]
        other = rho * u + np.sqrt(1 - rho**2) * v
        a, b = np.broadcast_arrays(size[:, None, None, None] * u, size[None, :, None, None] * other)
        (fa, da), (fb, db) = (value_and_slope(phi, jnp.asarray(z)) for z in (a, b))
        return mean(fa, fb), mean(da, db)

    def mean(p: Array, q: Array) -> ndarray:
        return np.einsum("abij,ij->ab", np.asarray(p, float) * np.asarray(q, float), w)

    return pairs


def _relu(c: ndarray) -> tuple[ndarray, ndarray]:
    """Cho & Saul's arc-cosine kernels."""
    size = np.sqrt(np.diag(c))
    norms = np.multiply.outer(size, size)
    angle = np.arccos(np.clip(c / norms, -1, 1))
    return norms * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi), (np.pi - angle) / (2 * np.pi)


def _kernels(start: ndarray, pairs: Pairs, sigma_w: float, depth: int | None) -> tuple[Any, ...]:
    times = np.linspace(0, 1, (TIMES if depth is None else depth + 1))
    if depth is None:
        covariance, log_gain, hidden = _flow(start, pairs, sigma_w, times)
        features = np.stack([pairs(c)[0] for c in covariance])
        gradients = np.exp(log_gain[-1] - log_gain)
        hidden = np.exp(log_gain[-1]) * hidden
    else:
        rate = sigma_w**2 / depth
        rows, slopes = [start], []
        for _ in range(depth):
            feature, slope = pairs(rows[-1])
            rows.append(rows[-1] + rate * feature)
            slopes.append(1 + rate * slope)
        covariance = np.stack(rows)
        features = np.stack([pairs(c)[0] for c in covariance])
        gradients = np.concatenate([np.cumprod(np.stack(slopes)[::-1], axis=0)[::-1], np.ones_like(start)[None]])
        hidden = (features[:-1] * gradients[1:]).mean(axis=0)
    return times, covariance, features, gradients, covariance[-1] + hidden + start * gradients[0]


def _flow(start: ndarray, pairs: Pairs, sigma_w: float, times: ndarray) -> tuple[ndarray, ndarray, ndarray]:
    """C_t, the logarithm of G_0/G_t, and ∫ Φ_t G_t/G_0 dt, by an adaptive Runge-Kutta method."""
    shape = (3, *start.shape)

    def rate(t: float, state: ndarray) -> ndarray:
        c, log_gain, _ = state.reshape(shape)
        feature, slope = pairs(c)
        return np.stack([sigma_w**2 * feature, sigma_w**2 * slope, feature * np.exp(-log_gain)]).ravel()

    first = np.stack([start, np.zeros_like(start), np.zeros_like(start)]).ravel()
    found = solve_ivp(rate, (0, 1), first, method="DOP853", t_eval=times, rtol=1e-7, atol=1e-9)
    states = found.y.T.reshape(len(times), *shape)
    return states[:, 0], states[:, 1], states[-1, 2]
