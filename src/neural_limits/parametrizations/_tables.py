"""muP, NTK and standard parametrization of fully connected networks, as functions of width.

A layer computes ``multiplier · W x`` with W initialised iid N(0, std²), and SGD steps
``W -= lr · rate · ∂loss/∂W``. n is the width, d the input dimension, γ the output scale:

    |          | muP (mean field)        | NTK                  | standard            |
    |----------|-------------------------|----------------------|---------------------|
    | input    | 1/√d,  1,      γ² n     | 1/√d,   1,    γ²     | 1,   1/√d,    γ²    |
    | hidden   | 1,     σ_w/√n, γ²       | 1/√n,   σ_w,  γ²     | 1,   σ_w/√n,  γ²    |
    | output   | 1/γn,  1,      γ² n     | 1/(γ√n), 1,   γ²     | 1/γ, 1/√n,    γ²    |
               (multiplier, std, rate)

Adam divides each gradient entry by its own size, so its rates differ (and γ drops out): muP 1, 1/n, 1; the
other two use one rate for all layers. Muon gives the step of a hidden matrix a spectral norm of its own choice, so that
under muP one rate fits every width.

Under muP every layer moves its activations by O(1) per step at any width. NTK is muP with γ → γ/√n: lazy as
n grows. Under the standard parametrization the same rate is too large for wide hidden layers.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import NamedTuple

from .._checks import positive_float, positive_int


class LayerRule(NamedTuple):
    """One row of a table: ``multiplier · W x``, W ~ N(0, std²), step lr · rate · gradient."""

    multiplier: float
    std: float
    rate: float
    rate_adam: float = 1.0
    rate_muon: float = 1.0  # of a step whose spectral norm is one (square matrices)

    @property
    def operator_std(self) -> float:
        """Initial standard deviation of the operator multiplier · W."""
        return self.multiplier * self.std

    @property
    def operator_rate(self) -> float:
        """Rate of the operator multiplier · W: multiplier² · rate."""
        return self.multiplier**2 * self.rate


class Rules(NamedTuple):
    """The rows of one table at a given width and depth."""

    input: LayerRule
    hidden: LayerRule
    output: LayerRule
    branch: float = 1.0  # factor of a residual block before it is added to the stream
    inner_rate: float = 1.0  # rate of the first layer of a two-layer block, relative to the hidden rate


@dataclass(frozen=True)
class Parametrization(abc.ABC):
    """A table of rules; ``gamma`` divides the output, ``sigma_w`` is the hidden operators' σ_w.

    ValueError if gamma or sigma_w is not positive.
    """

    gamma: float = 1.0
    sigma_w: float = 1.0

    def __post_init__(self) -> None:
        positive_float("gamma", self.gamma)
        positive_float("sigma_w", self.sigma_w)

    def rules(self, width: int, inputs: int, depth: int = 1) -> Rules:
        """The table at this width, input dimension and depth (residual blocks).

        >>> MuP(gamma=2.0).rules(width=100, inputs=4).output
        LayerRule(multiplier=0.005, std=1.0, rate=400.0, rate_adam=1.0, rate_muon=1.0)
        """
        positive_int("depth", depth)
        return self._rules(float(positive_int("width", width)), float(positive_int("inputs", inputs)), float(depth))

    @abc.abstractmethod
    def _rules(self, n: float, d: float, depth: float) -> Rules: ...


@dataclass(frozen=True)
class MuP(Parametrization):
    """Maximal update (mean-field) parametrization: feature learning at every width.

    Source: Yang & Hu 2021 (Tensor Programs IV), in the mean-field form.
    """

    def _rules(self, n: float, d: float, depth: float) -> Rules:
        g = self.gamma
        return Rules(
            input=LayerRule(d**-0.5, 1.0, g**2 * n),
            hidden=LayerRule(1.0, self.sigma_w * n**-0.5, g**2, rate_adam=1 / n),
            output=LayerRule(1 / (g * n), 1.0, g**2 * n),
        )


@dataclass(frozen=True)
class DepthMuP(MuP):
    """muP for residual networks of any depth L: blocks are multiplied by L^-b, hidden rates by L^(2b - 1).

    ``branch_exponent`` b = 1/2 is depth-muP, with a random limit as L → ∞ (Neural Feature Dynamics); b = 1
    has hidden rates η L and a deterministic one (as in CompleteP). ``inner_exponent`` α multiplies the rate of
    the first layer of two-layer blocks by L^α. ValueError for exponents that are not finite or negative.

    >>> DepthMuP().rules(width=100, inputs=4, depth=16).branch
    0.25
    >>> DepthMuP(branch_exponent=1.0).rules(width=100, inputs=4, depth=16).hidden.rate
    16.0

    Source: Bordelon et al. 2023, Yang et al. 2023 (Tensor Programs VI), arXiv 2512.21075.
    """

    branch_exponent: float = 0.5
    inner_exponent: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        positive_float("branch_exponent", self.branch_exponent, zero=True)
        positive_float("inner_exponent", self.inner_exponent, zero=True)

    def _rules(self, n: float, d: float, depth: float) -> Rules:
        rules = super()._rules(n, d, depth)
        hidden = rules.hidden
        b = self.branch_exponent
        direction = depth ** (b - 1)  # of steps of a fixed size
        return rules._replace(
            hidden=hidden._replace(
                rate=hidden.rate * depth ** (2 * b - 1),
                rate_adam=hidden.rate_adam * direction,
                rate_muon=hidden.rate_muon * direction,
            ),
            branch=depth**-b,
            inner_rate=depth**self.inner_exponent,
        )


@dataclass(frozen=True)
class NTK(Parametrization):
    """Neural tangent parametrization: lazy as the width grows. Source: Jacot et al. 2018."""

    def _rules(self, n: float, d: float, depth: float) -> Rules:
        g = self.gamma
        return Rules(
            input=LayerRule(d**-0.5, 1.0, g**2),
            hidden=LayerRule(n**-0.5, self.sigma_w, g**2),
            output=LayerRule(1 / (g * n**0.5), 1.0, g**2),
        )


@dataclass(frozen=True)
class Standard(Parametrization):
    """Standard (fan-in) parametrization with one rate for all layers; stable rates shrink as 1/n."""

    def _rules(self, n: float, d: float, depth: float) -> Rules:
        g = self.gamma
        return Rules(
            input=LayerRule(1.0, d**-0.5, g**2),
            hidden=LayerRule(1.0, self.sigma_w * n**-0.5, g**2),
            output=LayerRule(1 / g, n**-0.5, g**2),
        )
