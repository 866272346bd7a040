"""Muon: steps along the polar factor of the momentum, exact on learned cores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from .._checks import positive_float
from ..networks import Gradients, Parameters
from ..parametrizations import Rules
from ._optimizer import Moments, Numbers, Optimizer
from ._schedule import Schedule
from ._updates import check_fraction, check_rates, in_full, moved_ends, per_layer, relative_rates, zero_moments

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # Jordan et al. 2024; torch.optim.Muon has the same
ITERATIONS = 5


@dataclass(frozen=True)
class Muon(Optimizer):
    """W ← (1 - lr λ) W - lr rate polar(u),   v ← momentum v + g,   u = g + momentum v (Nesterov) or v.

    For the hidden weights, with g the gradient and polar(U S Vᵀ) = U Vᵀ; input and output weights take momentum SGD
    steps with ``lr_input`` and ``lr_output`` (None: lr; 0: frozen). ``newton_schulz`` (the optimizer of practice):
    five steps of X ← a X + (b X Xᵀ + c (X Xᵀ)²) X from u/|u|_F, which bring singular values above about 1/500 of
    |u|_F into [0.7, 1.2]; without it the polar factor itself, singular values below ``cutoff`` times the largest
    left at zero. A step has spectral norm lr, whatever the width; DepthMuP's rates L^(b - 1) apply.

    Exact on conditioned weights: u = Q_Bᵀ C Q_A with orthonormal bases, so polar(u) = Q_Bᵀ polar(C) Q_A, and so for
    any odd polynomial. Small singular values are lifted to order one, so what ``tolerance`` leaves out of the bases
    counts for more than under SGD: take 1e-3 or less. Cost beside the products: O(r³) for cores of side r
    (dense: O(n³)). Source: Jordan et al. 2024.

    ValueError for a rate that is not positive, momentum outside [0, 1), a cutoff outside (0, 1).

    >>> Muon(lr=0.1).low_rank
    True
    """

    lr: float
    momentum: float = 0.95
    weight_decay: float = 0.0
    lr_input: float | None = None
    lr_output: float | None = None
    nesterov: bool = True
    newton_schulz: bool = True
    cutoff: float = 1e-4
    schedule: Schedule | None = None

    low_rank = True

    def __post_init__(self) -> None:
        check_rates(self.lr, self.weight_decay, lr_input=self.lr_input, lr_output=self.lr_output)
        check_fraction("momentum", self.momentum)
        if not 0 < positive_float("cutoff", self.cutoff) < 1:
            raise ValueError(f"`cutoff` must be below 1; got {self.cutoff!r}.")

    @property
    def kind(self) -> type[Optimizer]:
        return type(self) if self.newton_schulz else _ExactMuon

    @property
    def numbers(self) -> Numbers:
        input, output = (self.lr if rate is None else rate for rate in (self.lr_input, self.lr_output))
        ahead = self.momentum if self.nesterov else None
        return Numbers(self.lr, input, output, None, self.momentum, 0.0, self.cutoff, self.weight_decay, ahead)

    def init(self, parameters: Parameters) -> Moments:
        """Zero momentum."""
        return zero_moments(parameters)

    @staticmethod
    def direction(core: Float[Array, "*L b a"], cutoff: Any) -> Float[Array, "*L b a"]:
        """The polar factor, nearly."""
        return newton_schulz(core)

    @classmethod
    def update(
        cls, parameters: Parameters, state: Moments, gradients: Gradients, numbers: Numbers, rules: Rules,
        hidden_rates: tuple[Any, ...],
    ) -> tuple[Parameters, Moments]:  # fmt: skip
        state, moves = numbers.momentum(state, in_full(parameters, gradients))
        rule = rules.hidden
        hidden = tuple(
            w.scale(1 - numbers.lr * numbers.decay).add_core(
                -per_layer(numbers.lr * rule.rate_muon * rule.multiplier * rate) * cls.direction(u, numbers.epsilon)
            )
            for w, u, rate in zip(
                parameters.hidden, moves.hidden, relative_rates(parameters, numbers, hidden_rates), strict=True
            )
        )
        input, output = moved_ends(parameters, moves, numbers, rules)
        return Parameters(input, hidden, output), state


class _ExactMuon(Muon):
    """The same with the polar factor itself; a kind of its own, so that only one is compiled in."""

    @staticmethod
    def direction(core: Float[Array, "*L b a"], cutoff: Any) -> Float[Array, "*L b a"]:
        return polar(core, cutoff)


def newton_schulz(matrix: Float[Array, "*L b a"]) -> Float[Array, "*L b a"]:
    """Five steps of the quintic iteration that nearly orthogonalises; an odd polynomial of the matrix over its norm."""
    a, b, c = NEWTON_SCHULZ
    norm = jnp.sqrt(jnp.sum(matrix**2, axis=(-2, -1), keepdims=True))
    x = matrix / jnp.where(norm > 0, norm, 1.0)
    tall = matrix.shape[-2] > matrix.shape[-1]
    x = jnp.swapaxes(x, -2, -1) if tall else x
    for _ in range(ITERATIONS):
        gram = x @ jnp.swapaxes(x, -2, -1)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return jnp.swapaxes(x, -2, -1) if tall else x


def polar(matrix: Float[Array, "*L b a"], cutoff: Any) -> Float[Array, "*L b a"]:
    """U Vᵀ over the singular values above ``cutoff`` times the largest."""
    left, values, right = jnp.linalg.svd(matrix, full_matrices=False)
    kept = values > cutoff * jnp.max(values, axis=-1, keepdims=True)
    return (left * kept[..., None, :].astype(matrix.dtype)) @ right
