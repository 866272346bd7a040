"""Quantiles of all singular values of a large weight from a few random probes: stochastic Lanczos quadrature."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

PROBES, DEGREE = 8, 24  # a product with 8 vectors costs little more than one with a single vector
RESOLUTION = 0.25  # of the spacing of nodes: what interpolating between them may miss, see tests
SQUARED_ROUNDING = 3e-4  # of the largest value: the root of float32's rounding, where small values drown
GAP = 2.5  # spacings of the middle node from which on a spacing is a gap of the spectrum


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
    own); between nodes the function is interpolated. The error adds in quadrature the standard error over the probes
    and, over √3, a quarter of the local spacing of the nodes (all of it at a gap of the spectrum).

    ``matrix`` is finite. Cost: ``degree`` products with ``probes`` vectors; memory probes × degree vectors.
    Source: Golub and Meurant 2010; Ubaru, Chen and Saad 2017.
    """
    small = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.mT
    nodes, weights = _nodes(small, probes, min(degree, small.shape[1]), seed)
    each = np.stack([_quantiles(x, w, levels) for x, w in zip(nodes, weights, strict=True)])
    scatter = each.std(axis=0, ddof=1) / np.sqrt(probes)
    resolution = np.stack([_resolution(x, w, levels) for x, w in zip(nodes, weights, strict=True)]).mean(axis=0)
    rounding = SQUARED_ROUNDING * nodes.max()
    return each.mean(axis=0), np.hypot(np.hypot(scatter, resolution / np.sqrt(3)), rounding)


def _nodes(tall: Tensor, probes: int, degree: int, seed: int) -> tuple[ndarray, ndarray]:
    """Nodes s and weights, (probes, degree), by Lanczos on WᵀW with full reorthogonalisation, all probes at once."""
    flat = tall.mT.contiguous() if tall.device.type == "cpu" else tall.mT
    size = tall.shape[1]
    signs = torch.randint(0, 2, (size, probes), generator=torch.Generator().manual_seed(seed)) * 2 - 1
    vector = signs.to(tall) / size**0.5
    basis = tall.new_zeros((probes, degree, size))
    diagonal, off = [], []
    for step in range(degree):
        basis[:, step] = vector.mT
        image = (flat @ (tall @ vector)).mT[..., None]  # (probes, size, 1)
        diagonal.append((basis[:, step] * image[..., 0]).sum(1))
        if step + 1 == degree:
            break
        held = basis[:, : step + 1]
        for _ in range(2):
            image = torch.baddbmm(image, held.mT, held @ image, alpha=-1)
        norm = torch.linalg.norm(image[..., 0], dim=1)
        off.append(norm)
        vector = image[..., 0].mT / norm.clamp_min(torch.finfo(norm.dtype).tiny)
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
    """Where one probe's distribution function takes the levels: at a node it has half of its weight below it."""
    kept = weights > 1e-12
    return np.interp(levels, np.cumsum(weights[kept]) - weights[kept] / 2, nodes[kept])


def _resolution(nodes: ndarray, weights: ndarray, levels: ndarray) -> ndarray:
    """How far off interpolation may be: a part of the distance between nodes, all of it where they leave a gap."""
    kept = weights > 1e-6
    x, middle = nodes[kept], np.cumsum(weights[kept]) - weights[kept] / 2
    if len(x) < 2:
        return np.zeros(len(levels))
    spacing = np.diff(x)
    above = np.clip(np.searchsorted(middle, levels), 1, len(spacing))
    local = spacing[above - 1]
    return np.where(local > GAP * np.median(spacing), local, RESOLUTION * local)
