"""Networks of different depths along the same noise: differences far below the noise of independent runs.

The particle system written out once more, sample by sample: directions are taken in the fixed order (step, sample), so
that the k-th fresh Gaussian of a layer means the same at every depth, and the two halves of a coarse layer's noise are
those of the two fine layers it stands for. An independent second engine beside `trajectories`.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from ...networks import Activation, resolve_activation, value_and_slope


class Noise(NamedTuple):
    """Everything random in a network of L layers: U, v, and the fresh images of each direction, both sides."""

    u: Float[Array, "d n"]
    v: Float[Array, " n"]
    up: Float[Array, "L KP n"]
    down: Float[Array, "L KP n"]


class Paths(NamedTuple):
    """Outputs and every layer of every step."""

    outputs: Float[Array, "K P"]
    h: Float[Array, "L1 K P n"]
    g: Float[Array, "L1 K P n"]


class _Layer(NamedTuple):
    """What is known of one weight: orthonormal directions (mean square 1) and images of both sides, learned core."""

    right: Array
    right_image: Array
    left: Array
    left_image: Array
    core: Array


def draw_noise(key: Array, depth: int, directions: int, inputs: int, width: int) -> Noise:
    """Independent normal numbers for ``depth`` layers; `coarser` makes shallower ones of them."""
    keys = jax.random.split(key, 4)
    shapes = ((inputs, width), (width,), (depth, directions, width), (depth, directions, width))
    return Noise(*(jax.random.normal(k, shape) for k, shape in zip(keys, shapes, strict=True)))


def coarser(noise: Noise, depth: int) -> Noise:
    """The same paths on ``depth`` layers: increments of a Brownian motion added up. ``depth`` divides the finer one."""
    factor = len(noise.up) // depth

    def add(fine: Array) -> Array:
        return fine.reshape(depth, factor, *fine.shape[1:]).sum(1) / factor**0.5

    return noise._replace(up=add(noise.up), down=add(noise.down))


@partial(jax.jit, static_argnames=("activation", "steps", "reused"))
def paths(
    x: Float[Array, "P d"],
    y: Float[Array, " P"],
    noise: Noise,
    *,
    activation: str | Activation,
    steps: int,
    lr: Array | float,
    sigma_w: Array | float = 1.0,
    reused: bool = True,
    tolerance: float = 1e-3,
) -> Paths:
    """Train a one-layer-block network under depth-muP (all rates ``lr``) on given noise. Cost O(L n (K P)²)."""
    phi = resolve_activation(activation)
    samples, depth, width = len(x), len(noise.up), noise.v.shape[0]
    scaled = x / x.shape[1] ** 0.5
    empty = jnp.zeros_like(noise.up)
    core = jnp.zeros((depth, *(2 * (noise.up.shape[1],))), empty.dtype)
    layers = _Layer(empty, empty, empty, empty, core)
    u, v = noise.u, noise.v
    noise_size, drift = sigma_w * depth**-0.5, lr / depth
    recorded: list[tuple[Array, Array, Array]] = []
    for step in range(steps + 1):
        rows = slice(step * samples, (step + 1) * samples)

        def up(
            h: Array, at: tuple[_Layer, Array], rows: slice = rows
        ) -> tuple[Array, tuple[Array, Array, Array, Array]]:
            layer, fresh = at
            c, basis, image = _look(
                phi(h), layer.right, layer.right_image, layer.left, layer.left_image, fresh, rows, reused, tolerance
            )
            after = h + noise_size * c @ image - drift * (c @ layer.core.T) @ layer.left
            return after, (h, c, basis, image)

        last, (hs, c, right, right_image) = lax.scan(up, scaled @ u, (layers, noise.up))
        layers = layers._replace(right=right, right_image=right_image)
        f = last @ v / width
        chi = (f - y) / samples

        def down(
            g: Array, at: tuple[_Layer, Array, Array], rows: slice = rows
        ) -> tuple[Array, tuple[Array, Array, Array, Array]]:
            layer, fresh, h = at
            c, basis, image = _look(
                g, layer.left, layer.left_image, layer.right, layer.right_image, fresh, rows, reused, tolerance
            )
            back = noise_size * c @ image - drift * (c @ layer.core) @ layer.right
            return g + value_and_slope(phi, h)[1] * back, (g, c, basis, image)

        first, (gs, b, left, left_image) = lax.scan(
            down, jnp.broadcast_to(v, (samples, width)), (layers, noise.down, hs), reverse=True
        )
        layers = layers._replace(
            left=left, left_image=left_image, core=layers.core + jnp.einsum("lpb,p,lpa->lba", b, chi, c)
        )
        recorded.append((f, jnp.concatenate([hs, last[None]]), jnp.concatenate([first[None], gs])))
        u = u - lr * scaled.T @ (chi[:, None] * first)
        v = v - lr * chi @ last
    outputs, h, g = zip(*recorded, strict=True)
    return Paths(jnp.stack(outputs), jnp.stack(h, 1), jnp.stack(g, 1))


def _look(
    vectors: Array, basis: Array, image: Array, other: Array, other_image: Array, fresh: Array, rows: slice,
    reused: bool, tolerance: float,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """Coordinates of the vectors, and basis and images with the new directions in ``rows``, one after the other."""
    width = vectors.shape[1]
    size = jnp.sqrt(jnp.mean(vectors**2))
    for i, row in enumerate(range(rows.start, rows.stop)):
        rest = vectors[i]
        for _ in range(2):
            rest = rest - (basis @ rest / width) @ basis
        norm = jnp.sqrt(jnp.mean(rest**2))
        q = jnp.where(norm > tolerance * size, rest / jnp.maximum(norm, tolerance * size), 0.0)
        seen = fresh[row]
        if reused:
            seen = seen + ((other_image @ q - other @ seen) / width) @ other
        basis = basis.at[row].set(q)
        image = image.at[row].set(jnp.where(jnp.any(q != 0), seen, 0.0))
    return vectors @ basis.T / width, basis, image
