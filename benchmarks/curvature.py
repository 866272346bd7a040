"""Leading eigenvalues of Hessian, Gauss-Newton matrix and tangent kernel: ours, curvlinops, SciPy, in one run.

Two hidden tanh matrices without biases, standard parametrization, trained for 30 steps on 256 digits of ten classes;
then the same weights in all. Ours: `nl.curvature` (JAX) and what `SpectralMonitor` calls (PyTorch). Beside them eigsh
on products by plain double backpropagation in PyTorch, and on curvlinops' operators, in an interpreter that has it.
All stop at a residual of 1e-3 λ. Reference: eigsh in float64 to 1e-9. Best of three, what is compiled not counted.

    python benchmarks/curvature.py [--quick] [--peer-python PATH]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator
from torch import Tensor, nn

import neural_limits as nl
from _common import machine, write
from _curvature_peer import REPEATS, largest, network_of
from neural_limits.torch._curvature import Probe, measure_curvature

KINDS = ("hessian", "gauss_newton", "ntk")
SAMPLES, STEPS = 256, 30


class Case(NamedTuple):
    """A trained network, in JAX and as matrices (outputs, inputs)."""

    run: nl.Run
    task: nl.Task
    matrices: list[np.ndarray]
    x: np.ndarray
    y: np.ndarray  # the class of each sample


class Answer(NamedTuple):
    """An eigenvalue, the time and the products it took."""

    value: float
    seconds: float
    products: int | None = None


def trained(width: int) -> Case:
    task = nl.tasks.digits(samples=SAMPLES)
    run = nl.train(nl.MLP(2), task, nl.Standard(), nl.SGD(0.1), width=width, steps=STEPS, weights="dense")
    assert run.status == "completed", run.message
    rules, p = run.rules, run.parameters
    matrices = [rules.input.multiplier * p.input.T, *(w.value for w in p.hidden), rules.output.multiplier * p.output]
    x, y = np.asarray(task.x, np.float32), np.asarray(task.y).argmax(1)
    return Case(run, task, [np.array(m, np.float32) for m in matrices], x, y)


def best(answer: Callable[[], tuple[float, int | None]]) -> Answer:
    times = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        value, products = answer()
        times.append(time.perf_counter() - begun)
    return Answer(value, min(times), products)


def by_jax(case: Case, kind: str) -> Answer:
    """`nl.curvature`; the first call compiles."""
    ask = partial(nl.curvature, case.run, case.task, count=1, kinds=(kind,))
    ask()
    return best(lambda: (float(ask().eigenvalue[0, 0]), None))


def by_torch(case: Case, kind: str) -> Answer:
    """What `SpectralMonitor` computes from nothing."""
    model, x, y = in_torch(case)
    probe = Probe(x, y, nn.functional.cross_entropy, (kind,))

    def ask() -> tuple[float, int]:
        row = measure_curvature(model, probe, None, {}, 0)
        return row[kind], row[f"{kind}_products"]

    return best(ask)


def by_scipy(case: Case, kind: str, dtype: torch.dtype = torch.float32, **options: float) -> Answer:
    """`eigsh` on double backpropagation."""
    model, x, y = in_torch(case, dtype)
    return best(lambda: largest(products(model, x, y, kind), **options))


def in_torch(case: Case, dtype: torch.dtype = torch.float32) -> tuple[nn.Module, Tensor, Tensor]:
    return network_of(case.matrices).to(dtype), torch.tensor(case.x).to(dtype), torch.tensor(case.y)


def products(model: nn.Module, x: Tensor, y: Tensor, kind: str) -> LinearOperator:
    """Products with the matrix of that kind; the graph of the first derivative is made once."""
    leaves, outputs = list(model.parameters()), model(x)
    dual = torch.zeros_like(outputs, requires_grad=True)
    gradient = partial(torch.autograd.grad, retain_graph=True)
    pulled = gradient(outputs, leaves, dual, create_graph=True)
    slope = gradient(nn.functional.cross_entropy(outputs, y), leaves, create_graph=True)
    p = outputs.detach().softmax(1)
    sizes, size = [leaf.numel() for leaf in leaves], sum(leaf.numel() for leaf in leaves)

    def back(u: Tensor) -> tuple[Tensor, ...]:
        return gradient(outputs, leaves, u)

    def product(vector: np.ndarray) -> np.ndarray:
        v = torch.from_numpy(np.ascontiguousarray(vector))
        if kind == "ntk":
            return gradient(pulled, dual, back(v.view_as(outputs)))[0].ravel().numpy() / len(x)
        parts = [part.view_as(leaf) for part, leaf in zip(v.split(sizes), leaves, strict=True)]
        if kind == "hessian":
            found = gradient(slope, leaves, parts)
        else:
            u = gradient(pulled, dual, parts)[0]
            found = back((p * u - p * (p * u).sum(1, keepdim=True)) / len(x))
        return torch.cat([part.ravel() for part in found]).numpy()

    rows = outputs.numel() if kind == "ntk" else size
    return LinearOperator((rows, rows), product, dtype=str(outputs.dtype).removeprefix("torch."))


def by_curvlinops(case: Case, python: str) -> tuple[str, dict[str, Answer]]:
    """Its version, and its answers by kind."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "network.npz", Path(folder) / "answers.json"
        matrices = {f"matrix{i}": matrix for i, matrix in enumerate(case.matrices)}
        np.savez(source, **matrices, x=case.x, y=case.y, threads=torch.get_num_threads())
        script = str(Path(__file__).parent / "_curvature_peer.py")
        subprocess.run([python, script, str(source), str(target)], check=True)
        found = json.loads(target.read_text())
    return found.pop("version"), {kind: Answer(**answer) for kind, answer in found.items()}


