"""Residual networks: layers stacked and scanned, so that compile time does not grow with depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from .._checks import one_of, positive_int
from ..parametrizations import Rules
from ..weights import Stack, WeightMatrix, Weights
from ._activations import Activation, resolve_activation, value_and_slope
from ._network import Gradients, MakeWeight, Network, Parameters

BLOCKS = ("one-layer", "two-layer")


class ResTrace(NamedTuple):
    """The forward pass, layer by layer."""

    x: Float[Array, "P d"]
    before: Float[Array, "L P n"]  # h_0 … h_{L-1}, what each block reads
    last: Float[Array, "P n"]  # h_L
    inner: Float[Array, "L P n"] | None  # z of two-layer blocks
    coordinates: tuple[Array, ...]  # of the features on the right side of each stack, (L, P, r)


class Signals(NamedTuple):
    """The backward pass, layer by layer."""

    first: Float[Array, "P n"]  # at h_0
    after: Float[Array, "L P n"]  # at h_1 … h_L
    coordinates: tuple[Array, ...]  # of the backward vectors on the left side of each stack, (L, P, r)


@dataclass(frozen=True)
class ResNet(Network):
    """f(x) = m_out V h_L,  h_0 = m_in U x,  h_l = h_{l-1} + branch · block_l(h_{l-1}), without biases.

    ``block`` "one-layer": M φ(h); "two-layer": M₂ φ(M₁ φ(h)). ``skip`` False leaves out the h_{l-1} (a plain
    network, with branch factor 1). ``branch`` is the parametrization's: 1/√L under `DepthMuP`, 1 under the others.
    Hidden weights are one `Stack` (first layers, then second layers). ValueError for a depth below one, an
    unknown block or activation.

    >>> ResNet(depth=64, block="two-layer").matrices
    128
    """

    depth: int = 8  # a field here, a property of the base
    block: str = "one-layer"
    activation: str | Activation = "tanh"
    skip: bool = True

    def __post_init__(self) -> None:
        positive_int("depth", self.depth)
        one_of("block", self.block, BLOCKS)
        resolve_activation(self.activation)

    @property
    def stacks(self) -> int:
        """Hidden weights in a block."""
        return 1 + BLOCKS.index(self.block)

    @property
    def matrices(self) -> int:
        return self.stacks * self.depth

    def describe(self) -> dict[str, Any]:
        return {"network": "resnet", "depth": self.depth, "block": self.block, "skip": int(self.skip)}

    def hidden_rates(self, rules: Rules) -> tuple[float, ...]:
        return (1.0,) if self.stacks == 1 else (rules.inner_rate, 1.0)

    def init_hidden(
        self, keys: Sequence[Array], width: int, rules: Rules, make_weight: MakeWeight
    ) -> tuple[Weights, ...]:
        groups = jnp.stack(keys).reshape(self.stacks, self.depth)
        make = jax.vmap(lambda key: make_weight(key, width, rules.hidden.operator_std))
        return tuple(Stack(make(group)) for group in groups)

    def forward(
        self, parameters: Parameters, x: Float[Array, "P d"], rules: Rules
    ) -> tuple[Float[Array, "P C"], ResTrace, Parameters]:
        phi = resolve_activation(self.activation)
        branch = rules.branch if self.skip else 1.0

        def layer(h: Array, weights: tuple[WeightMatrix, ...]) -> tuple[Array, Any]:
            value, coordinates, looked, inner = phi(h), [], [], None
            for i, weight in enumerate(weights):
                value, c, weight = weight.matvec(phi(value) if i else value)
                coordinates.append(c)
                looked.append(weight)
                inner = value if i + 1 < len(weights) else inner
            after = branch * value + (h if self.skip else 0)
            return after, (h, inner, tuple(coordinates), tuple(looked))

        h = rules.input.multiplier * (x @ parameters.input)
        last, (before, inner, coordinates, layers) = lax.scan(layer, h, _layers(parameters))
        outputs = rules.output.multiplier * (last @ parameters.output.T)
        looked = Parameters(parameters.input, tuple(map(Stack, layers)), parameters.output)
        return outputs, ResTrace(x, before, last, inner, coordinates), looked

    def signals(
        self, parameters: Parameters, trace: ResTrace, delta: Float[Array, "P n"], rules: Rules
    ) -> tuple[Signals, Parameters]:
        """``delta``, the derivative by h_L, taken back through every block, and the weights after the look."""
        phi = resolve_activation(self.activation)
        branch = rules.branch if self.skip else 1.0

        def layer(delta: Array, at: Any) -> tuple[Array, Any]:
            weights, h, z = at
            back = branch * delta
            coordinates: list[Array] = []
            looked: list[WeightMatrix] = []
            for i in range(len(weights) - 1, -1, -1):
                back, c, weight = weights[i].rmatvec(back)
                back = back * value_and_slope(phi, z if i else h)[1]
                coordinates.insert(0, c)
                looked.insert(0, weight)
            before = back + (delta if self.skip else 0)
            return before, (delta, tuple(coordinates), tuple(looked))

        scanned = (_layers(parameters), trace.before, trace.inner)
        first, (after, coordinates, layers) = lax.scan(layer, delta, scanned, reverse=True)
        looked = Parameters(parameters.input, tuple(map(Stack, layers)), parameters.output)
        return Signals(first, after, coordinates), looked

    def backward(
        self, parameters: Parameters, trace: ResTrace, chi: Float[Array, "P C"], rules: Rules
    ) -> tuple[Gradients, Parameters]:
        # One output: the derivative of f itself is taken back and χ put in afterwards, so that samples that
        # are fitted are resolved as well as the others (and the kernel of f's gradients can be read off).
        alone = chi.shape[1] == 1
        delta = rules.output.multiplier * ((jnp.ones_like(chi) if alone else chi) @ parameters.output)
        signals, looked = self.signals(parameters, trace, delta, rules)
        return self.gradients(trace, signals, chi, rules), looked

    def gradients(self, trace: ResTrace, signals: Signals, chi: Float[Array, "P C"], rules: Rules) -> Gradients:
        """The gradients from both passes; with one output, `Signals` of f itself."""
        weight = chi if chi.shape[1] == 1 else jnp.ones_like(chi[:, :1])
        pairs = tuple(
            (left * weight, right) for left, right in zip(signals.coordinates, trace.coordinates, strict=True)
        )
        return Gradients(
            rules.input.multiplier * (trace.x.T @ (weight * signals.first)),
            pairs,
            rules.output.multiplier * (chi.T @ trace.last),
        )


def _layers(parameters: Parameters) -> tuple[WeightMatrix, ...]:
    return tuple(stack.layers for stack in parameters.hidden)  # type: ignore[union-attr]
