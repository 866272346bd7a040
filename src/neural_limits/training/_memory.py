"""Whether the bases of conditioned weights may grow: how much memory they would take, and how much there is."""

from __future__ import annotations

import os

import jax
import numpy as np

from ..weights import with_bases
from ._hosts import Hosts
from ._loop import State

SHARE = 0.8  # of the free memory that bases may take


def memory_message(state: State, vectors: int, limit: float | None, step: int, hosts: Hosts) -> str:
    """Empty if growing fits into the limit (default: the free memory); else one line that says what to do."""
    weights = with_bases(state.parameters.hidden)
    now = sum(w.nbytes for w in weights)
    after = sum(w.grown_nbytes(vectors) * np.size(w.rank_left) for w in weights)  # seeds or layers in one
    available = limit if limit is not None else now + SHARE * free_memory(state.parameters.input, hosts)
    if after <= available:
        return ""
    ranks = max(w.rank for w in weights)
    return (
        f"touched rank {ranks} at step {step}: growing the bases to {after / 2**30:.3g} GiB exceeds the "
        f"{available / 2**30:.3g} GiB allowed; raise `tolerance` or `memory`, or lower `width`, samples or `steps`."
    )


def free_memory(array: jax.Array, hosts: Hosts) -> float:
    """Free bytes of all the devices that hold an array: as many times the least as there are; on CPUs the machines'."""
    own: set[jax.Device] = array.sharding.addressable_devices
    stats = [device.memory_stats() for device in own if device.platform != "cpu"]
    if stats and all(s and "bytes_limit" in s for s in stats):
        least = min(s["bytes_limit"] - s["bytes_in_use"] for s in stats)
        return array.sharding.num_devices * hosts.least(least)
    return hosts.count * hosts.least(float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")))
