"""Training of the small models on real data with their hidden weights watched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor, nn

from ..tasks import Task, Text
from ._lanczos import leading_singular_values
from ._monitor import SpectralMonitor
from ._parametrize import parametrize
from ._real_training import fit, optimizers_for
from ._small_models import GPT, MLP, next_symbol_loss

BASE = 64  # width at which the rates below were looked for, by factors of about two
HIDDEN, BLOCKS = 2, 2
MLP_RATES = {"sgd": 0.3, "adamw": 3e-3, "muon": 0.02}
GPT_RATES = {"adamw": 4e-3, "muon": 0.02}
OTHERS = {"MLP": 3e-3, "GPT": 4e-3}  # AdamW's beside Muon
MLP_BATCH, GPT_BATCH, TOKENS = 128, 8, 64
TOP = 16


@dataclass(frozen=True)
class Watched:
    """One run: the monitor's ``rows``, a row for the ``changes`` of each weight from start to end, losses, and spectra.

    ``changes``: ``change``, the largest singular value of W_T - W_0 over the initial edge; ``change_rank``, its stable
    rank; ``middle`` and ``upper``, the relative change of the median and the 90 % quantile of the singular values;
    ``above``, how many of all of them are above the monitor's threshold at the end.
    ``spectra``: all singular values of a weight before and after training, in units of its initial edge.
    """

    rows: pd.DataFrame
    changes: pd.DataFrame
    losses: ndarray
    status: str
    spectra: dict[str, ndarray]


def watch_mlp(task: Task, optimizer: str, width: int, seed: int, steps: int, record: Sequence[int]) -> Watched:
    """A muP MLP on images: cross entropy, mini-batches; both hidden weights are watched."""
    x, y = torch.tensor(task.x, dtype=torch.float32), torch.tensor(task.y.argmax(1))
    rng = np.random.default_rng(seed)
    drawn = (torch.from_numpy(rng.integers(0, len(x), MLP_BATCH)) for _ in range(steps))
    make = partial(MLP, task.inputs, hidden=HIDDEN, outputs=task.outputs)
    rate = MLP_RATES[optimizer], OTHERS["MLP"]
    return _watch(
        make, optimizer, rate, width, seed, ((x[i], y[i]) for i in drawn), _classes, steps, record, "layers.*"
    )


def watch_gpt(text: Text, optimizer: str, width: int, seed: int, steps: int, record: Sequence[int]) -> Watched:
    """A muP GPT on a text; the matrices of its blocks are watched."""
    batches = (torch.from_numpy(text.windows(GPT_BATCH, TOKENS + 1, (seed, step))) for step in range(steps))
    make = partial(GPT, blocks=BLOCKS, symbols=text.symbols, tokens=TOKENS)
    rate = GPT_RATES[optimizer], OTHERS["GPT"]
    return _watch(make, optimizer, rate, width, seed, batches, next_symbol_loss, steps, record, "blocks.*")


def _watch(
    make: Callable[..., nn.Module], optimizer: str, rates: tuple[float, float], width: int, seed: int,
    batches: Iterable[Any], loss_fn: Callable[[nn.Module, Any], Tensor], steps: int, record: Sequence[int], which: str,
) -> Watched:  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        base, model, delta = make(width=BASE), make(width=width), make(width=2 * BASE)
    rules = parametrize(model, base, scheme="mup", optimizer=optimizer, delta=delta)
    # Never due by itself: the steps of ``record`` are not evenly spaced.
    monitor = SpectralMonitor(model, every=steps + 1, top=TOP, include=[which], seed=seed)
    before = {name: model.get_parameter(name).detach().clone() for name in monitor.init_std}
    monitor.measure()
    trained = fit(
        model, optimizers_for(rules, *rates), batches, loss_fn, steps=steps, warmup=steps // 10, monitor=monitor,
        record=record,
    )  # fmt: skip
    rows = monitor.to_pandas()
    edges = dict(zip(rows.matrix, rows.edge, strict=True))
    thresholds = dict(zip(rows.matrix, rows.threshold, strict=True))
    changes, spectra = [], {}
    for name, start in before.items():
        weight = model.get_parameter(name).detach()
        spectra[name] = np.stack([_singular_values(start), _singular_values(weight)]) / edges[name]
        above = int((spectra[name][1] > thresholds[name] / edges[name]).sum())  # the monitor counts up to 64
        changes.append({"matrix": name, "above": above} | _change(weight - start, edges[name]) | _shifts(spectra[name]))
    return Watched(rows, pd.DataFrame(changes), trained.losses, trained.status, spectra)


def _change(change: Tensor, edge: float) -> dict[str, float]:
    """The largest singular value of the change over the initial edge, and how many like it its square sum holds."""
    if not torch.isfinite(change).all():
        return {"change": float("nan"), "change_rank": float("nan")}
    largest = float(leading_singular_values(change, 1).values[0])
    return {"change": largest / edge, "change_rank": float(change.double().square().sum()) / largest**2}


def _singular_values(weight: Tensor) -> Float[ndarray, " k"]:
    """All, largest first, from the smaller Gram matrix in float64: to 1e-8 of the largest, far faster than an SVD."""
    if not torch.isfinite(weight).all():
        return np.full(min(weight.shape), np.nan)
    double = weight.double() if weight.shape[0] <= weight.shape[1] else weight.double().mT
    return torch.linalg.eigvalsh(double @ double.mT).clamp_min(0).sqrt().flip(0).numpy()


def _shifts(spectra: Float[ndarray, "2 k"]) -> dict[str, float]:
    before, after = (np.quantile(values, [0.5, 0.9]) for values in spectra)
    return dict(zip(("middle", "upper"), after / before - 1, strict=True))


def _classes(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return nn.functional.cross_entropy(model(batch[0]), batch[1])
