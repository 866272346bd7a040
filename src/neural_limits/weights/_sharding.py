"""Spread one wide network over several devices: the width axis is cut, everything small is copied."""

from __future__ import annotations

from typing import TypeVar

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

Tree = TypeVar("Tree")
AXIS = "particles"


def particle_mesh(devices: list[jax.Device] | None = None) -> Mesh:
    """A one-dimensional mesh named ``particles`` over the given devices (default: all).

    >>> particle_mesh().axis_names
    ('particles',)
    """
    import numpy as np

    return Mesh(np.asarray(devices or jax.devices()), (AXIS,))


def shard_particles(tree: Tree, mesh: Mesh, width: int) -> Tree:
    """Arrays whose last axis has length ``width`` cut along it over the mesh; all others copied to every device.

    ValueError if the width is no multiple of the number of devices. The random draws do not depend on the
    placement (JAX's partitionable generator), so a run gives the same numbers on any number of devices up to
    the order of its sums.
    """
    if width % mesh.size:
        raise ValueError(f"`width` must be a multiple of the {mesh.size} devices of the mesh; got {width}.")

    def place(x: object) -> object:
        if not isinstance(x, jax.Array):
            return x
        wide = x.ndim > 0 and x.shape[-1] == width and not jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
        spec = PartitionSpec(*([None] * (x.ndim - 1)), AXIS) if wide else PartitionSpec()
        return jax.device_put(x, NamedSharding(mesh, spec))

    return jax.tree.map(place, tree)
