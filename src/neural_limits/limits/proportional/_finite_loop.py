"""The compiled loop of a deep linear network of finite size, written once for dense and conditioned matrices."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple, cast

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from ...weights import ConditionedMatrix, DenseMatrix, WeightMatrix
from ._setting import DIVERGED, Setting


class Form(NamedTuple):
    """What the compiled code depends on: sizes, and how matrices are held."""

    inputs: int
    width: int
    samples: int  # of the batch in one pass
    depth: int
    steps: int
    online: bool
    weights: str
    tolerance: float
    dtype: str

    def make(self, key: Array, rows: int, columns: int, std: Array | float, looks: int) -> WeightMatrix:
        """A matrix with entries of standard deviation ``std``, with room for ``looks`` looks from each side."""
        if self.weights == "dense":
            return DenseMatrix.create(key, rows, columns, std=std, dtype=jnp.dtype(self.dtype))
        return ConditionedMatrix.create(
            key, rows, columns, std=std, tolerance=self.tolerance, capacity=looks, dtype=jnp.dtype(self.dtype)
        )

    def make_data(self, key: Array, looks: int) -> WeightMatrix:
        """A = X/√D."""
        return self.make(key, self.samples, self.inputs, self.inputs**-0.5, looks)


class Numbers(NamedTuple):
    """Everything else that does not change: traced, so that a change of it does not compile again."""

    step_size: Float[Array, ""]
    gamma0: Float[Array, ""]
    label_noise: Float[Array, ""]
    sigma: Float[Array, " layers"]

    @classmethod
    def of(cls, s: Setting, dtype: str) -> Numbers:
        return cls(*(jnp.asarray(x, dtype) for x in (s.step_size, s.gamma0, s.label_noise, s.sigma)))


class State(eqx.Module):
    """M⁰..M^{L-1}, A = X/√D (None in one pass), readout w, teacher w*, label noise ε, and what was recorded."""

    weights: tuple[WeightMatrix, ...]
    data: WeightMatrix | None
    readout: Float[Array, "1 n"]
    teacher: Float[Array, "1 d"]
    noise: Float[Array, "1 p"] | None
    key: Array
    step: Int[Array, ""]
    train: Float[Array, " t"]
    test: Float[Array, " t"]

    @property
    def diverged(self) -> Bool[Array, ""]:
        """Whether the last recorded training loss is out of bounds; NaN counts."""
        last = jnp.take(self.train, jnp.maximum(self.step - 1, 0))
        return (self.step > 1) & ~(last <= DIVERGED * jnp.maximum(self.train[0], 1.0))


@partial(jax.jit, static_argnames="form")
def initial_state(key: Array, numbers: Numbers, form: Form) -> State:
    """Untrained weights and, unless in one pass, the samples; |w*|² = D and |ε|² = P exactly."""
    keys = iter(jax.random.split(key, form.depth + 5))
    columns = [form.inputs, *[form.width] * (form.depth - 1)]
    looks = form.steps + 1  # one a step from each side, the last for the loss alone
    weights = tuple(
        form.make(next(keys), form.width, p, numbers.sigma[l] * p**-0.5, looks) for l, p in enumerate(columns)
    )
    dtype = jnp.dtype(form.dtype)
    readout = numbers.sigma[-1] * jax.random.normal(next(keys), (1, form.width), dtype)
    teacher = _exact(next(keys), form.inputs, dtype)
    data_key, noise_key, key = keys
    nan = jnp.full(looks, jnp.nan, dtype)
    data = None if form.online else form.make_data(data_key, looks)
    noise = None if form.online else _exact(noise_key, form.samples, dtype)
    return State(weights, data, readout, teacher, noise, key, jnp.zeros((), jnp.int32), nan, nan)


def _exact(key: Array, size: int, dtype: Any) -> Float[Array, "1 n"]:
    """Gaussian, with mean square one exactly."""
    draw = jax.random.normal(key, (1, size), dtype)
    return draw * (math.sqrt(size) / jnp.linalg.norm(draw))


@partial(jax.jit, static_argnames="form", donate_argnames="state")
def advance(state: State, until: Int[Array, ""] | int, numbers: Numbers, form: Form) -> State:
    """Record and update until ``until`` losses are recorded or the run has diverged; the last step does not update."""
    return lax.while_loop(
        lambda state: (state.step < until) & ~state.diverged, partial(_step, numbers=numbers, form=form), state
    )


def _step(state: State, numbers: Numbers, form: Form) -> State:
    key, data_key, noise_key = jax.random.split(state.key, 3)
    data, noise = state.data, state.noise
    if form.online:
        data, noise = form.make_data(data_key, 1), _exact(noise_key, form.samples, state.readout.dtype)
    nu, alpha = form.width / form.inputs, form.samples / form.inputs

    # b^L = w, b^l = M^{lᵀ} b^{l+1}, v = M^{0ᵀ} b¹/(γ₀ ν) - w*
    back, weights = state.readout, list(state.weights)
    left: list[Array] = []
    for l in reversed(range(form.depth)):
        back, coordinates, weights[l] = weights[l].rmatvec(back)
        left.insert(0, coordinates)
    v = back / (numbers.gamma0 * nu) - state.teacher

    # χ = A v - σ_ε ε, q = Aᵀχ/α
    data = cast(WeightMatrix, data)
    error, _, data = data.matvec(v)
    chi = error - numbers.label_noise * cast(Array, noise)
    features, _, data = data.rmatvec(chi)
    features = features / alpha

    # c⁰ = q, c^{l+1} = M^l c^l; M^l -= (h/p) b^{l+1} c^{lᵀ} with p its columns, w -= h c^L
    rate = jnp.where(state.step < form.steps, numbers.step_size, 0.0)
    for l in range(form.depth):
        columns = weights[l].shape[1]
        features, right, weights[l] = weights[l].matvec(features)
        weights[l] = weights[l].add_outer(left[l], right, -rate / columns)
    return State(
        tuple(weights),
        None if form.online else data,
        state.readout - rate * features,
        state.teacher,
        state.noise,
        key,
        state.step + 1,
        state.train.at[state.step].set(jnp.mean(chi**2)),
        state.test.at[state.step].set(jnp.mean(v**2)),
    )


def _ntk_product(
    u: Float[Array, "1 p"], energies: Float[Array, " layers"], weights: tuple[WeightMatrix, ...], data: WeightMatrix
) -> tuple[Float[Array, "1 p"], tuple[WeightMatrix, ...], WeightMatrix]:
    """Θ u, Θ = (1/α) A [E_1 + (1/ν) Σ_l E_{l+1} A_lᵀ A_l] Aᵀ with A_l = M^{l-1} … M⁰ and ``energies`` E_1..E_{L+1}."""
    (samples, inputs), width, looked = data.shape, weights[0].shape[0], list(weights)
    features, _, data = data.rmatvec(u)
    total, forward = energies[0] * features, []
    for l, m in enumerate(looked):
        features, _, looked[l] = m.matvec(features)
        forward.append(features)
    pulled = jnp.zeros_like(features)
    for l in reversed(range(len(looked))):
        pulled, _, looked[l] = looked[l].rmatvec(energies[l + 1] * forward[l] + pulled)
    value, _, data = data.matvec(total + pulled * (inputs / width))
    return value * (inputs / samples), tuple(looked), data


ntk_product = jax.jit(_ntk_product)  # returns dense matrices as they came, without a copy
ntk_product_in_place = jax.jit(_ntk_product, donate_argnames=("weights", "data"))  # extends the bases of a copy


@jax.jit
def energies(
    readout: Float[Array, "1 n"], weights: tuple[WeightMatrix, ...]
) -> tuple[Float[Array, " layers"], tuple[WeightMatrix, ...]]:
    """C_b^l = |b^l|²/N for l = 1..L, and 1 for the readout's own gradient; with the matrices after the look."""
    back, looked = readout, list(weights)
    found = [jnp.ones((), readout.dtype), jnp.mean(back**2)]
    for l in reversed(range(1, len(looked))):
        back, _, looked[l] = looked[l].rmatvec(back)
        found.append(jnp.mean(back**2))
    return jnp.stack(found[::-1]), tuple(looked)
