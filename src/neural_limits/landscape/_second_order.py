"""The Hessian of an MLP on any form of weights: Pearlmutter's pass, in products with the weights.

A change of a hidden weight that the Hessian answers with is dM = Σ (δ' aᵀ + δ a'ᵀ), with the features a and the
backward signals δ of the samples fixed. So the Hessian lives on changes of the form

    dM = Uᵀ A + Dᵀ W,   W Aᵀ = 0,       A, D orthonormal rows spanning the features and the signals,

and |dM|² = |U|² + |W|²: plain vectors (U, W) of 2 P n numbers, not n². With v on these coordinates and R^½ the
roots of the rates, the product R^½ H R^½ v is one tangent forward and one tangent backward pass.
"""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from ..networks import MLP, Parameters
from ..parametrizations import Rules
from ..weights import WeightMatrix
from ._metric import Rates, loss_slope, loss_slope_change
from ._passes import Backward, Forward, backward, fine_copy, forward, has_room, with_room

AHEAD = 8  # products that room is made for at once where the first estimate was too low


class Pair(NamedTuple):
    """A change of one hidden weight, Uᵀ A + Dᵀ W."""

    u: Float[Array, "ka n"]
    w: Float[Array, "kd n"]


class Tangent(NamedTuple):
    """A change of all weights."""

    input: Float[Array, "d n"]
    hidden: tuple[Pair, ...]
    output: Float[Array, "C n"]


class Frame(NamedTuple):
    """The point at which the Hessian is taken."""

    ahead: Forward
    back: Backward
    chi: Float[Array, "P C"]
    right: tuple[Float[Array, "ka n"], ...]  # A of each hidden weight
    left: tuple[Float[Array, "kd n"], ...]  # D


class Hessian:
    """R^½ H R^½ as a function of flat vectors; conditioned weights are looked at, and grow, on a copy.

    Cost of a product: two forward and two backward passes' worth, P new directions on each side of every
    conditioned weight. Exact up to the looks' tolerance, in law on conditioned weights.
    """

    def __init__(
        self, network: MLP, loss: str, parameters: Parameters, rules: Rules, rates: Rates,
        x: Float[Array, "P d"], y: Float[Array, "P C"], *, products: int = AHEAD,
    ) -> None:  # fmt: skip
        """Room is made for ``products`` products ahead, so that one size is compiled."""
        self._network, self._loss, self._rules, self._rates, self._data = network, loss, rules, rates, (x, y)
        fine = fine_copy(parameters)
        self._ends = fine.input, fine.output
        self._weights = with_room(fine.hidden, len(x), products, products)  # type: ignore[arg-type]
        self._frame, self._weights = _frame(network, loss, self._parameters, rules, x, y)
        shapes = jax.tree.leaves(jax.eval_shape(partial(_zero, self._ends), self._frame))
        self.size = sum(math.prod(leaf.shape) for leaf in shapes)

    @property
    def _parameters(self) -> Parameters:
        return Parameters(self._ends[0], self._weights, self._ends[1])

    def product(self, vector: Float[Array, " k"]) -> Float[Array, " k"]:
        """R^½ H R^½ v."""
        if not has_room(self._weights, len(self._data[0])):
            self._weights = with_room(self._weights, len(self._data[0]), AHEAD, AHEAD)
        value, self._weights = _product(
            self._network, self._loss, self._parameters, self._rules, self._rates, *self._data, self._frame, vector
        )
        return value


@partial(jax.jit, static_argnames=("network", "loss"))
def _frame(
    network: MLP, loss: str, parameters: Parameters, rules: Rules, x: Array, y: Array
) -> tuple[Frame, tuple[WeightMatrix, ...]]:
    ahead, weights = forward(network, parameters, rules, x)
    chi = loss_slope(loss, ahead.outputs, y)
    back, weights = backward(weights, parameters.output, rules, ahead.slopes, chi)
    right, left = map(_orthonormal, ahead.features[:-1]), map(_orthonormal, back.signals[1:])
    return Frame(ahead, back, chi, tuple(right), tuple(left)), weights


def _orthonormal(rows: Float[Array, "P n"]) -> Float[Array, "k n"]:
    """Orthonormal rows whose span holds all of ``rows``; rows that vanish or repeat are completed somehow."""
    return jnp.linalg.qr(rows.T)[0].T


def _zero(ends: tuple[Array, Array], frame: Frame) -> Tangent:
    pairs = tuple(Pair(jnp.zeros_like(a), jnp.zeros_like(d)) for a, d in zip(frame.right, frame.left, strict=True))
    return Tangent(jnp.zeros_like(ends[0]), pairs, jnp.zeros_like(ends[1]))