def table(width: int, python: str | None) -> tuple[list[str], dict[str, str]]:
    """All contestants at one width, and the headlines."""
    case = trained(width)
    size = sum(m.size for m in case.matrices)
    lines = [f"Width {width}, {size / 1e6:.2f} million weights, {SAMPLES} samples:", ""]
    lines += ["| | by | λ | relative error | products | seconds | ours (PyTorch), times faster |", "|-|-|-|-|-|-|-|"]
    version, peer = by_curvlinops(case, python) if python else ("", {})
    told = {}
    for kind in KINDS:
        exact = by_scipy(case, kind, torch.float64, tolerance=1e-9).value
        ours = by_torch(case, kind)
        rows: dict[str, Answer] = {"`neural_limits.torch`": ours, "`nl.curvature`": by_jax(case, kind)}
        rows["double backpropagation, eigsh"] = by_scipy(case, kind)
        if peer:
            rows[f"curvlinops {version}, eigsh"] = peer[kind]
        for name, found in rows.items():
            made, faster = found.products or "", found.seconds / ours.seconds
            apart = abs(found.value / exact - 1)
            lines.append(
                f"| {kind} | {name} | {found.value:.6g} | {apart:.0e} | {made} | {found.seconds:.3g} | {faster:.2g} |"
            )
        others = {name: found.seconds / ours.seconds for name, found in rows.items() if "eigsh" in name}
        told[f"leading {kind} eigenvalue, width {width}, PyTorch"] = ", ".join(
            f"{ratio:.2g} times as fast as {name}" for name, ratio in others.items()
        )
        print("\n".join(lines[-len(rows) :]), flush=True)
    return [*lines, ""], told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--peer-python")
    options = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    lines = [f"Machine: {machine()}; torch {torch.__version__}, {torch.get_num_threads()} threads", ""]
    if options.peer_python is None:
        lines += ["curvlinops: not run; `--peer-python PATH` names an interpreter that has it.", ""]
    for width in (128,) if options.quick else (256, 1024, 2048):
        found, told = table(width, options.peer_python)
        lines += found
    write("curvature-quick" if options.quick else "curvature", lines, told)


if __name__ == "__main__":
    main()
