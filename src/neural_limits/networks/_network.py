"""What training asks of a network: weights, a forward and a backward pass."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
from jaxtyping import Array, Float

from ..parametrizations import Parametrization, Rules
from ..weights import WeightMatrix, Weights
from ._activations import Activation

MakeWeight = Callable[[Array, int, Array | float], WeightMatrix]


class Parameters(eqx.Module):
    """The trained weights: input (d, n), hidden operators n × n (single or in stacks), output (C, n)."""

    input: Float[Array, "d n"]
    hidden: tuple[Weights, ...]
    output: Float[Array, "C n"]


class Gradients(NamedTuple):
    """∂loss/∂(input, output) as arrays; ∂loss/∂(hidden operator) as pairs of coordinates (left, right)."""

    input: Float[Array, "d n"]
    hidden: tuple[tuple[Array, Array], ...]
    output: Float[Array, "C n"]


class Network(abc.ABC):
    """A network without biases: U at the input, square hidden weights, V at the output."""

    activation: str | Activation

    @property
    @abc.abstractmethod
    def matrices(self) -> int:
        """How many hidden weight matrices there are."""

    @property
    @abc.abstractmethod
    def depth(self) -> int:
        """Layers or blocks between input and readout; rates per layer are as many."""

    @abc.abstractmethod
    def describe(self) -> dict[str, Any]:
        """Its settings, to be written beside results."""

    @abc.abstractmethod
    def init_hidden(
        self, keys: Sequence[Array], width: int, rules: Rules, make_weight: MakeWeight
    ) -> tuple[Weights, ...]:
        """Untrained hidden weights, one key for each of `matrices`."""

    @abc.abstractmethod
    def forward(
        self, parameters: Parameters, x: Float[Array, "P d"], rules: Rules
    ) -> tuple[Float[Array, "P C"], Any, Parameters]:
        """Outputs, what the backward pass needs, and the weights after the look."""

    @abc.abstractmethod
    def backward(
        self, parameters: Parameters, trace: Any, chi: Float[Array, "P C"], rules: Rules
    ) -> tuple[Gradients, Parameters]:
        """Gradients from chi = ∂loss/∂outputs, and the weights after the look."""

    def rules(self, parametrization: Parametrization, width: int, inputs: int) -> Rules:
        """The parametrization's table for this network."""
        return parametrization.rules(width, inputs, max(1, self.depth))

    def hidden_rates(self, rules: Rules) -> tuple[float, ...]:
        """The rate of each entry of `Parameters.hidden`, relative to the table's hidden rate."""
        return (1.0,) * self.matrices

    def init(
        self, key: Array, inputs: int, outputs: int, width: int, rules: Rules, make_weight: MakeWeight, dtype: Any
    ) -> Parameters:
        """Random weights: U and V drawn here, hidden operators by ``make_weight(key, width, std)``."""
        key_input, key_output, *keys = jax.random.split(key, 2 + self.matrices)
        return Parameters(
            rules.input.std * jax.random.normal(key_input, (inputs, width), dtype),
            self.init_hidden(keys, width, rules, make_weight),
            rules.output.std * jax.random.normal(key_output, (outputs, width), dtype),
        )