@partial(jax.jit, static_argnames=("network", "loss"))
def _product(
    network: MLP, loss: str, parameters: Parameters, rules: Rules, rates: Rates, x: Array, y: Array, frame: Frame,
    vector: Array,
) -> tuple[Array, tuple[WeightMatrix, ...]]:  # fmt: skip
    unravel = ravel_pytree(_zero((parameters.input, parameters.output), frame))[1]
    tangent = _scaled(_projected(unravel(vector), frame), rates)
    (d_features, d_inputs, d_outputs), weights = _forward(parameters, rules, x, frame, tangent)
    d_chi = loss_slope_change(loss, frame.ahead.outputs, y, d_outputs)
    d_signals, weights = _backward(weights, parameters.output, rules, frame, tangent, d_inputs, d_chi)
    change = Tangent(
        rules.input.multiplier * (x.T @ d_signals[0]),
        tuple(
            Pair((z @ a.T).T @ d_delta, (delta @ d.T).T @ d_z)
            for z, delta, a, d, d_delta, d_z in zip(
                frame.ahead.features[:-1], frame.back.signals[1:], frame.right, frame.left,
                d_signals[1:], d_features[:-1], strict=True,
            )
        ),
        rules.output.multiplier * (d_chi.T @ frame.ahead.features[-1] + frame.chi.T @ d_features[-1]),
    )  # fmt: skip
    return ravel_pytree(_scaled(_orthogonal(change, frame), rates))[0], weights


def _forward(
    parameters: Parameters, rules: Rules, x: Array, frame: Frame, tangent: Tangent
) -> tuple[tuple[list[Array], list[Array], Array], tuple[WeightMatrix, ...]]:
    """Changes of the features and of the layers' inputs h, of the outputs; dh_{l+1} = M dz_l + dM z_l."""
    ahead = frame.ahead
    d_inputs = [rules.input.multiplier * (x @ tangent.input)]
    d_features = [ahead.slopes[0] * d_inputs[0]]
    looked = []
    for l, (weight, pair) in enumerate(zip(parameters.hidden, tangent.hidden, strict=True)):
        through, _, weight = weight.matvec(d_features[-1])  # type: ignore[union-attr]
        z = ahead.features[l]
        d_inputs.append(through + (z @ frame.right[l].T) @ pair.u + (z @ pair.w.T) @ frame.left[l])
        d_features.append(ahead.slopes[l + 1] * d_inputs[-1])
        looked.append(weight)
    d_outputs = d_features[-1] @ parameters.output.T + ahead.features[-1] @ tangent.output.T
    return (d_features, d_inputs, rules.output.multiplier * d_outputs), tuple(looked)


def _backward(
    weights: tuple[WeightMatrix, ...], output: Array, rules: Rules, frame: Frame, tangent: Tangent,
    d_inputs: list[Array], d_chi: Array,
) -> tuple[list[Array], tuple[WeightMatrix, ...]]:  # fmt: skip
    """Changes of the signals δ_l = e_l φ'(h_l), with e_l = Mᵀ δ_{l+1} and de_l = Mᵀ dδ_{l+1} + dMᵀ δ_{l+1}."""
    ahead, back = frame.ahead, frame.back

    def signal(l: int, d_by_feature: Array) -> Array:
        return d_by_feature * ahead.slopes[l] + back.by_feature[l] * ahead.bends[l] * d_inputs[l]

    last = len(weights)
    d_signals = [signal(last, rules.output.multiplier * (d_chi @ output + frame.chi @ tangent.output))]
    looked: list[WeightMatrix] = []
    for l in range(last - 1, -1, -1):
        through, _, weight = weights[l].rmatvec(d_signals[0])
        delta, pair = back.signals[l + 1], tangent.hidden[l]
        learned = (delta @ pair.u.T) @ frame.right[l] + (delta @ frame.left[l].T) @ pair.w
        d_signals.insert(0, signal(l, through + learned))
        looked.insert(0, weight)
    return d_signals, tuple(looked)


def _scaled(tangent: Tangent, rates: Rates) -> Tangent:
    """R^½ times the tangent."""
    hidden = tuple(
        Pair(jnp.sqrt(rate) * u, jnp.sqrt(rate) * w) for rate, (u, w) in zip(rates.hidden, tangent.hidden, strict=True)
    )
    return Tangent(jnp.sqrt(rates.input) * tangent.input, hidden, jnp.sqrt(rates.output) * tangent.output)


def _projected(tangent: Tangent, frame: Frame) -> Tangent:
    """The nearest tangent with W Aᵀ = 0."""
    pairs = (Pair(u, w - (w @ a.T) @ a) for (u, w), a in zip(tangent.hidden, frame.right, strict=True))
    return tangent._replace(hidden=tuple(pairs))


def _orthogonal(tangent: Tangent, frame: Frame) -> Tangent:
    """The same change with W Aᵀ = 0: what of W lies along A moves into U."""
    pairs = []
    for (u, w), a, d in zip(tangent.hidden, frame.right, frame.left, strict=True):
        along = w @ a.T
        pairs.append(Pair(u + along.T @ d, w - along @ a))
    return tangent._replace(hidden=tuple(pairs))
