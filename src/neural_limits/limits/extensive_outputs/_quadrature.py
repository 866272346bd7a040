"""Gauss nodes of the Marchenko-Pastur law, its atom as a node of its own."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.linalg import eigh_tridiagonal

from ..._checks import positive_float, positive_int

REACH = 3.3  # of the tanh-sinh rule: the outermost nodes lie 1e-18 of the bulk from its ends


def marchenko_pastur_nodes(output_ratio: float, nodes: int) -> tuple[Float[ndarray, " n"], Float[ndarray, " n"]]:
    """Nodes and weights for the eigenvalues l of VᵀV, V (C × N) with iid entries of variance 1/N, κ = C/N.

    dH = √((l₊ − l)(l − l₋)) / (2π l) dl + (1 − κ)₊ δ₀,  l± = (1 ± √κ)².

    ``output_ratio`` κ; ``nodes`` for the bulk, increasing and of weight min(1, κ) in all; where κ < 1 the atom
    at zero follows as the last node. Weights sum to one. The rule of J nodes is exact on polynomials of degree
    2J − 1 for every κ, κ = 1 included, where the bulk touches zero. ValueError for a ratio that is not
    positive or less than one node. Cost: O(J²).

    Source: the law's Jacobi matrix is B Bᵀ with B bidiagonal and constant, √max(1, κ) on its diagonal and
    √min(1, κ) below it; Golub and Welsch (1969).

    >>> values, weights = marchenko_pastur_nodes(0.5, 16)
    >>> values.size, float(weights[-1]), [round(float(weights @ values**p), 12) for p in (0, 1, 2)]
    (17, 0.5, [1.0, 0.5, 0.75])
    """
    ratio, nodes = positive_float("output_ratio", output_ratio), positive_int("nodes", nodes)
    diagonal = np.full(nodes, 1 + ratio)
    diagonal[0] = max(1.0, ratio)
    values, vectors = eigh_tridiagonal(diagonal, np.full(nodes - 1, np.sqrt(ratio)))
    values, weights = np.maximum(values, 0.0), min(1.0, ratio) * vectors[0] ** 2
    if ratio < 1:
        values, weights = np.append(values, 0.0), np.append(weights, 1 - ratio)
    return values, weights


def endpoint_nodes(output_ratio: float, nodes: int) -> tuple[Float[ndarray, " n"], Float[ndarray, " n"]]:
    """Nodes and weights of the same law's bulk by the tanh-sinh rule: they crowd exponentially at both ends.

    For integrands with a singularity just outside the bulk, however near. √l and weights, increasing, of total
    min(1, κ); nodes whose weight underflows are left out. Source: Takahasi and Mori (1974).

    >>> roots, weights = endpoint_nodes(0.5, 100)
    >>> round(float(weights.sum()), 12), round(float(weights @ roots**2), 12)
    (0.5, 0.5)
    """
    ratio, nodes = positive_float("output_ratio", output_ratio), positive_int("nodes", nodes)
    s, step = np.linspace(-REACH, REACH, nodes, retstep=True)
    # Distances to both ends, each exact where it is small: l − l₋ = width/(1 + e^{−2q}), l₊ − l = width/(1 + e^{2q}).
    q, width = np.pi / 2 * np.sinh(s), 4 * np.sqrt(ratio)
    above, below = width / (1 + np.exp(-2 * q)), width / (1 + np.exp(2 * q))
    low, high = (1 - np.sqrt(ratio)) ** 2, (1 + np.sqrt(ratio)) ** 2
    values = np.where(s < 0, low + above, high - below)
    slope = np.pi * np.cosh(s) * above * below / width
    weights = np.sqrt(above * below) / (2 * np.pi * values) * slope * step
    return np.sqrt(values), weights * (min(1.0, ratio) / weights.sum())
