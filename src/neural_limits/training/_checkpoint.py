"""The state of a run in one file, so that a run that was stopped goes on to the bit where it was; no pickle."""

from __future__ import annotations

import hashlib
import json
import os
import time
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy import ndarray

from .._checks import positive_int
from ..runs import atomic_write, first_line
from ..weights import on_host
from ._hosts import ALONE, Hosts
from ._loop import Setting, State, capacity, resized
from ._record import Found, Records

FORMAT = "neural-limits checkpoint 3"
SECONDS = 30.0  # between checkpoints where no number of steps is asked for


class CheckpointError(OSError):
    """A checkpoint that is damaged, or belongs to another run; one line that says which and what to do."""


class Point(NamedTuple):
    """Where a run goes on."""

    state: State
    step: int


class Checkpoint:
    """One file with the whole state; written whole or not at all, readable without running anything.

    ``every``: updates between two writings; None: about every `SECONDS`. The arrays are whole in the file, whatever
    devices they lie on, so a run goes on on others; of several ``hosts`` the first writes and all read.
    """

    def __init__(self, path: str | os.PathLike[str], every: int | None, fingerprint: str, hosts: Hosts = ALONE) -> None:
        self.path, self.fingerprint, self.hosts = Path(path), fingerprint, hosts
        self.every = None if every is None else positive_int("checkpoint_every", every)
        self._last = time.monotonic()

    def next_stop(self, step: int, otherwise: int) -> int:
        """The number of updates at which the loop must pause for it."""
        return min(otherwise, (step // self.every + 1) * self.every) if self.every else otherwise

    def is_due(self, step: int) -> bool:
        """Whether to write one now."""
        return step % self.every == 0 if self.every else self.hosts.first(time.monotonic() - self._last) >= SECONDS

    def save(self, state: State, step: int, records: Records) -> None:
        """Write the state after ``step`` updates; OSError in one line where that fails, the file before kept."""
        arrays = {f"state{i}": _plain(leaf) for i, leaf in enumerate(jax.tree.leaves(state))}
        for r, layers in enumerate(records.taken):
            for l, found in enumerate(layers):
                arrays |= {f"record{r}.{l}.{name}": np.asarray(x) for name, x in found._asdict().items()}
        header: dict[str, Any] = {
            "format": FORMAT,
            "fingerprint": self.fingerprint,
            "step": step,
            "seconds": records.seconds,
        }
        header["capacity"] = capacity(state)
        arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
        if self.hosts.writes:
            with atomic_write(self.path) as file:
                np.savez(file, allow_pickle=False, **arrays)
        self._last = time.monotonic()

    def load(self, fresh: State, records: Records) -> Point | None:
        """The state where the file left it, the records filled in; None where there is no file.

        ``fresh``: the state before the first step, for its structure. `CheckpointError` for a damaged or
        foreign file.
        """
        try:
            with np.load(self.path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            header = json.loads(arrays.pop("header").tobytes())
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
            raise CheckpointError(f"{self.path} is damaged ({first_line(error)}); remove it to start anew.") from None
        if not isinstance(header, dict) or header.get("format") != FORMAT:
            raise CheckpointError(f"{self.path} is no checkpoint of this version; remove it to start anew.")
        if header["fingerprint"] != self.fingerprint:
            raise CheckpointError(f"{self.path} belongs to a run with other arguments; name another file.")
        if header["capacity"] is not None:
            fresh = resized(fresh, *header["capacity"])
        old, structure = jax.tree.flatten(fresh)
        new = [_like(arrays.get(f"state{i}"), leaf, self.path) for i, leaf in enumerate(old)]
        records.taken = _records(arrays)
        records.seconds = float(header["seconds"])
        return Point(jax.tree.unflatten(structure, new), int(header["step"]))


def checkpoint_step(path: str | os.PathLike[str]) -> int | None:
    """The number of updates that a checkpoint holds, without reading the rest; None where it says none."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return int(json.loads(file["header"].tobytes())["step"])
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, NotImplementedError):
        return None


def fingerprint(settings: Mapping[str, Any], setting: Setting, seed: int, steps: int, stops: Sequence[int]) -> str:
    """A hash of everything that a run's numbers depend on but the initial weights, which follow from the seed."""
    text = json.dumps([dict(settings), seed, steps, list(stops)], sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode())
    for leaf in jax.tree.leaves(setting):
        value = np.asarray(leaf)
        digest.update(f"{value.dtype} {value.shape} ".encode() + value.tobytes())
    return digest.hexdigest()


def _plain(leaf: Array) -> ndarray:
    return on_host(_unwrapped(leaf))


def _unwrapped(leaf: Array) -> Array:
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _is_key(leaf: Array) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _like(value: ndarray | None, leaf: Array, path: Path) -> Array:
    """The array as a leaf of the state, on its devices."""
    same = _unwrapped(leaf)
    if value is None or value.dtype != same.dtype or value.shape != same.shape:
        raise CheckpointError(f"{path} is damaged (an array is missing or of another kind); remove it to start anew.")
    if same.committed:
        array: Array = jax.make_array_from_callback(value.shape, same.sharding, lambda piece: value[piece].copy())
    else:
        array = jnp.array(value, copy=True)  # the loop reuses its memory
    return jax.random.wrap_key_data(array, impl=jax.random.key_impl(leaf)) if _is_key(leaf) else array


def _records(arrays: Mapping[str, ndarray]) -> list[list[Found]]:
    """The records in a file, in order."""
    taken: list[list[Found]] = []
    while f"record{len(taken)}.0.values" in arrays:
        r = len(taken)
        layers: list[Found] = []
        while f"record{r}.{len(layers)}.values" in arrays:
            fields = [arrays[f"record{r}.{len(layers)}.{name}"] for name in Found._fields]
            layers.append(Found._make(x if x.ndim else float(x) for x in fields))
        taken.append(layers)
    return taken
