"""Measures runs over the eight devices that a CPU passes for, and prints JSON; test_devices.py starts it."""

from __future__ import annotations

import json
import re
import sys
import tempfile
import warnings
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

import neural_limits as nl
from neural_limits.training._loop import advance, resized
from neural_limits.training._setup import prepare
from neural_limits.training._start import initial_parameters

WIDTH = 520  # a size that nothing else has, in whole or in eighths
TASK, TABLE = nl.tasks.toy(samples=3, inputs=5), nl.MuP(gamma=4.0)
MOMENTUM = nl.SGD(lr=0.3, momentum=0.5)
CASES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "conditioned": (nl.MLP(1), nl.SGD(lr=1.0, momentum=0.5), {"steps": 20, "record": (20,), "tolerance": 1e-5}),
    "two-layer blocks": (nl.ResNet(2, block="two-layer"), MOMENTUM, {"steps": 3, "tolerance": 1e-3, "batch": 2}),
    "dense": (nl.MLP(1), nl.Adam(lr=0.02), {"steps": 3, "record": (3,), "weights": "dense"}),
}


def main() -> None:
    results = {
        "same": {name: same_numbers(*case) for name, case in CASES.items()},
        "programs": programs(),
        "bytes": {n: bytes_of_a_device(n) for n in (1, 8)},
        "resumed": {f"{b} to {a}": resumed(b, a) for b, a in ((8, 2), (None, 8), (8, None))},
    }
    json.dump(results, sys.stdout)


def same_numbers(network: Any, optimizer: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Largest differences between one device and eight, and how the parameters are cut."""
    one, many = (nl.train(network, TASK, TABLE, optimizer, width=WIDTH, devices=n, **options) for n in (None, 8))
    names = [name for name in ("loss", "outputs", "singular_value", "overlap_left") if one.data[name].size]
    wide = [x for x in jax.tree.leaves(many.parameters) if x.shape[-1:] == (WIDTH,)]
    return {
        "differences": {n: float(np.nanmax(np.abs(one.data[n] / many.data[n] - 1))) for n in names}
        | {"predict": float(np.max(np.abs(one.predict(TASK.x) / many.predict(TASK.x) - 1)))},
        "pieces": sorted({x.addressable_shards[0].data.shape[-1] for x in wide}),
        "grown": any(w.capacity[0] > 48 for w in one.weights if hasattr(w, "capacity")),
    }


def programs() -> dict[str, Any]:
    """What the compiled programs move between devices, and the arrays of the whole width in them."""
    mesh, network = nl.weights.particle_mesh(), nl.MLP(1)
    ready = prepare(
        network, TASK, TABLE, MOMENTUM, width=WIDTH, steps=8, weights="conditioned", seeds=0, tolerance=1e-3,
        batch=None, dtype=None, mesh=mesh,
    )  # fmt: skip
    basis, copies = ready.state.parameters.hidden[0].right_basis, NamedSharding(mesh, PartitionSpec())
    lowered = {
        "loop": advance.lower(ready.state, np.int32(0), np.int32(8), ready.setting, ready.plan),
        "growth": resized.lower(ready.state, 96, 192),
        "start": initial_parameters.lower(jax.random.key(0), ready.rules, network, (5, 1, WIDTH), ready.form, mesh),
        "a basis gathered": jax.jit(lambda x: x + 1, out_shardings=copies).lower(basis),  # what is looked for is found
    }
    found = {}
    for name, program in lowered.items():
        compiled = program.compile()
        text = compiled.as_text()
        moved = re.findall(r"= (.+?) (all-\w+|reduce-scatter|collective-\w+)(?:-start)?\(", text)
        kept = [s.spec for s in jax.tree.leaves(compiled.output_shardings)]
        found[name] = {
            "kinds": sorted({kind for _, kind in moved}),
            "sizes": sorted({int(size) for shape, _ in moved for size in re.findall(r"(?<=[\[,])\d+(?=[,\]])", shape)}),
            "whole": len(re.findall(rf"[\[,]{WIDTH}\]", text)),
            "cut": sum(any(spec) for spec in kept),
        }
    return found


def bytes_of_a_device(devices: int) -> int:
    """What the first device holds of a state."""
    ready = prepare(
        nl.MLP(2), TASK, TABLE, MOMENTUM, width=64 * WIDTH, steps=8, weights="conditioned", seeds=0, tolerance=1e-3,
        batch=None, dtype=None, mesh=nl.weights.particle_mesh(devices),
    )  # fmt: skip
    arrays = [x for x in jax.tree.leaves(ready.state) if not jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)]
    return sum(x.addressable_shards[0].data.nbytes for x in arrays)


def resumed(before: int | None, after: int | None) -> float:
    """How far the losses of a run move where it is stopped on some devices and goes on on others."""
    network, optimizer, options = CASES["conditioned"]
    train = partial(nl.train, network, TASK, TABLE, optimizer, width=WIDTH, **options)

    def stop(step: int, *_: Any) -> None:
        if step >= 5:
            raise InterruptedError

    steps: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "state"
        with suppress(InterruptedError):
            train(devices=before, checkpoint=file, progress=stop)
        run = train(devices=after, checkpoint=file, progress=lambda step, *_: steps.append(step))
    assert steps[0] > 5, "it began anew"
    return float(np.max(np.abs(run.data.loss / train().data.loss - 1)))


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    warnings.simplefilter("ignore")
    main()
