"""Quantiles of all singular values of a large weight from a few random probes: stochastic Lanczos quadrature."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

PROBES, DEGREE = 8, 24  # a product with 8 vectors costs little more than one with a single vector
RESOLUTION = 0.25  # of the spacing of nodes: what interpolating between them may miss, see tests


def spectrum_quantiles(
    matrix: Float[Tensor, "n p"],
    levels: Float[ndarray, " q"],
    *,
    probes: int = PROBES,
    degree: int = DEGREE,
    seed: int = 0,
) -> tuple[Float[ndarray, " q"], Float[ndarray, " q"]]:
    """Quantiles of the min(n, p) singular values and their standard errors.

    Each random vector z of signs gives zᵀ f(WᵀW) z/m ≈ (1/m) Σ f(s²); ``degree`` Lanczos steps from z turn the left
    side into a sum over ``degree`` nodes with weights, exact for polynomials of degree 2·degree − 1. Half of a node's
    weight lies below it (the distribution function there is bracketed by the weights up to it without and with its
    own); between nodes the function is interpolated. The error adds in quadrature the scatter of the probes,
    √(1/(probes − 1)) of their spread, and a quarter of the local spacing of the nodes over √3.

    ``matrix`` is finite. Cost: ``degree`` products with ``probes`` vectors; memory probes × degree vectors.
    Source: Golub and Meurant 2010; Ubaru, Chen and Saad 2017.
    """
    small = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.mT
    nodes, weights = _nodes(small, probes, min(degree, small.shape[1]), seed)
    each = np.stack([_quantiles(x[None], w[None], levels) for x, w in zip(nodes, weights, strict=True)])
    values = _quantiles(nodes, weights, levels)
    scatter = each.std(axis=0, ddof=1) / np.sqrt(probes)
    spacing = np.array([_spacing(nodes, value) for value in values])
    return values, np.hypot(scatter, RESOLUTION * spacing / np.sqrt(3))


def _nodes(tall: Tensor, probes: int, degree: int, seed: int) -> tuple[ndarray, ndarray]:
    """Nodes s and weights, (probes, degree), by Lanczos on WᵀW with full reorthogonalisation, all probes at once."""
    flat = tall.mT.contiguous() if tall.device.type == "cpu" else tall.mT
    size = tall.shape[1]
    signs = torch.randint(0, 2, (size, probes), generator=torch.Generator().manual_seed(seed)) * 2 - 1
    vector = signs.to(tall) / size**0.5
    basis = [vector]
    diagonal, off = [], []
    for step in range(degree):
        image = flat @ (tall @ vector)
        diagonal.append((vector * image).sum(0))
        if step + 1 == degree:
            break
        for _ in range(2):
            stacked = torch.stack(basis)  # (step + 1, size, probes)
            image = image - (stacked * (stacked * image).sum(1, keepdim=True)).sum(0)
        norm = torch.linalg.norm(image, dim=0)
        off.append(norm)
        vector = image / norm.clamp_min(torch.finfo(norm.dtype).tiny)
        basis.append(vector)
    a = torch.stack(diagonal).double().cpu().numpy().T
    b = torch.stack(off).double().cpu().numpy().T if off else np.zeros((probes, 0))
    b = np.where(b > 1e-6 * np.abs(a).max(), b, 0.0)  # a spent probe: the rest has no weight
    tridiagonal = np.zeros((probes, degree, degree))
    index = np.arange(degree)
    tridiagonal[:, index, index] = a
    tridiagonal[:, index[:-1], index[1:]] = tridiagonal[:, index[1:], index[:-1]] = b
    squares, vectors = np.linalg.eigh(tridiagonal)
    return np.sqrt(np.maximum(squares, 0.0)), vectors[:, 0, :] ** 2


def _quantiles(nodes: ndarray, weights: ndarray, levels: ndarray) -> ndarray:
    """Where the mean of the probes' distribution functions takes the levels."""
    grid = np.unique(np.concatenate([[0.0], nodes[weights > 1e-12]]))
    below = np.zeros_like(grid)
    for x, w in zip(nodes, weights, strict=True):
        keep = w > 1e-12
        middle = np.cumsum(w[keep]) - w[keep] / 2
        below += np.interp(grid, x[keep], middle, left=0.0, right=1.0) / len(nodes)
    return np.interp(levels, np.maximum.accumulate(below), grid)


def _spacing(nodes: ndarray, value: float) -> float:
    """Mean distance between the two nodes around a value."""
    gaps = []
    for x in nodes:
        above = int(np.clip(np.searchsorted(x, value), 1, len(x) - 1)) if len(x) > 1 else 0
        gaps.append(x[above] - x[above - 1] if len(x) > 1 else 0.0)
    return float(np.mean(gaps))
