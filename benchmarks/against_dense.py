"""Conditioned weights against dense ones, in JAX and in PyTorch: time and memory over width, depth, samples and steps.

The same network and data in all: hidden matrices of one width, tanh, muP, full batch, float32 (`_contestant.py`). Every
contestant runs in a process of its own, on all processors of the machine, one after the other. Times are of a run in
which nothing compiles, the initial weights drawn in it, and of one step (that start taken off). Memory is of the
process, at its peak and above what it held before. Before anything is timed, PyTorch's loop must give the losses of
the dense one in JAX from the same initial weights.

    python benchmarks/against_dense.py [--quick]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

import neural_limits as nl
from _common import FIGURES, machine, write
from _contestant import torch_losses

BASE = {"width": 4096, "hidden": 2, "samples": 4, "steps": 20, "gamma": 4.0, "lr": 0.3}
AXES = {
    "width": (4096, 8192, 16_384),
    "hidden": (1, 2, 4, 8),
    "samples": (1, 4, 16, 64),
    "steps": (5, 20, 80, 320),
}
QUICK = {"width": (2048,)}
FORMS: dict[str, dict[str, Any]] = {
    "dense, JAX": {"weights": "dense"},
    "dense, PyTorch": {"weights": "torch"},
    "conditioned, 1e-2": {"weights": "conditioned", "tolerance": 1e-2},
    "conditioned, 1e-3": {"weights": "conditioned", "tolerance": 1e-3},
}
LABELS = {"hidden": "hidden matrices"}
Found = dict[str, dict[str, Any]]


class Point(NamedTuple):
    """One setting, and what each contestant made of it."""

    value: int
    found: Found


def agreement() -> float:
    """Largest relative difference of the losses of the two dense loops from the same initial weights."""
    import torch

    from neural_limits.training import prepare

    request = BASE | {"width": 256}
    task, network = nl.tasks.toy(samples=request["samples"]), nl.MLP(request["hidden"], "tanh")
    parts = network, task, nl.MuP(gamma=request["gamma"]), nl.SGD(lr=request["lr"])
    options = {"width": request["width"], "steps": request["steps"], "weights": "dense", "dtype": "float32"}
    ready = prepare(*parts, **options, seeds=0, tolerance=1e-2, batch=None)
    first = ready.state.parameters
    weights = [first.input, *(w.value for w in first.hidden), first.output]
    inputs, *hidden, readout = (torch.tensor(np.asarray(w), requires_grad=True) for w in weights)
    x, y = (torch.tensor(np.asarray(v), dtype=torch.float32) for v in (task.x, task.y))
    theirs = torch_losses(x, y, inputs, hidden, readout, request)
    ours = nl.train(*parts, **options, seed=0).data.loss.values
    return float(np.abs(np.array(theirs) / ours - 1).max())


def measured(setting: dict[str, Any], form: dict[str, Any]) -> dict[str, Any]:
    """What one contestant needs, in a process of its own."""
    task = nl.tasks.toy(samples=setting["samples"])
    large = form["weights"] != "conditioned" and setting["width"] > 10_000
    request = setting | form | {"repeats": 1 if large else 3, "x": task.x.tolist(), "y": task.y.tolist()}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "request.json"
        file.write_text(json.dumps(request))
        command = [sys.executable, str(Path(__file__).parent / "_contestant.py"), str(file)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def point(name: str, value: int, forms: dict[str, dict[str, Any]]) -> Point:
    setting = BASE | {name: value}
    found = {}
    for form, options in forms.items():
        found[form] = measured(setting, options)
        found[form]["step"] = (found[form]["seconds"] - found[form]["start"]) / setting["steps"]
        print(f"{name} {value}: {form}: {found[form]}", flush=True)
    return Point(value, found)


def table(name: str, points: list[Point]) -> list[str]:
    """Times and memory of every contestant, and every dense one's over every conditioned one's."""
    others = ", ".join(f"{LABELS.get(key, key)} {value}" for key, value in list(BASE.items())[:4] if key != name)
    label = LABELS.get(name, name)
    lines = [f"Over {label} ({others}):", ""]
    lines += [f"| {label} | | run (s) | start (s) | step (ms) | peak (MB) | above (MB) | rank |", "|-|-|-|-|-|-|-|-|"]
    for value, found in points:
        for form, r in found.items():
            lines.append(
                f"| {value} | {form} | {r['seconds']:.3g} | {r['start']:.2g} | {1e3 * r['step']:.3g} | "
                f"{r['peak']:.0f} | {r['above']:.1f} | {r['rank'] or ''} |"
            )
    lines += ["", f"| {label} | | run, times faster | step, times faster | peak, times less | above, times less |"]
    lines += ["|-|-|-|-|-|-|"]
    for value, found in points:
        for dense, lazy in pairs(found):
            ratio = ratios(found, dense, lazy)
            lines.append(
                f"| {value} | {lazy} against {dense} | " + " | ".join(f"{r:.3g}" for r in ratio.values()) + " |"
            )
    return [*lines, ""]


def pairs(found: Found) -> list[tuple[str, str]]:
    return [(dense, lazy) for dense in found for lazy in found if "dense" in dense and "conditioned" in lazy]


def ratios(found: Found, dense: str, lazy: str) -> dict[str, float]:
    return {key: found[dense][key] / found[lazy][key] for key in ("seconds", "step", "peak", "above")}


def headlines(last: Point) -> dict[str, str]:
    """At the largest width, for both tolerances and both rivals."""
    told = {}
    for dense, lazy in pairs(last.found):
        r = ratios(last.found, dense, lazy)
        told[f"{lazy} against {dense}, width {last.value}"] = (
            f"{r['seconds']:.3g} times faster (a step {r['step']:.3g}), {r['above']:.1f} times less memory"
        )
    return told


def draw(curves: dict[str, list[Point]]) -> None:
    figure = Figure(figsize=(3 * len(curves), 5.4), layout="constrained")
    axes = figure.subplots(2, len(curves), squeeze=False)
    for column, (name, points) in enumerate(curves.items()):
        values = [p.value for p in points]
        for form, style in zip(points[0].found, ("s-", "D-", "o--", "o-"), strict=False):
            for axis, key in zip(axes[:, column], ("seconds", "above"), strict=True):
                axis.loglog(values, [p.found[form][key] for p in points], style, ms=4, lw=1.2, label=form)
        for axis in axes[:, column]:
            axis.set_xticks(values, map(str, values), minor=False)
            axis.set_xticks([], minor=True)
        axes[1, column].set_xlabel(LABELS.get(name, name))
    axes[0, 0].set_ylabel("seconds")
    axes[1, 0].set_ylabel("MB, peak above the start")
    axes[0, 0].legend(frameon=False, fontsize=7)
    figure.savefig(FIGURES / "against-dense.png", dpi=150)


def main(quick: bool) -> None:
    lines = [f"Machine: {machine()}; {len(os.sched_getaffinity(0))} threads each", ""]
    forms = dict(FORMS)
    if find_spec("torch"):
        apart = agreement()
        assert apart < 1e-3, f"PyTorch's loop trains another network: losses differ by {apart}"
        lines += [f"Losses of the two dense loops from the same weights differ by {apart:.0e} at most.", ""]
    else:
        del forms["dense, PyTorch"]
        lines += ["PyTorch: not run, not installed.", ""]
    curves = {}
    for name, values in (QUICK if quick else AXES).items():
        curves[name] = [point(name, value, forms) for value in values]
        lines += table(name, curves[name])
    write("against-dense-quick" if quick else "against-dense", lines, headlines(curves["width"][-1]))
    if not quick:
        draw(curves)


if __name__ == "__main__":
    main("--quick" in sys.argv[1:])
