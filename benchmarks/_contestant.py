"""One contestant of `against_dense.py` in a process of its own: a network trained from a request, time and memory.

    python _contestant.py REQUEST.json   # prints the answer as JSON

In all forms f = V tanh(h)/(γ n), h₁ = U x/√d, h_{l+1} = M_l tanh(h_l), muP rates, full batch, mean squared error/2.
`weights` is conditioned, dense (JAX), or torch: an ordinary loop with autograd and an SGD optimizer.
Memory is of the process: at its peak (compilation included), and, in runs that compile nothing, at its peak above what
it held just before.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _memory import STATUS, memory


class Outcome(dict[str, Any]):
    """losses, rank, start (seconds to draw the initial weights), seconds (all of the run)."""


def jax_run(request: dict[str, Any], width: int, seed: int) -> Outcome:
    """By `nl.train`; the start is drawn once more apart, to be timed."""
    import jax

    import neural_limits as nl
    from neural_limits.training import prepare

    task = nl.tasks.toy(samples=request["samples"])
    parts = nl.MLP(request["hidden"], "tanh"), task, nl.MuP(gamma=request["gamma"]), nl.SGD(lr=request["lr"])
    options = {"width": width, "steps": request["steps"], "weights": request["weights"]}
    options |= {"tolerance": request.get("tolerance", 1e-2)}
    begun = time.perf_counter()
    ready = prepare(*parts, **options, seeds=seed, batch=None, dtype="float32")
    jax.block_until_ready(ready.state)
    start = time.perf_counter() - begun
    del ready
    begun = time.perf_counter()
    run = nl.train(*parts, **options, seed=seed, dtype="float32")
    seconds = time.perf_counter() - begun
    rank = max(w.rank for w in run.weights) if request["weights"] == "conditioned" else None
    return Outcome(losses=run.data.loss.values.tolist(), rank=rank, start=start, seconds=seconds)


def torch_run(request: dict[str, Any], width: int, seed: int) -> Outcome:
    """By a plain loop; only this imports torch, and it imports nothing else that is large."""
    import torch

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    x, y = (torch.tensor(request[name], dtype=torch.float32) for name in ("x", "y"))
    begun = time.perf_counter()
    torch.manual_seed(seed)
    inputs = torch.randn(x.shape[1], width).requires_grad_()
    hidden = [torch.randn(width, width).div_(width**0.5).requires_grad_() for _ in range(request["hidden"])]
    readout = torch.randn(y.shape[1], width).requires_grad_()
    start = time.perf_counter() - begun
    losses = torch_losses(x, y, inputs, hidden, readout, request)
    return Outcome(losses=losses, rank=None, start=start, seconds=time.perf_counter() - begun)


def torch_losses(x: Any, y: Any, inputs: Any, hidden: list[Any], readout: Any, request: dict[str, Any]) -> list[float]:
    """The loop itself, on weights inputs (d, n), hidden (n, n), readout (C, n)."""
    import torch

    width, gamma, lr = inputs.shape[1], request["gamma"], request["lr"]
    groups = [([inputs, readout], lr * gamma**2 * width), (hidden, lr * gamma**2)]
    optimizer = torch.optim.SGD([{"params": params, "lr": rate} for params, rate in groups])
    losses = []
    for step in range(request["steps"] + 1):
        features = torch.tanh(x @ inputs / x.shape[1] ** 0.5)
        for weight in hidden:
            features = torch.tanh(features @ weight.T)
        loss = ((features @ readout.T / (gamma * width) - y) ** 2).sum() / (2 * len(x))
        losses.append(loss.item())
        if step < request["steps"]:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return losses


def let_go() -> None:
    """Give back what the allocator keeps, and forget the peak so far."""
    gc.collect()
    if STATUS.exists():
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Best times of the runs after a first one that compiles; the peak of memory over all."""
    warnings.simplefilter("ignore", UserWarning)
    run: Callable[..., Outcome] = torch_run if request["weights"] == "torch" else jax_run
    found, peaks, above = [], [], []
    for seed in range(request["repeats"] + 1):
        let_go()
        before = memory("VmRSS")
        found.append(run(request, request["width"], seed))
        peaks.append(memory("VmHWM"))
        above.append(peaks[-1] - before)
    return {
        "seconds": min(one["seconds"] for one in found[1:]),
        "start": min(one["start"] for one in found[1:]),
        "peak": max(peaks),
        "above": max(above[1:]),
        "rank": found[-1]["rank"],
        "loss": found[-1]["losses"][-1],
    }


if __name__ == "__main__":
    print(json.dumps(answer(json.loads(Path(sys.argv[1]).read_text()))))
