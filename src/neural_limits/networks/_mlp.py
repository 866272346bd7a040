"""The fully connected network, forward and backward, in products with its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from jaxtyping import Array, Float

from .._checks import positive_int
from ..parametrizations import Rules
from ..weights import Weights
from ._activations import Activation, resolve_activation, value_and_slope
from ._network import Gradients, MakeWeight, Network, Parameters


class Trace(NamedTuple):
    """What the backward pass needs of the forward pass."""

    x: Float[Array, "P d"]
    slopes: tuple[Float[Array, "P n"], ...]  # φ'(h_l), l = 1..hidden + 1
    coordinates: tuple[Array, ...]  # of the features φ(h_l) on each hidden matrix's right side
    last: Float[Array, "P n"]  # φ(h_last)


@dataclass(frozen=True)
class MLP(Network):
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

    @property
    def matrices(self) -> int:
        return self.hidden

    @property
    def depth(self) -> int:
        return self.hidden

    def describe(self) -> dict[str, Any]:
        return {"network": "mlp", "hidden": self.hidden}

    def init_hidden(
        self, keys: Sequence[Array], width: int, rules: Rules, make_weight: MakeWeight
    ) -> tuple[Weights, ...]:
        return tuple(make_weight(key, width, rules.hidden.operator_std) for key in keys)

    def forward(
        self, parameters: Parameters, x: Float[Array, "P d"], rules: Rules
    ) -> tuple[Float[Array, "P C"], Trace, Parameters]:
        phi = resolve_activation(self.activation)
        features, slope = value_and_slope(phi, rules.input.multiplier * (x @ parameters.input))
        slopes, coordinates, looked = [slope], [], []
        for weight in parameters.hidden:
            h, c, weight = weight.matvec(features)  # type: ignore[union-attr]  # an MLP has no stacks
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
        grad_output = rules.output.multiplier * (chi.T @ trace.last)
        delta = rules.output.multiplier * (chi @ parameters.output) * trace.slopes[-1]
        pairs, looked = [], []
        for l in range(self.hidden - 1, -1, -1):
            back, c, weight = parameters.hidden[l].rmatvec(delta)  # type: ignore[union-attr]
            pairs.append((c, trace.coordinates[l]))
            looked.append(weight)
            delta = back * trace.slopes[l]
        grad_input = rules.input.multiplier * (trace.x.T @ delta)
        gradients = Gradients(grad_input, tuple(pairs[::-1]), grad_output)
        return gradients, Parameters(parameters.input, tuple(looked[::-1]), parameters.output)
