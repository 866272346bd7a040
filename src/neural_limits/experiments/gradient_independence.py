"""Gradient independence in training: reused against independent backward weights on real images."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array
from matplotlib.figure import Figure
from numpy import ndarray

from ..networks import Parameters, ResNet
from ..parametrizations import DepthMuP, MuP, Parametrization, Rules
from ..tasks import Task, digits, fashion_mnist, found
from ..training import SGD, train_ensemble
from ._experiment import Experiment, Mean, Result, Say, Verdict, decide, mean_of
from ._slopes import slope_over

SOURCE = "arXiv 2512.21075: gradient independence is restored at infinite depth"
WIDTH, STEPS, BATCH = 128, 200, 64
DEPTHS = (2, 4, 8, 16)


class Scheme(NamedTuple):
    """A way to scale depth: network, table and rate."""

    network: dict[str, Any]
    parametrization: Parametrization
    lr: float


SCHEMES = {
    # √2 keeps the size of relu features from layer to layer where nothing is added to them
    "plain": Scheme({"skip": False}, MuP(sigma_w=2**0.5), 0.2),
    "muP": Scheme({}, MuP(), 0.05),
    "depth-muP": Scheme({}, DepthMuP(), 0.5),
}


def run(quick: bool, say: Say) -> Result:
    """relu networks of width 128, 200 steps of mini-batches, cross entropy, train and test loss of both kinds."""
    seeds, depths = (3, (2, 8)) if quick else (8, DEPTHS)
    tasks = {"digits": digits()}
    if not quick and found().get("fashion-mnist"):
        tasks["Fashion-MNIST"] = fashion_mnist(samples=2000, test_samples=1000)
    verdict: list[Verdict] = []
    tables = {}
    for name, task in tasks.items():
        say(f"{name}: {len(SCHEMES)} schemes, L = {', '.join(map(str, depths))}, {seeds} seeds, reused and independent")
        gaps = {}
        for scheme in SCHEMES:
            losses = {b: [_losses(task, scheme, d, b, seeds) for d in depths] for b in ("reused", "decoupled")}
            gaps[scheme] = losses
            verdict += _verdicts(name, scheme, depths, losses)
        verdict.append(_smallest(name, depths, gaps))
        tables[name] = _table(gaps, depths, seeds).expand_dims(task=[name])
    data = xr.concat(list(tables.values()), dim="task")
    captions = {
        "gap": "Final train loss with independent less that with reused backward weights, over depth (relu, width 128, "
        f"{STEPS} steps of {BATCH} samples); errors over seeds."
    }
    return Result(data, verdict, {"gap": _figure(data)}, captions)


def _losses(task: Task, scheme: str, depth: int, backward: str, seeds: int) -> ndarray:
    """Train and test loss after training, (2, seed); inf where training diverged."""
    options, parametrization, lr = SCHEMES[scheme]
    network = ResNet(depth, "one-layer", "relu", **options)
    _, parameters = train_ensemble(
        network, task, parametrization, SGD(lr), width=WIDTH, steps=STEPS, seeds=range(seeds), weights="dense",
        batch=BATCH, backward=backward, dtype="float32",
    )  # fmt: skip
    rules = network.rules(parametrization, WIDTH, task.inputs)
    pairs = ((task.x, task.y), (task.x_test, task.y_test))
    return np.stack([np.asarray(_evaluate(parameters, *map(jnp.asarray, pair), rules, network)) for pair in pairs])


@partial(jax.jit, static_argnames="network")
def _evaluate(parameters: Parameters, x: Array, y: Array, rules: Rules, network: ResNet) -> Array:
    """Cross entropy of every member of an ensemble."""

    def one(parameters: Parameters) -> Array:
        outputs, _, _ = network.forward(parameters, x.astype(parameters.input.dtype), rules)
        loss = -jnp.mean(jnp.sum(y * jax.nn.log_softmax(outputs), axis=1))
        return jnp.where(jnp.isfinite(loss), loss, jnp.inf)

    return jax.vmap(one)(parameters)


def _verdicts(task: str, scheme: str, depths: tuple[int, ...], losses: dict[str, list[ndarray]]) -> list[Verdict]:
    """Whether the gap in train loss vanishes as depth grows."""
    gaps = [decoupled - reused for reused, decoupled in zip(losses["reused"], losses["decoupled"], strict=True)]
    claim = f"{task}, {scheme}: the gap between independent and reused backward weights closes with depth"
    if not all(np.isfinite(g).all() for g in gaps):
        where = [d for d, g in zip(depths, gaps, strict=True) if not np.isfinite(g).all()]
        return [Verdict(claim, SOURCE, f"diverged at L = {where}", "slope of the gap below -0.5", "undecided")]
    slope = slope_over(depths, [g[0] for g in gaps], lambda all_: np.array([abs(s.mean()) for s in all_]))
    train, test = ([mean_of(g[i]) for g in gaps] for i in (0, 1))
    measured = f"train loss gap at L = {depths}: " + ", ".join(map(str, train)) + f"; slope {slope}"
    measured += "; test: " + ", ".join(map(str, test))
    closes = slope.value < -0.5
    return [Verdict(claim, SOURCE, measured, "slope below -0.5 by two errors", decide(closes, _clear(slope, -0.5)))]


def _clear(slope: Mean, bound: float) -> bool:
    return abs(slope.value - bound) > 2 * slope.error


def _smallest(task: str, depths: tuple[int, ...], gaps: dict[str, dict[str, list[ndarray]]]) -> Verdict:
    """Whether depth-muP has the smallest gap at every depth."""
    size = {
        scheme: [abs(float((d[0] - r[0]).mean())) for r, d in zip(both["reused"], both["decoupled"], strict=True)]
        for scheme, both in gaps.items()
    }
    best = all(size["depth-muP"][i] <= min(v[i] for v in size.values()) for i in range(len(depths)))
    measured = "; ".join(f"{s}: " + ", ".join(f"{v:.3f}" for v in values) for s, values in size.items())
    return Verdict(f"{task}: depth-muP has the smallest gap", SOURCE, measured, f"at every L of {depths}", decide(best))


def _table(gaps: dict[str, dict[str, list[ndarray]]], depths: tuple[int, ...], seeds: int) -> xr.Dataset:
    values = np.stack([[np.stack(gaps[s][b]) for b in ("reused", "decoupled")] for s in gaps])
    coords = {
        "scheme": list(gaps),
        "backward": ["reused", "decoupled"],
        "depth": list(depths),
        "split": ["train", "test"],
    }
    return xr.Dataset(
        {
            "loss": (
                ("scheme", "backward", "depth", "split", "seed"),
                values,
                {"long_name": "cross entropy", "units": "nat"},
            )
        },
        coords={**coords, "seed": np.arange(seeds)},
    )


def _figure(data: xr.Dataset) -> Figure:
    tasks = data.task.values
    figure = Figure(figsize=(5 * len(tasks), 4), layout="constrained")
    for axis, task in zip(figure.subplots(1, len(tasks), squeeze=False)[0], tasks, strict=True):
        loss = data.loss.sel(task=task, split="train")
        gap = loss.sel(backward="decoupled") - loss.sel(backward="reused")
        for scheme in data.scheme.values:
            one = gap.sel(scheme=scheme)
            error = one.std("seed", ddof=1) / one.sizes["seed"] ** 0.5
            axis.errorbar(data.depth, one.mean("seed"), error, fmt="o-", ms=4, lw=1, capsize=2, label=str(scheme))
        axis.set_xscale("log", base=2)
        axis.axhline(0, color="0.6", lw=1)
        axis.set(xlabel="depth L", ylabel="train loss, independent − reused", title=str(task), xticks=data.depth.values)
        axis.set_xticklabels([str(d) for d in data.depth.values])
        axis.legend(frameon=False, fontsize=8)
    return figure


GRADIENT_INDEPENDENCE = Experiment(
    "gradient-independence",
    "Independent backward weights train differently; depth-muP has the smallest gap, but it does not close with depth.",
    SOURCE,
    1,
    6,
    run,
)
