"""One of two processes that share a network: the example, then a run stopped and gone on with; test_hosts.py starts it.

on_two_hosts.py EXAMPLE FOLDER ADDRESS:PORT INDEX
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np

import neural_limits as nl

WIDTH = 402  # the example takes the next lower multiple of the number of devices, 400
ARGUMENTS = (nl.MLP(1), nl.tasks.toy(samples=3, inputs=5), nl.MuP(gamma=4.0), nl.SGD(lr=1.0, momentum=0.5))
OPTIONS: dict[str, Any] = {"width": 400, "steps": 20, "record": (20,), "tolerance": 1e-5}


def main(example: str, folder: Path, address: str, index: str) -> None:
    sys.argv = [example, str(WIDTH), str(folder / f"{index}.png"), address, "2", index]
    shown = runpy.run_path(example, run_name="__main__")["run"]

    def stop(step: int, *_: Any) -> None:
        if step >= 8:
            raise InterruptedError

    options = OPTIONS | {"devices": 4, "checkpoint": folder / "state", "checkpoint_every": 6}
    try:
        nl.train(*ARGUMENTS, progress=stop, **options)
        raise AssertionError("it was not stopped")
    except InterruptedError:
        steps: list[int] = []
        run = nl.train(*ARGUMENTS, progress=lambda step, *_: steps.append(step), **options)
    basis = nl.weights.on_host(run.weights[0].left_basis)
    result = {
        "example": numbers(shown),
        "stopped": numbers(run),
        "from": steps[0],
        "capacity": run.weights[0].capacity,
        "orthonormal": float(np.max(np.abs(basis @ basis.T - np.diag(np.diag(basis @ basis.T) > 0.5)))),
        "addressable": run.weights[0].left_basis.is_fully_addressable,
    }
    (folder / f"{index}.json").write_text(json.dumps(result))


def numbers(run: nl.Run) -> list[float]:
    """What must not depend on how a run is spread."""
    values = run.data.singular_value.values
    return [*run.data.loss.values.tolist(), *values[np.isfinite(values)].tolist()]


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
