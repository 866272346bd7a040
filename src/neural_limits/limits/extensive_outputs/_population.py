"""Model A: fixed readout, infinitely many samples. The columns of M are Gaussian given the readout."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ...laws import Silverstein
from ._quadrature import marchenko_pastur_nodes

Shrink = Callable[[Float[ndarray, " n"]], Float[ndarray, " n"]]


def descent(lr: float, steps: int) -> Shrink:
    """F(l) = (1 − η l)^k of gradient descent."""
    return lambda values: (1 - lr * values) ** steps


def flow(time: float) -> Shrink:
    """F(l) = exp(−l t) of gradient flow."""
    return lambda values: np.exp(-time * values)


def population_variance(
    values: Float[ndarray, " n"], shrink: Shrink, slope: float, teacher: float, sigma: float
) -> Float[ndarray, " n"]:
    """Σ(l) = σ² F² + a² l G², G = (1 − F)/l; ``slope`` is G at l = 0.

    M_k = F(VᵀV) M₀ + G(VᵀV) Vᵀ A, so that given V the columns of M are iid N(0, Σ(VᵀV)/D).
    """
    kept = shrink(values)
    gain = np.divide(1 - kept, values, out=np.full_like(values, slope), where=values > 0)
    return sigma**2 * kept**2 + teacher**2 * values * gain**2


def population_law(
    output_ratio: float, width_ratio: float, shrink: Shrink, slope: float, teacher: float, sigma: float, nodes: int
) -> Silverstein:
    """Law of the eigenvalues of M Mᵀ: Silverstein's, with the law of Σ(l) as population, l Marchenko-Pastur.

    The bulk of the readout's spectrum is one interval of the population and its null space (κ < 1) an atom σ²:
    where the two part, so may the spectrum.
    """
    values, weights = marchenko_pastur_nodes(output_ratio, nodes)
    variance = population_variance(values, shrink, slope, teacher, sigma)
    learned = variance[:nodes]
    intervals = [(float(learned.min()), float(learned.max()))] if np.ptp(learned) > 0 else []
    return Silverstein((variance, weights), width_ratio, intervals=intervals)


def few_outputs_outlier(
    *, lr: float, steps: int, teacher: float, width_ratio: float = 1.0, sigma_w: float = 1.0
) -> float | None:
    """The singular value that C = O(1) outputs grow, C of them: the limit κ → 0; None while it is inside the bulk.

    √(ℓ (1 + c σ²/(ℓ − σ²))),  ℓ = σ² F(1)² + a² G(1)², where ℓ > σ² (1 + √c).

    In operator norm, as the weights of ``many_outputs``. Source: Baik, Ben Arous and Péché (2005), after l → 1.

    >>> round(few_outputs_outlier(lr=0.2, steps=30, teacher=3.0), 6)
    3.178534
    """
    one = np.ones(1)
    spike = float(population_variance(one, descent(lr, steps), lr * steps, teacher, sigma_w)[0])
    variance = sigma_w**2
    if spike <= variance * (1 + np.sqrt(width_ratio)):
        return None
    return float(np.sqrt(spike * (1 + width_ratio * variance / (spike - variance))))
