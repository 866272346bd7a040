"""One look at a random matrix: extend the basis of seen directions and draw what was not yet known.

The right and the left side are the same computation with the roles exchanged, so it is written once. Names
from the side that looks: ``basis`` Q (rank, p) orthonormal rows and ``image`` W Q (rank, n); the other side
has ``other_basis`` (rank', n) and ``other_image`` (rank', p). Rows past the rank are zero, so that every
product may run over the whole buffer.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from ._draws import normal
from ._rows import LEAST, Rows

BLOCK = LEAST  # new directions are drawn in blocks of at most this many: one matrix product each, no waste


class Side(NamedTuple):
    """What is known of W from one side."""

    basis: Rows  # (r, p)
    image: Rows  # (r, n)
    rank: Int[Array, ""]

    def resize(self, capacity: int) -> Side:
        """Room for that many directions; never less than there is."""
        return Side(self.basis.resize(capacity), self.image.resize(capacity), self.rank)


class Fresh(NamedTuple):
    """New directions q whose images are still to be completed, and what was drawn for them."""

    directions: Float[Array, "b p"]
    drawn: Float[Array, "b n"]  # ξ
    met: Float[Array, "b other"]  # Q' ξ


class Look(NamedTuple):
    """The outcome of looking along a block of vectors."""

    side: Side
    coordinates: Float[Array, "m r"]
    leftover: Float[Array, "m p"]  # the part of each vector outside the basis, below the tolerance; in units of
    unit: Float[Array, ""]  # the largest vector of the block
    discarded: Float[Array, ""]  # largest |leftover|²
    lost: Int[Array, ""]  # directions above the tolerance for which there was no room (0 unless misused)
    start: Int[Array, ""]  # the rank before the look
    fresh: Fresh  # for `product`; none (b = 0) where all images are complete


def block_size(vectors: int) -> int:
    """Directions appended at once for a block of ``vectors`` vectors."""
    return min(vectors, BLOCK)


def room_needed(vectors: int) -> int:
    """Free rows that one look along ``vectors`` vectors may need (whole blocks are written)."""
    block = block_size(vectors)
    return -(-vectors // block) * block


@partial(jax.jit, static_argnames="tolerance")  # outside jit too, a look compiles once per shape
def look(side: Side, other: Side, vectors: Float[Array, "m p"], key: Array, tolerance: float) -> Look:
    """Extend ``side`` until every vector lies in its basis up to ``tolerance``.

    The residuals of the vectors, in units of the largest vector of the block, have a Gram matrix whose
    eigenvectors with eigenvalue above tolerance² become new directions; each new direction q gets the image

        W q = Q'ᵀ(R q) + (1 - Q'ᵀQ') ξ,   ξ ~ N(0, 1_n)      (Q', R the other side's basis and image)

    which is the conditional law of W q given everything seen (Bolthausen). Cost: two passes over the basis
    for m vectors, two more per block of new directions, and one over the other side's basis.

    Where one block holds all new directions their images are left to `product`, which completes them in passes
    that it makes anyway.
    """
    coordinates = side.basis.inner(vectors, side.rank)
    largest = jnp.max(jnp.sum(vectors**2, axis=1))
    unit = jnp.sqrt(jnp.where(largest > 0, largest, 1.0))
    residual = side.basis.combine(-coordinates / unit, side.rank, vectors * (1 / unit))
    directions, count = _directions(residual, tolerance)

    block = block_size(vectors.shape[0])
    blocks = -(-count // block)
    fits = side.rank + blocks * block <= side.basis.shape[0]
    blocks = jnp.where(fits, blocks, 0)
    lost = jnp.where(fits, 0, count).astype(side.rank.dtype)
    postponed = len(directions) == block

    def append(j: Array, carry: tuple[Side, Array, Array, Fresh]) -> tuple[Side, Array, Array, Fresh]:
        side, coordinates, residual, _ = carry
        active = j * block + jnp.arange(block, dtype=count.dtype) < count
        mix = jnp.where(active[:, None], lax.dynamic_slice_in_dim(directions, j * block, block), 0)
        new = _orthonormal(side, mix @ residual, active)
        drawn = normal(jax.random.fold_in(key, j), (block, side.image.shape[1]), vectors.dtype)
        drawn = jnp.where(active[:, None], drawn, 0)
        fresh = Fresh(new, drawn, other.basis.inner(drawn, other.rank))
        image = side.image if postponed else side.image.add(_images(fresh, other), side.rank)
        along = residual @ new.T
        coordinates = lax.dynamic_update_slice_in_dim(coordinates, unit * along, side.rank, axis=1)
        extended = Side(side.basis.add(new, side.rank), image, side.rank + jnp.sum(active, dtype=side.rank.dtype))
        return extended, coordinates, residual - along @ new, fresh

    sizes = vectors.shape[1], side.image.shape[1], other.basis.shape[0]
    none = Fresh(*(jnp.zeros((block, size), vectors.dtype) for size in sizes))
    start = side.rank
    side, coordinates, residual, fresh = lax.fori_loop(0, blocks, append, (side, coordinates, residual, none))
    if not postponed:
        fresh = Fresh(*(x[:0] for x in fresh))
    discarded = jnp.max(jnp.sum(residual**2, axis=1))
    return Look(side, coordinates, residual, unit, discarded, lost, start, fresh)


def _images(fresh: Fresh, other: Side) -> Float[Array, "b n"]:
    """W q for new directions q, in its conditional law given the other side."""
    known = other.image.inner(fresh.directions, other.rank) - fresh.met
    return other.basis.combine(known, other.rank, fresh.drawn)


@jax.jit
def product(seen: Look, other: Side, std: Array, core: Float[Array, "r other"]) -> tuple[Float[Array, "m n"], Side]:
    """s W a for the vectors just looked along plus what is learned, and the side with all its images.

    On the seen directions from their images, on the leftover from what the other side knows of it. One pass over
    each of the side's images, the other side's images and its basis.
    """
    side, fresh, m = seen.side, seen.fresh, len(seen.leftover)
    across = other.image.inner(jnp.concatenate([seen.leftover, fresh.directions]), other.rank)
    onto = (std * seen.unit) * across[:m] + seen.coordinates @ core
    moved = other.basis.combine(jnp.concatenate([onto, across[m:] - fresh.met]), other.rank)
    if len(fresh.drawn):
        side = side._replace(image=side.image.add(fresh.drawn + moved[m:], seen.start))
    return side.image.combine(std * seen.coordinates, side.rank, moved[:m]), side


def _directions(residual: Float[Array, "m p"], tolerance: float) -> tuple[Float[Array, "k m"], Int[Array, ""]]:
    """Mixing rows that whiten the residuals, largest first, padded to whole blocks; and how many count."""
    m = residual.shape[0]
    eigenvalues, eigenvectors = jnp.linalg.eigh(residual @ residual.T)
    eigenvalues, eigenvectors = eigenvalues[::-1], eigenvectors[:, ::-1]
    # the Gram matrix is known to rounding: below that an eigenvalue belongs to no direction (duplicated vectors)
    rounding = 4 * jnp.finfo(residual.dtype).eps * jnp.sum(eigenvalues)
    keep = eigenvalues > jnp.maximum(tolerance**2, rounding)
    whitening = lax.rsqrt(jnp.where(keep, eigenvalues, 1.0))[:, None] * eigenvectors.T
    return jnp.pad(whitening, ((0, room_needed(m) - m), (0, 0))), jnp.sum(keep, dtype=jnp.int32)


def _orthonormal(side: Side, new: Float[Array, "b p"], active: Array) -> Float[Array, "b p"]:
    """The rows of ``new`` made orthonormal and orthogonal to the basis (second pass); inactive rows stay zero."""
    new = side.basis.combine(-side.basis.inner(new, side.rank), side.rank, new)
    gram = new @ new.T + jnp.diag(jnp.where(active, 0.0, 1.0).astype(new.dtype))
    # the Gram matrix is the identity up to rounding, so its small inverse factor is safe, and one product
    inverse = jax.scipy.linalg.solve_triangular(
        jnp.linalg.cholesky(gram), jnp.eye(len(gram), dtype=new.dtype), lower=True
    )
    return inverse @ new
