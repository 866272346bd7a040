"""Outliers of a trained weight matrix in the proportional limit, from its order parameters."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ._dmft import OrderParameters
from ._setting import Setting

REAL = 1e-7  # an eigenvalue is real if its imaginary part is below this fraction of it


class WeightOutliers(NamedTuple):
    """Singular values of M^l = W^l/√(its columns) outside the bulk; ``above`` largest first, ``below`` smallest first.

    ``edges`` are the lower and upper edge of the bulk, σ|1 - √f| and σ(1 + √f), f = rows over columns.
    """

    above: Float[ndarray, " a"]
    below: Float[ndarray, " b"]
    edges: tuple[float, float]


def weight_outliers(order: OrderParameters, setting: Setting, layer: int, updates: int) -> WeightOutliers:
    """Outliers of W^layer after ``updates`` updates; exact in the limit.

    With the k × k order parameters before the update, every real eigenvalue λ > σ²√f of M₁₂ M₂₁,

        M₁₂ = [[σ²f K, C_a], [-hσ²f K, σ²Kᵀ - hC_a]],   M₂₁ = [[σ²K', C_b], [-hfσ²K', fσ²K'ᵀ - hfC_b]],

    is an outlier s² = (λ + σ²f)(λ + σ²)/λ (the classical map; how the spikes depend on the bulk is all inside λ), and
    every real λ < -σ²√f one below the bulk. K, K' are the responses that reusing W in backpropagation brings on
    the side of its inputs and of its outputs, C_a and C_b the covariances of what updates are made of. Cost O(k³).
    """
    k, h = slice(0, updates), setting.step_size
    f = setting.width_ratio if layer == 0 else 1.0
    variance = setting.sigma[layer] ** 2
    below, above = order.input if layer == 0 else order.layers[layer - 1], order.layers[layer]
    scale = 1 / (setting.gamma0 * setting.width_ratio) if layer == 0 else 1.0
    c_a, c_b = below.c_yy[0, k, k], above.c_xx[0, k, k]
    right, left = variance * scale * below.k_yx[0, k, k], variance * above.k_xy[0, k, k]
    m12 = np.block([[f * right, c_a], [-h * f * right, right.T - h * c_a]])
    m21 = np.block([[left, c_b], [-h * f * left, f * left.T - h * f * c_b]])
    found = np.linalg.eigvals(m12 @ m21)
    real = found[np.abs(found.imag) <= REAL * np.abs(found)].real
    threshold = variance * f**0.5
    value = lambda z: np.sqrt(np.maximum((z + variance * f) * (z + variance) / z, 0))  # noqa: E731
    sigma = variance**0.5
    return WeightOutliers(
        np.sort(value(real[real > threshold]))[::-1],
        np.sort(value(real[real < -threshold])) if f != 1 else np.empty(0),
        (sigma * abs(1 - f**0.5), sigma * (1 + f**0.5)),
    )
