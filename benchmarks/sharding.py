"""One network over 1, 2, 4 and 8 devices: the same numbers, a share of the memory, and what travels between them.

On a CPU the devices are threads of one processor that pass for devices: numbers, bytes and traffic are what they are
on GPUs, seconds are not - no speed-up is to be expected beyond the processor's cores. Seconds are of a second call.

    python benchmarks/sharding.py [--quick]
"""

from __future__ import annotations

import os
import re
import sys
import time
import warnings

os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=8")  # before JAX starts; GPUs ignore it

import jax
import numpy as np

import neural_limits as nl
from _common import machine, write
from neural_limits.training._loop import advance
from neural_limits.training._setup import prepare
from neural_limits.weights import particle_mesh

ARGUMENTS = nl.MLP(2), nl.tasks.toy(), nl.MuP(gamma=4.0), nl.SGD(lr=0.3)
OPTIONS = {"steps": 20, "tolerance": 1e-3, "dtype": "float64"}


def trained(width: int, devices: int) -> tuple[nl.Run, float]:
    """A run, and the seconds that a second one takes."""
    for seed in (0, 0):
        begun = time.perf_counter()
        run = nl.train(*ARGUMENTS, width=width, devices=devices, seed=seed, **OPTIONS)
    return run, time.perf_counter() - begun


def held(run: nl.Run) -> int:
    """Bytes of the parameters on the first device."""
    arrays = [x for x in jax.tree.leaves(run.parameters) if jax.numpy.issubdtype(x.dtype, np.floating)]
    return sum(x.addressable_shards[0].data.nbytes for x in arrays)


def program(width: int, devices: int) -> tuple[int, list[str], int]:
    """Of the compiled loop, by XLA's account: bytes on a device, kinds of transfers, bytes of the largest."""
    ready = prepare(
        *ARGUMENTS, width=width, weights="conditioned", seeds=0, batch=None, mesh=particle_mesh(devices), **OPTIONS
    )
    compiled = advance.lower(ready.state, np.int32(0), np.int32(20), ready.setting, plan=ready.plan).compile()
    memory = compiled.memory_analysis()
    moved = re.findall(r"= (.+?) (all-\w+|reduce-scatter|collective-\w+)(?:-start)?\(", compiled.as_text())
    kinds = sorted({kind for _, kind in moved})
    return (
        memory.argument_size_in_bytes + memory.temp_size_in_bytes,
        kinds,
        max((_bytes(s) for s, _ in moved), default=0),
    )


def _bytes(shapes: str) -> int:
    """Of shapes as XLA writes them: f64[20,4]."""
    found = re.findall(r"[a-z]+(\d+)\[([\d,]*)\]", shapes)
    return sum(int(bits) // 8 * int(np.prod([int(n) for n in sizes.split(",") if n])) for bits, sizes in found)


def main(quick: bool) -> None:
    warnings.simplefilter("ignore", UserWarning)
    width = 16_384 if quick else 131_072
    lines = [
        f"Machine: {machine()}; float64, width {width}, {OPTIONS['steps']} steps.",
        "",
        "| devices | largest relative difference of a loss | of an output | parameters on a device (MB) | loop on a "
        "device (MB) | transfers | the largest (KB) | seconds |",
        "|-|-|-|-|-|-|-|-|",
    ]
    first = None
    with jax.enable_x64(True):
        for devices in (n for n in ((1, 8) if quick else (1, 2, 4, 8)) if n <= len(jax.devices())):
            run, seconds = trained(width, devices)
            first = first or run
            loss, outputs = (
                float(np.max(np.abs(run.data[name] / first.data[name] - 1))) for name in ("loss", "outputs")
            )
            loop, kinds, largest = program(width, devices)
            lines.append(
                f"| {devices} | {loss:.1e} | {outputs:.1e} | {held(run) / 1e6:.1f} | {loop / 1e6:.1f} | "
                f"{', '.join(kinds) or 'none'} | {largest / 1e3:.1f} | {seconds:.2f} |"
            )
            print(lines[-1], flush=True)
    write("sharding-quick" if quick else "sharding", lines)


if __name__ == "__main__":
    main("--quick" in sys.argv[1:])
