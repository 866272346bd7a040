"""Forward and backward through an MLP, keeping every vector: what the exact kernel and Hessian are made of.

Written in products with the weights only, so that dense and conditioned weights run the same code. A product
looks along new directions, so every function returns the weights after the look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..networks import MLP, Parameters, resolve_activation, value_and_slope
from ..parametrizations import Rules
from ..weights import ConditionedMatrix, WeightMatrix, room_needed

FINE = 1e-6  # tolerance of looks, where the dtype allows: beside training's 1e-2, all directions are kept


class Forward(NamedTuple):
    """z_l = φ(h_l), φ'(h_l) and φ''(h_l) for l = 1..hidden + 1, and the outputs."""

    features: tuple[Float[Array, "P n"], ...]
    slopes: tuple[Float[Array, "P n"], ...]
    bends: tuple[Float[Array, "P n"], ...]
    outputs: Float[Array, "P C"]


class Backward(NamedTuple):
    """Derivatives by z_l and by h_l, l = 1..hidden + 1."""

    by_feature: tuple[Float[Array, "P n"], ...]
    signals: tuple[Float[Array, "P n"], ...]


def forward(
    network: MLP, parameters: Parameters, rules: Rules, x: Float[Array, "P d"]
) -> tuple[Forward, tuple[WeightMatrix, ...]]:
    """The forward pass."""
    phi = resolve_activation(network.activation)
    h = rules.input.multiplier * (x @ parameters.input)
    features, slopes, bends, looked = [], [], [], []
    for weight in (*parameters.hidden, None):
        z, slope = value_and_slope(phi, h)
        features.append(z)
        slopes.append(slope)
        bends.append(value_and_slope(lambda t: value_and_slope(phi, t)[1], h)[1])
        if weight is not None:
            h, _, weight = weight.matvec(z)  # type: ignore[union-attr]  # an MLP has no stacks
            looked.append(weight)
    outputs = rules.output.multiplier * (features[-1] @ parameters.output.T)
    return Forward(tuple(features), tuple(slopes), tuple(bends), outputs), tuple(looked)


def backward(
    weights: Sequence[WeightMatrix], output: Float[Array, "C n"], rules: Rules, slopes: Sequence[Array],
    chi: Float[Array, "P C"],
) -> tuple[Backward, tuple[WeightMatrix, ...]]:  # fmt: skip
    """The backward pass from chi, the derivative by the outputs."""
    by_feature = [rules.output.multiplier * (chi @ output)]
    signals = [by_feature[0] * slopes[-1]]
    looked: list[WeightMatrix] = []
    for weight, slope in zip(weights[::-1], slopes[-2::-1], strict=True):
        back, _, weight = weight.rmatvec(signals[0])
        by_feature.insert(0, back)
        signals.insert(0, back * slope)
        looked.insert(0, weight)
    return Backward(tuple(by_feature), tuple(signals)), tuple(looked)


def fine_copy(parameters: Parameters) -> Parameters:
    """The parameters with conditioned weights that keep (nearly) every direction they are shown.

    What they draw on this copy is lost with it: training goes on as if it had not been looked at.
    """
    tolerance = max(FINE, 1.5 * float(jnp.finfo(parameters.input.dtype).eps) ** 0.5)
    hidden = tuple(
        replace(w, tolerance=min(tolerance, w.tolerance)) if isinstance(w, ConditionedMatrix) else w
        for w in parameters.hidden
    )
    return Parameters(parameters.input, hidden, parameters.output)


def with_room(weights: Sequence[WeightMatrix], vectors: int, left: int = 1, right: int = 1) -> tuple[WeightMatrix, ...]:
    """Room for ``left`` backward and ``right`` forward looks along ``vectors`` vectors, in few sizes."""

    def grow(weight: WeightMatrix) -> WeightMatrix:
        if not isinstance(weight, ConditionedMatrix):
            return weight
        room = room_needed(vectors)
        return weight.resize(weight.capacities_for(left * room)[0], weight.capacities_for(right * room)[1])

    return tuple(map(grow, weights))


def has_room(weights: Sequence[WeightMatrix], vectors: int) -> bool:
    """Whether one more look on each side fits everywhere."""
    return all(bool(weight.has_room(vectors)) for weight in weights)
