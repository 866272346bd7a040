"""The setting of one deep linear run in the proportional limit: checked once, where it is built."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..._checks import one_of, positive_float, positive_int

PARAMETRIZATIONS = ("mup", "ntk")
DIVERGED = 1e6  # a loss that has grown by this factor over the larger of its start and 1 does not come back


@dataclass(frozen=True)
class Setting:
    """Width N, input dimension D and samples P diverge at fixed ν = N/D and α = P/D.

    X is P × D iid N(0, 1), y = X w*/√D + σ_ε ε with |w*|² = D and |ε|² = P;  h¹ = W⁰ x/√D, h^{l+1} = W^l h^l/√N,
    f = √D/(γ₀ N) w·h^L;  loss (1/2P) Σ (f - y)², gradient descent at rate η γ₀² N. Entries of W^l have the standard
    deviation ``sigma[l]``, those of w ``sigma[depth]``. ``parametrization`` "mup" keeps γ₀ = γ as ν varies; "ntk",
    f = w·h/(γ √N) at rate η γ² D, is the same family at γ₀ = γ/√ν. With ``batch_ratio`` each step draws a fresh
    batch of batch_ratio · D samples (one pass); ``sample_ratio`` is then not used and may be None.

    ValueError for ratios, rates or scales out of range, and for ``sigma_w`` of a length other than depth + 1.

    >>> Setting(depth=2, width_ratio=4.0, sample_ratio=2.0, lr=0.05, gamma=2.0, parametrization="ntk").gamma0
    1.0
    """

    depth: int
    width_ratio: float
    sample_ratio: float | None
    lr: float
    gamma: float = 1.0
    sigma_w: float | tuple[float, ...] = 1.0
    label_noise: float = 0.0
    steps: int = 50
    parametrization: str = "mup"
    batch_ratio: float | None = None

    def __post_init__(self) -> None:
        put = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731
        put("depth", positive_int("depth", self.depth))
        for name in ("width_ratio", "lr", "gamma"):
            put(name, positive_float(name, getattr(self, name)))
        put("label_noise", positive_float("label_noise", self.label_noise, zero=True))
        put("steps", positive_int("steps", self.steps, least=0))
        one_of("parametrization", self.parametrization, PARAMETRIZATIONS)
        put("sigma_w", check_sigma(self.sigma_w, self.depth))
        if self.batch_ratio is None and self.sample_ratio is None:
            raise ValueError("`sample_ratio` must be given, or `batch_ratio` for one pass over fresh samples.")
        for name in ("sample_ratio", "batch_ratio"):
            if getattr(self, name) is not None:
                put(name, positive_float(name, getattr(self, name)))

    @property
    def sigma(self) -> tuple[float, ...]:
        """Standard deviation of the entries of W⁰..W^{L-1} and w."""
        assert isinstance(self.sigma_w, tuple)  # made one when the setting was built
        return self.sigma_w

    @property
    def gamma0(self) -> float:
        """γ₀, the output scale of the muP form."""
        return self.gamma / math.sqrt(self.width_ratio) if self.parametrization == "ntk" else self.gamma

    @property
    def step_size(self) -> float:
        """h = η γ₀, the step of the order-one weights."""
        return self.lr * self.gamma0

    @property
    def online(self) -> bool:
        """Whether every step draws a fresh batch."""
        return self.batch_ratio is not None


def check_sigma(sigma: Any, depth: int) -> tuple[float, ...]:
    """One standard deviation for each of W⁰..W^{L-1} and the readout; a number stands for all of them."""
    if isinstance(sigma, Sequence | np.ndarray) and np.ndim(sigma) == 1:
        if len(sigma) != depth + 1:
            raise ValueError(
                f"`sigma_w` must hold depth + 1 = {depth + 1} values, the readout's last; got {len(sigma)}."
            )
        return tuple(positive_float("sigma_w", s, zero=True) for s in sigma)
    return (positive_float("sigma_w", sigma, zero=True),) * (depth + 1)
