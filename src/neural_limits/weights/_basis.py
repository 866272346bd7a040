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
from ._products import inner
from ._rows import Rows

BLOCK = 16  # new directions are drawn in blocks of at most this many: 32 rows take XLA four times as long on CPUs


class Side(NamedTuple):
    """What is known of W from one side."""

    basis: Rows  # (r, p)
    image: Rows  # (r, n)
    rank: Int[Array, ""]

    def resize(self, capacity: int) -> Side:
        """Room for that many directions; never less than there is."""
        return Side(self.basis.resize(capacity), self.image.resize(capacity), self.rank)


class Look(NamedTuple):
    """The outcome of looking along a block of vectors."""

    side: Side
    cross: Float[Array, "r other"]
    coordinates: Float[Array, "m r"]
    across: Float[Array, "m other"]  # ⟨part of each vector outside the basis, the other side's images⟩
    discarded: Float[Array, ""]  # largest |that part|² relative to the largest vector of the block
    lost: Int[Array, ""]  # directions above the tolerance for which there was no room (0 unless misused)


def block_size(vectors: int) -> int:
    """Directions appended at once for a block of ``vectors`` vectors."""
    return min(vectors, BLOCK)


def room_needed(vectors: int) -> int:
    """Free rows that one look along ``vectors`` vectors may need (whole blocks are written)."""
    block = block_size(vectors)
    return -(-vectors // block) * block


@partial(jax.jit, static_argnames="tolerance")  # outside jit too, a look compiles once per shape
def look(
    side: Side, other: Side, cross: Float[Array, "r other"], vectors: Float[Array, "m p"], key: Array, tolerance: float
) -> Look:
    """Extend ``side`` until every vector lies in its basis up to ``tolerance``.

    The residuals of the vectors, in units of the largest vector of the block, have a Gram matrix whose
    eigenvectors with eigenvalue above tolerance² become new directions; each new direction q gets the image

        W q = Q'ᵀ(R q) + (1 - Q'ᵀQ') ξ,   ξ ~ N(0, 1_n)      (Q', R the other side's basis and image)

    which is the conditional law of W q given everything seen (Bolthausen). ``cross`` = Q Rᵀ is W between the two
    bases. Cost: two passes over the basis and one over the other side's images for m vectors; per block of new
    directions two over the basis and two over the other side's.
    """
    coordinates = side.basis.inner(vectors, side.rank)
    largest = jnp.max(jnp.sum(vectors**2, axis=1))
    unit = jnp.sqrt(jnp.where(largest > 0, largest, 1.0))
    residual = side.basis.combine(-coordinates / unit, side.rank, vectors * (1 / unit))
    across = other.image.inner(residual, other.rank)
    gram = inner(residual, residual)
    directions, count = _directions(gram, tolerance)

    block = block_size(vectors.shape[0])
    blocks = -(-count // block)
    fits = side.rank + blocks * block <= side.basis.shape[0]
    blocks = jnp.where(fits, blocks, 0)
    lost = jnp.where(fits, 0, count).astype(side.rank.dtype)

    def append(j: Array, now: Look) -> Look:
        active = j * block + jnp.arange(block, dtype=count.dtype) < count
        mix = jnp.where(active[:, None], lax.dynamic_slice_in_dim(directions, j * block, block), 0)
        side, rank = now.side, now.side.rank
        new, new_across = _orthonormal(side, now.cross, mix @ residual, mix @ across, active)
        drawn = normal(jax.random.fold_in(key, j), (block, side.image.shape[1]), vectors.dtype)
        drawn = jnp.where(active[:, None], drawn, 0)
        image = other.basis.combine(new_across - other.basis.inner(drawn, other.rank), other.rank, drawn)
        along = inner(new, residual)
        left = now.discarded - jnp.sum(along**2, axis=1)
        return Look(
            Side(side.basis.add(new, rank), side.image.add(image, rank), rank + jnp.sum(active, dtype=rank.dtype)),
            lax.dynamic_update_slice_in_dim(now.cross, new_across, rank, axis=0),
            lax.dynamic_update_slice_in_dim(now.coordinates, unit * along, rank, axis=1),
            now.across - along @ new_across,
            left,
            lost,
        )

    begun = Look(side, cross, coordinates, across, jnp.diagonal(gram), lost)
    found = lax.fori_loop(0, blocks, append, begun)
    discarded = jnp.maximum(jnp.max(found.discarded), 0)
    return found._replace(across=unit * found.across, discarded=discarded)


@jax.jit
def product(seen: Look, other: Side, std: Array, core: Float[Array, "r other"]) -> Float[Array, "m n"]:
    """s W a for the vectors just looked along plus what is learned.

    On the seen directions from their images, on the part outside from what the other side knows of it: one pass
    over the images and one over the other side's basis.
    """
    known = other.basis.combine(std * seen.across + seen.coordinates @ core, other.rank)
    return seen.side.image.combine(std * seen.coordinates, seen.side.rank, known)


def _directions(gram: Float[Array, "m m"], tolerance: float) -> tuple[Float[Array, "k m"], Int[Array, ""]]:
    """Mixing rows that whiten the residuals, largest first, padded to whole blocks; and how many count."""
    m = len(gram)
    eigenvalues, eigenvectors = jnp.linalg.eigh(gram)
    eigenvalues, eigenvectors = eigenvalues[::-1], eigenvectors[:, ::-1]
    # the Gram matrix is known to rounding: below that an eigenvalue belongs to no direction (duplicated vectors)
    rounding = 4 * jnp.finfo(gram.dtype).eps * jnp.sum(eigenvalues)
    keep = eigenvalues > jnp.maximum(tolerance**2, rounding)
    whitening = lax.rsqrt(jnp.where(keep, eigenvalues, 1.0))[:, None] * eigenvectors.T
    return jnp.pad(whitening, ((0, room_needed(m) - m), (0, 0))), jnp.sum(keep, dtype=jnp.int32)


def _orthonormal(
    side: Side,
    cross: Float[Array, "r other"],
    new: Float[Array, "b p"],
    across: Float[Array, "b other"],
    active: Array,
) -> tuple[Float[Array, "b p"], Float[Array, "b other"]]:
    """The rows of ``new`` made orthonormal and orthogonal to the basis (second pass); inactive rows stay zero.

    With them ``across``, their products with the other side's images.
    """
    within = side.basis.inner(new, side.rank)
    new, across = side.basis.combine(-within, side.rank, new), across - within @ cross
    gram = inner(new, new) + jnp.diag(jnp.where(active, 0.0, 1.0).astype(new.dtype))
    # the Gram matrix is the identity up to rounding, so its small inverse factor is safe, and one product
    inverse = jax.scipy.linalg.solve_triangular(
        jnp.linalg.cholesky(gram), jnp.eye(len(gram), dtype=new.dtype), lower=True
    )
    return inverse @ new, inverse @ across
