"""Two-layer blocks: the collapse of the first layer's features with depth, its correction, and rate transfer."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from numpy import ndarray

from ..limits import infinite_depth as nfd
from ..networks import ResNet, resolve_activation
from ..parametrizations import DepthMuP
from ..tasks import Task, digits
from ..training import SGD, prepare
from ._experiment import Experiment, Result, Say, Verdict
from ._rate_optima import OCTAVES, at_ends, best_rates, loss_series, transfer_verdict
from ._slopes import label_sizes, slope_over, slope_verdict

SOURCE = "arXiv 2512.21075"
SCHEMES = {
    "depth-muP": DepthMuP(),
    "depth-muP, first layers' rate times √L": DepthMuP(inner_exponent=0.5),
    "branches 1/L, hidden rates times L": DepthMuP(branch_exponent=1.0),
}
EXPECTED = {  # slopes in L of the change of z by the update of W1, and of the function by W1 alone
    "depth-muP": (-0.5, 0.0),
    "depth-muP, first layers' rate times √L": (0.0, 0.5),
    "branches 1/L, hidden rates times L": (0.0, 0.0),
}
LR, SAMPLES, WIDTH = 0.1, 8, 384
SWEEP_WIDTH, SWEEP_STEPS, SWEEP_SAMPLES = 128, 30, 64


def run(quick: bool, say: Say) -> Result:
    """Changes after one update over depth for three schemes, then the optimum of the rate over depth."""
    depths = (2, 4, 8, 16) if quick else (2, 4, 8, 16, 32, 64)
    seeds = 8 if quick else 24
    data: dict[str, Any] = {"depth": ("depth", list(depths))}
    verdict: list[Verdict] = []
    changes = {}
    for scheme, parametrization in SCHEMES.items():
        say(f"{scheme}: change of features after one update, L = {depths[0]} to {depths[-1]}, {seeds} seeds")
        rows = [[change(parametrization, depth, seed) for seed in range(seeds)] for depth in depths]
        changes[scheme] = {n: [np.array([getattr(c, n) for c in row]) for row in rows] for n in Change._fields}
        verdict += _change_verdicts(scheme, depths, changes[scheme])
    for name in Change._fields:
        table = [[s.mean() for s in changes[scheme][name]] for scheme in SCHEMES]
        data[name] = (("scheme", "depth"), table, {"long_name": MEANING[name], "units": "1"})
    sweep_depths = (4, 16) if quick else (4, 8, 16, 32, 64)
    optima = {}
    for scheme, parametrization in SCHEMES.items():
        say(f"{scheme}: loss over rates, L = {sweep_depths[0]} to {sweep_depths[-1]}")
        losses = np.stack([_sweep(parametrization, depth, 4 if quick else 8) for depth in sweep_depths])
        optima[scheme] = [best_rates(of_depth, RATES) for of_depth in losses]
        verdict.append(_transfer_verdict(scheme, sweep_depths, optima[scheme]))
        data.setdefault("losses", []).append(losses)
    data["losses"] = (
        ("scheme", "sweep_depth", "lr", "seed"),
        np.stack(data["losses"]),
        {"long_name": f"training loss after {SWEEP_STEPS} steps", "units": "nat"},
    )
    data |= {
        "scheme": ("scheme", list(SCHEMES)),
        "sweep_depth": ("sweep_depth", list(sweep_depths)),
        "lr": ("lr", RATES),
    }
    captions = {
        "changes": "After one update: rms change of the inner pre-activations by the update of W1 (left), of the "
        "outputs by W1 alone (middle), and the rate of smallest loss after 30 steps (right), over depth."
    }
    return Result(xr.Dataset(data), verdict, {"changes": _figure(depths, changes, sweep_depths, optima)}, captions)


class Change(NamedTuple):
    """Root mean squares after one update."""

    direct: float
    rest: float
    function: float


MEANING = {
    "direct": "rms change of z by the update of W1",
    "rest": "rms change of z by changed features under the old W1",
    "function": "rms change of the outputs by the update of W1 alone",
}


def task(samples: int = SAMPLES) -> Task:
    """Two classes of digits, labels ±1, squared error."""
    return digits(classes=(0, 1), samples=samples, loss="mse")


def change(parametrization: DepthMuP, depth: int, seed: int) -> Change:
    """Of a tanh network of width 384 on dense weights, hidden weights trained for one step."""
    network, data = ResNet(depth, "two-layer", "tanh"), task()
    optimizer = SGD(LR, lr_input=0.0, lr_output=0.0)
    options: dict[str, Any] = {"width": WIDTH, "weights": "dense", "dtype": "float32"}
    before = prepare(
        network, data, parametrization, optimizer, steps=1, seeds=seed, tolerance=1e-2, batch=None, **options
    ).state.parameters
    one, two = (
        nfd.trajectories(network, data, parametrization, optimizer, steps=steps, seed=seed, **options)
        for steps in (0, 1)
    )
    after = one.parameters
    assert one.z is not None
    assert two.z is not None
    moved = after.hidden[0].layers.value - before.hidden[0].layers.value  # type: ignore[union-attr]
    phi = resolve_activation("tanh")(one.h[:-1, 0])
    direct = jnp.einsum("lpn,lmn->lpm", phi, moved)
    rest = two.z[:, 1] - two.z[:, 0] - direct
    mixed = eqx.tree_at(lambda p: p.hidden, before, (after.hidden[0], before.hidden[1]))
    outputs, _, _ = network.forward(mixed, jnp.asarray(data.x, phi.dtype), one.rules)
    rms = lambda block: float(np.sqrt(np.mean(np.asarray(block, float) ** 2)))  # noqa: E731
    return Change(rms(direct), rms(rest), rms(np.asarray(outputs)[:, 0] - one.outputs[0]))


def _change_verdicts(scheme: str, depths: tuple[int, ...], samples: dict[str, list[ndarray]]) -> list[Verdict]:
    each = lambda all_: np.array([s.mean() for s in all_])  # noqa: E731
    direct, function = (slope_over(depths, samples[name], each) for name in ("direct", "function"))
    inner, outer = EXPECTED[scheme]
    ends = lambda name: f" ({samples[name][0].mean():.4f} to {samples[name][-1].mean():.4f})"  # noqa: E731
    what = "collapses as L^-1/2" if inner else "does not collapse"
    first = slope_verdict(f"{scheme}: the update of W1 moves its features: {what}", SOURCE, direct, inner)
    grows = "grows as L^1/2" if outer else "stays of order one"
    second = slope_verdict(f"{scheme}: the change of the function by W1 alone {grows}", SOURCE, function, outer)
    return [
        first._replace(measured=first.measured + ends("direct")),
        second._replace(measured=second.measured + ends("function")),
    ]


# -- learning rates over depth -----------------------------------------------------------------------------------

RATES = (2.0 ** np.arange(1.5, 4.1, OCTAVES)).tolist()
TRANSFERS = 0.1  # |slope| of the best rate in depth up to which rates transfer


def _sweep(parametrization: DepthMuP, depth: int, seeds: int) -> ndarray:
    """Training loss (rate, seed) after 30 full-batch steps on all ten digits; inf where training diverged."""
    network, data = ResNet(depth, "two-layer", "tanh"), digits(samples=SWEEP_SAMPLES)
    options = {"width": SWEEP_WIDTH, "steps": SWEEP_STEPS}
    series = [loss_series(network, data, parametrization, lr, seeds=range(seeds), **options) for lr in RATES]
    return np.stack(series)[:, :, -1]


def _transfer_verdict(scheme: str, depths: tuple[int, ...], optima: list[ndarray]) -> Verdict:
    claim = f"{scheme}: the best rate transfers over depth"
    return transfer_verdict(claim, SOURCE, "L", depths, optima, TRANSFERS, at_ends(optima, depths, RATES))


def _figure(
    depths: tuple[int, ...], changes: dict[str, Any], sweep_depths: tuple[int, ...], optima: dict[str, list[ndarray]]
) -> Figure:
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    direct, function, best = figure.subplots(1, 3)
    for scheme in SCHEMES:
        for axis, name in ((direct, "direct"), (function, "function")):
            values = [s.mean() for s in changes[scheme][name]]
            axis.loglog(depths, values, "o-", ms=4, lw=1, label=scheme)
        mean, error = ([f(o) for o in optima[scheme]] for f in (np.mean, lambda o: o.std(ddof=1) / len(o) ** 0.5))
        best.errorbar(sweep_depths, mean, error, fmt="o-", ms=4, lw=1, capsize=2)
    for axis, sizes in ((direct, depths), (function, depths), (best, sweep_depths)):
        label_sizes(axis, sizes)
    direct.set(xlabel="depth L", ylabel="rms change of z by W1's update")
    function.set(xlabel="depth L", ylabel="rms change of f by W1 alone")
    best.set(xlabel="depth L", ylabel="log2 of the best rate")
    figure.legend(*direct.get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False, fontsize=8)
    return figure


TWO_LAYER_BLOCKS = Experiment(
    "two-layer-blocks",
    "In two-layer blocks the first layer's features stop moving with depth; a larger rate mends that, not transfer.",
    SOURCE,
    2,
    10,
    run,
)
