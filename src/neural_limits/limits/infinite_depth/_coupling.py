"""The coupling that reusing W_l in backpropagation brings, read off the conditioned weights of a run.

A look along a new direction q returns W q = Q_B (R q) + fresh noise: the first part, what the other side already
knew, *is* the coupling. In forward passes the known directions are backward vectors of earlier steps, in backward
passes features of earlier steps and of the same one.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy import ndarray

from ...networks import resolve_activation, value_and_slope
from ...weights import ConditionedMatrix
from ._trajectories import Trajectories, flat, gram


class Coupling(NamedTuple):
    """Contribution of the coupling to h_l (``forward``) and to g_{l-1} (``backward``), layers l = 1..L."""

    forward: Float[Array, "L K P n"]
    backward: Float[Array, "L K P n"]


def total_coupling(run: Trajectories) -> Coupling:
    """Every layer's coupling in a run of one-layer blocks on reused conditioned weights.

    forward  (σ/√L) Q_Bᵀ X c, X restricted to left directions older than the right one;
    backward φ'(h) (σ/√L) Q_Aᵀ Y c', Y restricted to right directions not younger than the left one.

    ValueError where weights are not conditioned and reused, or blocks have two layers. Cost: O(L n r K P).
    """
    layers = run.parameters.hidden[0].layers  # type: ignore[union-attr]
    if not isinstance(layers, ConditionedMatrix) or len(run.parameters.hidden) > 1:
        raise ValueError("`run` must be of one-layer blocks on reused conditioned weights.")
    left, right = layers.capacity
    ages = _ages(run.rank_left, left), _ages(run.rank_right, right)
    steps = run.h.shape[1:3]
    phi, slope = value_and_slope(resolve_activation(run.network.activation), run.h[:-1])
    forward, backward = _layers(layers, flat(phi), flat(run.g[1:]), *ages, run.rules.branch)
    shape = (len(phi), *steps, -1)
    return Coupling(forward.reshape(shape), slope * backward.reshape(shape))


def local_coupling(run: Trajectories, lr: float, y: ndarray) -> Coupling:
    """The part through the neighbouring layer's update: O(L⁻²) in every layer.

    R^loc_l(a, b) = -(η σ/L^(3/2)) χ_b Φ_{l-2}(a, b) E[φ'(h_{l-1}^a) φ'(h_{l-1}^b)], zero for l = 1;
    S^loc_l(a, b) = -(η σ/L^(3/2)) χ_b G_{l+1}(a, b) E[φ'(h_l^a) φ'(h_l^b)], zero for l = L; b of earlier steps.
    """
    layers, (steps, samples) = run.network.depth, run.h.shape[1:3]
    phi, slope = value_and_slope(resolve_activation(run.network.activation), run.h)
    sigma = run.rules.hidden.operator_std * run.h.shape[-1] ** 0.5
    chi = ((run.outputs - y) / samples).ravel()
    step = np.repeat(np.arange(steps), samples)
    earlier = step[None, :] < step[:, None]
    size = -lr * sigma**2 / layers**2 * chi * earlier  # with the σ/√L of the product
    features, slopes, gradients = gram(phi), gram(slope), gram(run.g)
    r, s = np.zeros((2, layers, steps * samples, steps * samples))
    r[1:] = size * features[: layers - 1] * slopes[1:layers]
    s[:-1] = size * gradients[2:] * slopes[1:layers]
    apply = lambda matrix, vectors: jnp.einsum("lab,lbn->lan", jnp.asarray(matrix, run.h.dtype), vectors)  # noqa: E731
    shape = (layers, steps, samples, -1)
    forward = apply(r, flat(run.g[1:])).reshape(shape)
    backward = apply(s, flat(phi[:-1])).reshape(shape)
    return Coupling(forward, slope[:-1] * backward)


def accumulated(coupling: Coupling) -> tuple[Array, Array]:
    """Sums over layers: what the coupling has added to h_L, and to g_0, (K, P, n)."""
    return coupling.forward.sum(0), coupling.backward.sum(0)


def _ages(ranks: Int[ndarray, "K L"], capacity: int) -> Array:
    """The step at which each row of the bases was first looked along, (L, capacity)."""
    return jnp.asarray((np.arange(capacity)[None, :, None] >= ranks.T[:, None, :]).sum(-1))


@jax.jit
def _layers(
    layers: ConditionedMatrix, phi: Array, g: Array, left: Array, right: Array, branch: Array
) -> tuple[Array, Array]:
    def one(at: tuple[ConditionedMatrix, Array, Array, Array, Array]) -> tuple[Array, Array]:
        w, phi, g, left, right = at
        known_right = (w.left_image @ w.right_basis.T) * (left[:, None] < right[None, :])
        known_left = (w.right_image @ w.left_basis.T) * (right[:, None] <= left[None, :])
        size = branch * w.std
        forward = size * ((phi @ w.right_basis.T) @ known_right.T) @ w.left_basis
        backward = size * ((g @ w.left_basis.T) @ known_left.T) @ w.right_basis
        return forward, backward

    return jax.lax.map(one, (layers, phi, g, left, right))


class InitialGap(NamedTuple):
    """Mean square over neurons of g_0 with reused weights minus g_0 with independent ones, and |g_0|² itself."""

    gap: float
    size: float


def initial_gap(
    x: Float[ndarray, "P d"], activation: str, sigma_w: float, depth: int, width: int, seed: int
) -> InitialGap:
    """The coupling of an untrained network: g_0 with reused and with independent backward weights, same noise.

    Both share every fresh Gaussian; the reused one replaces its projection on the features' directions by what
    the forward pass drew. Cost: O(L n P²).
    """
    start = jnp.asarray(x / x.shape[1] ** 0.5)
    gap, size = _initial_gap(start, jax.random.key(seed), sigma_w, depth, width, activation)
    return InitialGap(float(gap), float(size))


@partial(jax.jit, static_argnames=("depth", "width", "activation"))
def _initial_gap(
    start: Array, key: Array, sigma_w: float, depth: int, width: int, activation: str
) -> tuple[Array, Array]:
    phi = resolve_activation(activation)
    samples = len(start)
    keys = jax.random.split(key, 2 + 2 * depth)
    size = sigma_w * depth**-0.5

    def basis(vectors: Array) -> tuple[Array, Array]:
        q, r = jnp.linalg.qr(vectors.T)
        sign = jnp.where(jnp.diag(r) < 0, -1.0, 1.0).astype(r.dtype)  # one basis for vectors that hardly differ
        return sign[:, None] * q.T, (sign[:, None] * r).T  # vectors = c @ q

    def up(h: Array, key: Array) -> tuple[Array, tuple[Array, Array, Array]]:
        q, c = basis(phi(h))
        z = jax.random.normal(key, (samples, width), h.dtype)
        return h + size * width**-0.5 * (c @ z), (h, q, z)

    h = start @ jax.random.normal(keys[0], (start.shape[1], width), start.dtype)
    _, (hs, qs, zs) = jax.lax.scan(up, h, keys[2 : 2 + depth])
    v = jax.random.normal(keys[1], (1, width), start.dtype)

    def down(carry: tuple[Array, Array], at: tuple[Array, ...]) -> tuple[tuple[Array, Array], None]:
        reused, independent = carry
        h, q, z, key = at
        slope = value_and_slope(phi, h)[1]
        fresh = jax.random.normal(key, (samples, width), h.dtype)
        p, c = basis(reused)
        back = fresh - (fresh @ q.T) @ q + (p @ z.T) @ q
        reused = reused + slope * size * width**-0.5 * (c @ back)
        _, c = basis(independent)
        independent = independent + slope * size * width**-0.5 * (c @ fresh)
        return (reused, independent), None

    first = jnp.broadcast_to(v, (samples, width))
    (reused, independent), _ = jax.lax.scan(down, (first, first), (hs, qs, zs, keys[2 + depth :]), reverse=True)
    return jnp.mean((reused - independent) ** 2), jnp.mean(independent**2)
