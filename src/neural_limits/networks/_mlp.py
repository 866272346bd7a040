"""The fully connected network, forward and backward, in products with its weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._checks import positive_int
from ..parametrizations import Rules
from ..weights import WeightMatrix
from ._activations import Activation, resolve_activation, value_and_slope

MakeWeight = Callable[[Array, int, Array | float], WeightMatrix]


class Parameters(eqx.Module):
    """The trained weights: input (d, n), hidden operators n × n, output (C, n)."""

    input: Float[Array, "d n"]
    hidden: tuple[WeightMatrix, ...]
    output: Float[Array, "C n"]


class Trace(NamedTuple):
    """What the backward pass needs of the forward pass."""

    x: Float[Array, "P d"]
    slopes: tuple[Float[Array, "P n"], ...]  # φ'(h_l), l = 1..hidden + 1
    coordinates: tuple[Array, ...]  # of the features φ(h_l) on each hidden matrix's right side
    last: Float[Array, "P n"]  # φ(h_last)


class Gradients(NamedTuple):
    """∂loss/∂(input, output) as arrays; ∂loss/∂(hidden operator) as pairs of coordinates (left, right)."""

    input: Float[Array, "d n"]
    hidden: tuple[tuple[Array, Array], ...]
    output: Float[Array, "C n"]


@dataclass(frozen=True)
class MLP:
    """f(x) = m_out V φ(h_{L+1}),  h_1 = m_in U x,  h_{l+1} = M_l φ(h_l), l = 1..L, without biases.

    ``hidden`` is L, the number of hidden n × n matrices M_l (0 allowed); ``activation`` a name in
    `ACTIVATIONS` or an elementwise function. ValueError for a negative or fractional ``hidden`` or an
    unknown activation.

    >>> MLP(hidden=3, activation="gelu")
    MLP(hidden=3, activation='gelu')
    """

    hidden: int = 2
    activation: str | Activation = "tanh"

    def __post_init__(self) -> None:
        positive_int("hidden", self.hidden, least=0)
        resolve_activation(self.activation)

    def init(
        self,
        key: Array,
        inputs: int,
        outputs: int,
        width: int,
        rules: Rules,
        make_weight: MakeWeight,
        dtype: jnp.dtype,
    ) -> Parameters:
        """Random weights: U and V drawn here, hidden operators by ``make_weight(key, width, std)``."""
        key_input, key_output, *keys = jax.random.split(key, 2 + self.hidden)
        return Parameters(
            rules.input.std * jax.random.normal(key_input, (inputs, width), dtype),
            tuple(make_weight(k, width, rules.hidden.operator_std) for k in keys),
            rules.output.std * jax.random.normal(key_output, (outputs, width), dtype),
        )

    def forward(
        self, parameters: Parameters, x: Float[Array, "P d"], rules: Rules
    ) -> tuple[Float[Array, "P C"], Trace, Parameters]:
        """Outputs, what the backward pass needs, and the weights after the look."""
        phi = resolve_activation(self.activation)
        features, slope = value_and_slope(phi, rules.input.multiplier * (x @ parameters.input))
        slopes, coordinates, looked = [slope], [], []
        for weight in parameters.hidden:
            h, c, weight = weight.matvec(features)
            features, slope = value_and_slope(phi, h)
            slopes.append(slope)
            coordinates.append(c)
            looked.append(weight)
        outputs = rules.output.multiplier * (features @ parameters.output.T)
        trace = Trace(x, tuple(slopes), tuple(coordinates), features)
        return outputs, trace, Parameters(parameters.input, tuple(looked), parameters.output)

    def backward(
        self, parameters: Parameters, trace: Trace, chi: Float[Array, "P C"], rules: Rules
    ) -> tuple[Gradients, Parameters]:
        """Gradients from chi = ∂loss/∂outputs, and the weights after the look."""
        grad_output = rules.output.multiplier * (chi.T @ trace.last)
        delta = rules.output.multiplier * (chi @ parameters.output) * trace.slopes[-1]
        pairs, looked = [], []
        for l in range(self.hidden - 1, -1, -1):
            back, c, weight = parameters.hidden[l].rmatvec(delta)
            pairs.append((c, trace.coordinates[l]))
            looked.append(weight)
            delta = back * trace.slopes[l]
        grad_input = rules.input.multiplier * (trace.x.T @ delta)
        gradients = Gradients(grad_input, tuple(pairs[::-1]), grad_output)
        return gradients, Parameters(parameters.input, tuple(looked[::-1]), parameters.output)
