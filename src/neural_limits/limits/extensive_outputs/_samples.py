"""Many outputs, fixed readout, finitely many samples with label noise: the hidden matrix after k steps."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.special import xlog1py

from ...laws import VarianceProfile
from ._quadrature import marchenko_pastur_nodes


def finite_sample_law(
    output_ratio: float,
    width_ratio: float,
    sample_ratio: float,
    lr: float,
    steps: int,
    teacher: float,
    sigma: float,
    label_noise: float,
    nodes: int,
) -> VarianceProfile:
    """The law of M (N × D) after k steps M ← M − η Vᵀ(V M Ŝ − Y Xᵀ/P),  Ŝ = X Xᵀ/P,  Y = A X + E.

    s(l, μ) = σ² F² + G² l (μ² a² + μ σ_ε² ψ),  F = (1 − η l μ)ᵏ,  G = (1 − F)/(l μ),  ψ = D/P.

    V (C × N, entries of variance 1/N), the start M (variance σ²/D), the teacher A (C × D, variance a²/D), the noise
    E (σ_ε²) and the white inputs X (D × P) are Gaussian and independent; in the eigenbases of VᵀV and Ŝ the entries
    of M are then independent, of variance s(l, μ)/D. ``output_ratio`` κ = C/N, ``width_ratio`` c = N/D,
    ``sample_ratio`` 1/ψ = P/D (infinite: population gradients), ``lr`` η, ``steps`` k, ``teacher`` a, ``sigma`` σ,
    ``label_noise`` σ_ε; ``nodes`` for each of l and μ.
    """
    l, rows = marchenko_pastur_nodes(output_ratio, nodes)
    mu, columns = _data_nodes(sample_ratio, nodes)
    rest, gain = _propagators(lr * np.outer(l, mu), steps)
    signal = (lr * gain) ** 2 * l[:, None] * (mu**2 * teacher**2 + mu * label_noise**2 / sample_ratio)
    return VarianceProfile(sigma**2 * rest**2 + signal, rows, columns, width_ratio)


def _data_nodes(sample_ratio: float, nodes: int) -> tuple[Float[ndarray, " n"], Float[ndarray, " n"]]:
    """Nodes and weights for the eigenvalues μ of X Xᵀ/P: those of Xᵀ/√D in the place of V, times ψ."""
    if np.isinf(sample_ratio):
        return np.ones(1), np.ones(1)
    values, weights = marchenko_pastur_nodes(sample_ratio, nodes)
    return values / sample_ratio, weights


def _propagators(x: Float[ndarray, "l mu"], steps: int) -> tuple[Float[ndarray, "l mu"], Float[ndarray, "l mu"]]:
    """(1 − x)ᵏ and (1 − (1 − x)ᵏ)/x, → k at 0, without cancellation near 0 nor, for even k, near 2."""
    power = xlog1py(steps, np.where(x < 1, -x, x - 2))  # k log|1 − x|
    odd = (x > 1) & (steps % 2 == 1)
    lost = np.where(odd, 1 + np.exp(power), -np.expm1(power))
    gain = np.divide(lost, x, out=np.full_like(x, steps), where=x > 0)
    return np.where(odd, -1, 1) * np.exp(power), gain
