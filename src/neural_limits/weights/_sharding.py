"""Spread one wide network over several devices: the width axis is cut, everything small is copied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import jax
import numpy as np
from jax.experimental.multihost_utils import process_allgather
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array
from numpy import ndarray

from .._checks import positive_int

Tree = TypeVar("Tree")
Devices = int | Sequence[jax.Device] | Mesh
AXIS = "particles"
ROWS = 64  # of a wide array that travel between processes at once, so that no device holds the whole


def particle_mesh(devices: Devices | None = None, width: int | None = None) -> Mesh:
    """A one-dimensional mesh named ``particles``: over all devices, the first so many, these, or those of a mesh.

    ValueError for more devices than there are, none, one twice, some processes' only, or a ``width`` that they do not
    divide.

    >>> particle_mesh(1).axis_names
    ('particles',)
    """
    if devices is None:
        chosen = jax.devices()
    elif isinstance(devices, Mesh):
        chosen = list(devices.devices.flat)
    elif isinstance(devices, Sequence):
        chosen = list(devices)
    else:
        chosen = _first(positive_int("devices", devices))
    if not chosen or len(set(chosen)) < len(chosen) or not all(isinstance(d, jax.Device) for d in chosen):
        raise ValueError(f"`devices` must be a number or a list of JAX's devices, each once; got {devices!r}.")
    processes = {device.process_index for device in chosen}
    if processes != {jax.process_index()} and len(processes) < jax.process_count():
        raise ValueError(
            f"`devices` must be this process's own, or some of each of {jax.process_count()}; got {devices!r}."
        )
    mesh = Mesh(np.array(chosen), (AXIS,))
    if width is not None:
        _check_width(width, mesh)
    return mesh


def _first(count: int) -> list[jax.Device]:
    found = jax.devices()
    if count > len(found):
        raise ValueError(
            f"`devices` must not exceed the {len(found)} that JAX sees ({found[0].platform}); got {count}. "
            "A CPU passes for several with XLA_FLAGS=--xla_force_host_platform_device_count=N."
        )
    return found[:count]


def _check_width(width: int, mesh: Mesh) -> None:
    if width % mesh.size:
        raise ValueError(f"`width` must be a multiple of the {mesh.size} devices it is cut over; got {width}.")


def particle_shardings(tree: Tree, mesh: Mesh, width: int) -> Tree:
    """Where each array of a tree goes: cut over the mesh if its last axis has length ``width``, else copied to all.

    For `jax.device_put` and the like; shapes do as well as arrays. ValueError if the width is no multiple of the
    number of devices.
    """
    _check_width(width, mesh)

    def place(x: Array) -> NamedSharding:
        wide = x.shape[-1:] == (width,) and not jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
        return NamedSharding(mesh, PartitionSpec(*[None] * (x.ndim - 1), AXIS) if wide else PartitionSpec())

    return jax.tree.map(place, tree)


def on_host(array: Array) -> ndarray:
    """The whole of an array in this process's memory; of one spread over processes all must ask at once."""
    if array.is_fully_addressable or array.is_fully_replicated:
        return np.asarray(array)
    rows = array.reshape(-1, array.shape[-1])
    blocks = np.split(np.arange(len(rows)), range(ROWS, len(rows), ROWS))
    return np.concatenate([process_allgather(rows[block], tiled=True) for block in blocks]).reshape(array.shape)
