"""Kernels at initialisation (NNGP and NTK) of wide conditioned networks beside neural-tangents' closed forms.

Two hidden matrices, no biases, 16 inputs of norm √8 in 8 dimensions, one output, NTK parametrization. Ours are kernels
of drawn networks, which approach the closed form as 1/√width; neural-tangents gives it, and kernels of drawn dense
networks of its own. Errors: root mean square over entries and seeds, relative to that of the closed form's entries;
`apart`: largest difference of the mean over seeds from it, in standard errors. Times: best of a few, compiled.

    python benchmarks/kernels.py [--quick] --peer-python PATH
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

import neural_limits as nl
from _common import machine, write
from neural_limits.landscape._kernel import tangent_kernel
from neural_limits.landscape._metric import rates_of
from neural_limits.landscape._passes import fine_copy, forward, with_room
from neural_limits.training import prepare

HIDDEN, SAMPLES, ACTIVATIONS, REPEATS = 2, 16, ("erf", "relu"), 5
TASK, SCHEME, OPTIMIZER = nl.tasks.toy(samples=SAMPLES), nl.NTK(), nl.SGD(lr=1.0)


def kernels(activation: str, width: int, seed: int) -> tuple[dict[str, ndarray], dict[str, float]]:
    """Both kernels of one network, and their times with its drawing."""
    network = nl.MLP(HIDDEN, activation)
    x = jnp.asarray(TASK.x, jnp.float32)

    def drawn() -> Any:
        return prepare(
            network, TASK, SCHEME, OPTIMIZER, width=width, steps=0, weights="conditioned", seeds=seed, tolerance=1e-3,
            batch=None, dtype="float32",
        )  # fmt: skip

    def tangent() -> ndarray:
        ready = drawn()
        parameters = ready.state.parameters
        rates = rates_of(network, parameters, ready.rules, OPTIMIZER)
        return SAMPLES * np.asarray(tangent_kernel(network, parameters, ready.rules, rates, x)[0])

    def covariance() -> ndarray:
        ready = drawn()
        fine = fine_copy(ready.state.parameters)
        fine = type(fine)(fine.input, with_room(fine.hidden, SAMPLES), fine.output)
        features = ahead(network, fine, ready.rules, x)
        return np.asarray(features @ features.T) / width

    found, times = {}, {}
    for name, make in (("ntk", tangent), ("nngp", covariance)):
        begun = time.perf_counter()
        found[name] = make()
        times[name] = time.perf_counter() - begun
    return found, times


@partial(jax.jit, static_argnames="network")
def ahead(network: nl.MLP, parameters: Any, rules: Any, x: jax.Array) -> jax.Array:
    """The last features."""
    return forward(network, parameters, rules, x)[0].features[-1]


def row(activation: str, width: int, seeds: int, exact: dict[str, ndarray]) -> tuple[list[str], dict[str, float]]:
    """Lines of the table, and the errors."""
    runs = [kernels(activation, width, seed) for seed in range(seeds)]
    lines, errors = [], {}
    for name in ("nngp", "ntk"):
        values = np.array([found[name] for found, _ in runs])
        errors[name] = float(np.sqrt(np.mean((values - exact[name]) ** 2) / np.mean(exact[name] ** 2)))
        spread = values.std(0, ddof=1) / seeds**0.5
        apart = np.abs((values.mean(0) - exact[name]) / spread).max()
        taken = min(times[name] for _, times in runs[1:])
        lines.append(f"| {activation} | {name} | {width} | {seeds} | {errors[name]:.1e} | {apart:.1f} | {taken:.3g} |")
        print(lines[-1], flush=True)
    return lines, errors


def peer(python: str, activations: tuple[str, ...], widths: tuple[int, ...]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "questions.json", Path(folder) / "answers.json"
        asked = {"x": TASK.x.tolist(), "hidden": HIDDEN, "activations": activations, "widths": widths}
        source.write_text(json.dumps(asked))
        script = str(Path(__file__).parent / "_neural_tangents_peer.py")
        subprocess.run([python, script, str(source), str(target)], check=True)
        return dict(json.loads(target.read_text()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--peer-python", required=True)
    options = parser.parse_args()
    quick = options.quick
    widths, dense = ((256, 1024), (256,)) if quick else ((1024, 16_384, 262_144), (1024, 4096))
    activations = ACTIVATIONS[:1] if quick else ACTIVATIONS
    found = peer(options.peer_python, activations, dense)
    lines = [f"Machine: {machine()}", "", f"neural-tangents {found['version']}, jax {found['jax']}", ""]
    lines += ["| activation | kernel | width | seeds | error | apart | s |", "|-|-|-|-|-|-|-|"]
    told = {}
    for activation in activations:
        theirs = found[activation]
        exact = {name: np.array(theirs[name]) for name in ("nngp", "ntk")}
        errors = []
        for width in widths:
            text, error = row(activation, width, 8 if quick else 32 if width < 100_000 else 8, exact)
            lines += text
            errors.append([error["nngp"], error["ntk"]])
        for width, one in theirs["finite"].items():
            error = float(np.sqrt(np.mean((np.array(one["ntk"]) - exact["ntk"]) ** 2) / np.mean(exact["ntk"] ** 2)))
            lines.append(
                f"| {activation} | ntk, neural-tangents, dense | {width} | 1 | {error:.1e} | | {one['seconds']:.3g}* |"
            )
        lines.append(f"| {activation} | both, neural-tangents, closed form | ∞ | | | | {theirs['seconds']:.2g} |")
        slopes = np.polyfit(np.log(widths), np.log(errors), 1)[0]
        told[f"{activation}, slope of the error in width (closed form: -1/2), nngp and ntk"] = " and ".join(
            f"{slope:.2f}" for slope in slopes
        )
    lines += ["", "*: without the drawing of its weights"]
    write("kernels-quick" if quick else "kernels", lines, told)


if __name__ == "__main__":
    main()
