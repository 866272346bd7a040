"""Outliers from order parameters: the same theory when only overlaps per neuron are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from .._checks import positive_float
from ._known_block import KnownBlock
from ._roots import Roots, find_roots

TRUNCATION = 1e-6  # of the largest eigenvalue of a normalised kernel: the square of a basis tolerance of 1e-3


@dataclass(frozen=True)
class OrderParameters:
    """Overlaps per neuron (1/n) Σ_i of the fields of one square weight M = M_0 + (1/n) Bᵀ S A.

    B (k_B fields, the backward vectors) and A (k_A, the features) have Z = M_0 A and R = M_0ᵀ B, with M_0 the
    initial operator of entries N(0, sigma_w²/n): ``bb`` = ⟨B Bᵀ⟩, ``bz`` = ⟨B Zᵀ⟩ = ⟨R Aᵀ⟩, ``zz``, ``aa``, ``rr``, and
    ``updates`` = S (k_B × k_A), for gradient descent -lr γ 1[same step and sample]. Dynamical mean-field
    theories and infinite-width solvers produce exactly these. ValueError for shapes that do not fit.
    """

    bb: Float[ndarray, "kb kb"]
    bz: Float[ndarray, "kb ka"]
    zz: Float[ndarray, "ka ka"]
    aa: Float[ndarray, "ka ka"]
    rr: Float[ndarray, "kb kb"]
    updates: Float[ndarray, "kb ka"]
    sigma_w: float = 1.0

    def __post_init__(self) -> None:
        positive_float("sigma_w", self.sigma_w)
        kb, ka = np.shape(self.updates)
        wanted = {"bb": (kb, kb), "bz": (kb, ka), "zz": (ka, ka), "aa": (ka, ka), "rr": (kb, kb)}
        for name, shape in wanted.items():
            if np.shape(getattr(self, name)) != shape:
                raise ValueError(
                    f"`{name}` must have shape {shape} to fit `updates`; got {np.shape(getattr(self, name))}."
                )

    @property
    def edge(self) -> float:
        """Upper edge of the bulk, 2 sigma_w."""
        return 2 * self.sigma_w

    def known_block(self) -> KnownBlock:
        """The outlier equation in whitened fields, at infinite width."""
        left, right = whitening(self.bb), whitening(self.aa)
        cross = left.T @ self.bz @ right
        learned = (left.T @ self.bb) @ self.updates @ (self.aa @ right)
        return KnownBlock(
            cross + learned,
            left.T @ self.rr @ left - cross @ cross.T,
            right.T @ self.zz @ right - cross.T @ cross,
            self.sigma_w**2,
            self.sigma_w**2,
        )


def outliers_from_order_parameters(order: OrderParameters, *, margin: float = 0.0) -> Roots:
    """Outliers above (1 + margin) × edge, and their vectors on the whitened fields.

    >>> one, zero = np.eye(1), np.zeros((1, 1))  # an independent spike of strength 2: σ = 2 + 1/2 (BBP)
    >>> order = OrderParameters(bb=one, bz=zero, zz=one, aa=one, rr=one, updates=2 * one)
    >>> outliers_from_order_parameters(order).values
    array([2.5])
    """
    return find_roots(order.known_block(), order.edge * (1 + positive_float("margin", margin, zero=True)))


def whitening(kernel: Float[ndarray, "k k"]) -> Float[ndarray, "k r"]:
    """U with Uᵀ K U = 1 on the directions that are not null: eigenvalues above `TRUNCATION` of the largest,
    after the fields are normalised."""
    kernel = np.asarray(kernel, np.float64)
    size = np.sqrt(np.diag(kernel))
    unit = np.divide(1.0, size, out=np.zeros_like(size), where=size > 0)
    values, vectors = np.linalg.eigh(kernel * unit[:, None] * unit)
    keep = values > TRUNCATION * values[-1]
    return unit[:, None] * vectors[:, keep] / np.sqrt(values[keep])
