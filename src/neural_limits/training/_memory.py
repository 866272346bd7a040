"""Whether the bases of conditioned weights may grow: how much memory they would take, and how much there is."""

from __future__ import annotations

import os

import jax
import numpy as np

from ..weights import with_bases
from ._loop import State

SHARE = 0.8  # of the free memory that bases may take


def memory_message(state: State, vectors: int, limit: float | None, step: int) -> str:
    """Empty if growing fits into the limit (default: the free memory); else one line that says what to do."""
    weights = with_bases(state.parameters.hidden)
    now = sum(w.nbytes for w in weights)
    after = sum(w.grown_nbytes(vectors) * np.size(w.rank_left) for w in weights)  # seeds or layers in one
    available = limit if limit is not None else now + SHARE * free_memory()
    if after <= available:
        return ""
    ranks = max(w.rank for w in weights)
    return (
        f"touched rank {ranks} at step {step}: growing the bases to {after / 2**30:.3g} GiB exceeds the "
        f"{available / 2**30:.3g} GiB allowed; raise `tolerance` or `memory`, or lower `width`, samples or `steps`."
    )


def free_memory() -> float:
    """Free bytes on the default device, or in the machine's memory on a CPU."""
    stats = jax.local_devices()[0].memory_stats() if jax.default_backend() != "cpu" else None
    if stats and "bytes_limit" in stats:
        return float(stats["bytes_limit"] - stats["bytes_in_use"])
    return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
