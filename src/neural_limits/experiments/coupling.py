"""The reused-weight coupling: what of it vanishes with width and depth, and what does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from numpy import ndarray

from ..limits import infinite_depth as nfd
from ..networks import ResNet
from ..parametrizations import DepthMuP
from ..tasks import toy
from ..training import SGD
from ._experiment import Experiment, Result, Say, Verdict, decide
from ._slopes import label_sizes, slope_over, slope_verdict

SOURCE = "arXiv 2512.21075"
VANISHES = SOURCE + ": the coupling is of higher order and vanishes with depth"
TASK = toy(samples=4, inputs=8, seed=7, labels="sine")
LR = 0.5


def run(quick: bool, say: Say) -> Result:
    """At the start over width and depth; after a step, in every layer and summed over depth."""
    data: dict[str, Any] = {}
    verdict = _initial(quick, say, data)
    verdict += _linear(data)
    verdict += _trained(quick, say, data)
    captions = {
        "coupling": "Left: untrained, n times the mean square of g_0 with reused less g_0 with independent weights. "
        "Right: after one update (tanh, conditioned networks), mean squares of the coupling in one layer and summed "
        "over depth. What sums to a constant is the drift of Neural Feature Dynamics."
    }
    return Result(xr.Dataset(data), verdict, {"coupling": _figure(data)}, captions)


def _initial(quick: bool, say: Say, data: dict[str, Any]) -> list[Verdict]:
    depths, widths = ((4, 32), (128, 256, 512, 1024)) if quick else ((4, 16, 64, 256), (128, 256, 512, 1024, 2048))
    rows, table = [], np.zeros((len(depths), len(widths)))
    for i, depth in enumerate(depths):
        say(f"untrained, L = {depth}")
        samples = []
        for width in widths:
            seeds = max(8, (65_536 if quick else 262_144) // (width * max(1, depth // 16)))
            gaps = [nfd.initial_gap(TASK.x, "tanh", 1.0, depth, width, seed).gap for seed in range(seeds)]
            samples.append(np.array(gaps))
        table[i] = [s.mean() * width for s, width in zip(samples, widths, strict=True)]
        slope = slope_over(widths, samples, lambda all_: np.array([s.mean() for s in all_]))
        claim = f"untrained, L = {depth}: the coupling's effect on g_0 is O(1/n) in mean square"
        rows.append(slope_verdict(claim, SOURCE, slope, -1.0))
    spread = table[:, -1]
    rows.append(
        Verdict(
            "untrained: that effect is uniform over depth",
            SOURCE,
            "n × mean square at L = " + ", ".join(f"{d}: {v:.2f}" for d, v in zip(depths, spread, strict=True)),
            "largest over smallest below 1.5",
            decide(spread.max() / spread.min() < 1.5),
        )
    )
    data["initial"] = (
        ("initial_depth", "width"),
        table,
        {"long_name": "n E|g_0 reused - g_0 independent|²", "units": "1"},
    )
    data["initial_depth"], data["width"] = ("initial_depth", list(depths)), ("width", list(widths))
    return rows


def _linear(data: dict[str, Any]) -> list[Verdict]:
    """Exact: σ²/L · R G Rᵀ in every layer, at steps after the first."""
    depths, values = (16, 32, 64, 128), []
    for depth in depths:
        found = nfd.linear(TASK.x, TASK.y, steps=2, lr=0.2, depth=depth).data
        r = found.forward_response.values[:, 1:].reshape(depth, -1, found.sizes["step"])
        g = found.gradient_kernel.values[1:, :, 0, :, 0]
        values.append(float(np.einsum("las,lst,lat->la", r, g, r).mean()) / depth**2)
    slope = float(np.polyfit(np.log(depths), np.log(values), 1)[0])
    data["linear_per_layer"] = (
        "linear_depth",
        values,
        {"long_name": "mean square of the coupling in a layer", "units": "1"},
    )
    data["linear_depth"] = ("linear_depth", list(depths))
    claim = "linear, exact: the coupling in one layer is O(L^-2) in mean square"
    return [Verdict(claim, SOURCE, f"slope {slope:.3f}", "-2 within 0.1", decide(abs(slope + 2) < 0.1))]


def measure(depth: int, width: int, seed: int) -> dict[str, ndarray]:
    """Mean squares of the coupling after one update of a tanh network, and what a mean over seeds is made from."""
    optimizer = SGD(LR)
    one = nfd.trajectories(
        ResNet(depth), TASK, DepthMuP(), optimizer, width=width, steps=1, seed=seed + 7919 * depth, dtype="float32"
    )
    total, local = nfd.total_coupling(one), nfd.local_coupling(one, LR, TASK.y[:, 0])
    g = np.asarray(one.g[1:, 0], float)  # backward vectors of step 0
    gram = np.einsum("lan,lbn->lab", g, g) / width
    along = np.einsum("lan,lbn->lab", np.asarray(total.forward[:, 1], float), g) / width
    forward, backward = nfd.accumulated(total)
    local_forward, local_backward = nfd.accumulated(local)
    squares = {
        "total, summed, forward": forward[1],
        "total, summed, backward": backward[1],
        # the last layer has no later neighbour, the first no earlier one
        "local, one layer, forward": local.forward[1:, 1],
        "local, one layer, backward": local.backward[:-1, 1],
        "local, summed, forward": local_forward[1],
        "local, summed, backward": local_backward[1],
    }
    response = along @ np.linalg.pinv(gram, rcond=1e-3, hermitian=True)
    means = {name: np.mean(np.asarray(block, float) ** 2) for name, block in squares.items()}
    return {"response": response, "gram": gram, **means}


def _trained(quick: bool, say: Say, data: dict[str, Any]) -> list[Verdict]:
    depths = (4, 8, 16) if quick else (4, 8, 16, 32, 64)
    seeds, width = (10, 4096) if quick else (48, 8192)
    found: list[list[dict[str, ndarray]]] = []
    for depth in depths:
        say(f"after one update, L = {depth}: {seeds} networks of width {width}")
        found.append([measure(depth, width, seed) for seed in range(seeds)])
    samples = {name: [np.stack([m[name] for m in row]) for row in found] for name in found[0][0]}
    expected = {
        "total, summed, forward": (0.0, "the whole coupling summed over depth"),
        "total, summed, backward": (0.0, "the whole coupling summed over depth, backward,"),
        "local, one layer, forward": (-4.0, "the neighbouring layer's part in one layer"),
        "local, one layer, backward": (-4.0, "the neighbouring layer's part in one layer, backward,"),
        "local, summed, forward": (-2.0, "the neighbouring layer's part summed over depth"),
        "local, summed, backward": (-2.0, "the neighbouring layer's part summed over depth, backward,"),
    }
    rows = [_per_layer_verdict(depths, samples, data)]
    for name, (rate, what) in expected.items():
        first = int(name.startswith("local, summed"))  # L - 1 neighbours: at L = 4 a quarter is missing
        slope = slope_over(depths[first:], samples[name][first:], lambda all_: np.array([s.mean() for s in all_]))
        key = name.replace(",", "").replace(" ", "_")
        data[key] = ("depth", [s.mean() for s in samples[name]], {"long_name": f"mean square of {what}", "units": "1"})
        if rate:
            rows.append(slope_verdict(f"tanh: {what} is O(L^{rate:g}) in mean square", SOURCE, slope, rate, 0.25))
            continue
        last = samples[name][-1]
        measured = f"slope {slope}, {last.mean():.3g} at L = {depths[-1]}"
        decided = decide(slope.value < -0.5, resolved=slope.error < 0.1)
        rows.append(Verdict(f"tanh: {what} vanishes with depth", VANISHES, measured, "slope below -0.5", decided))
    data["depth"] = ("depth", list(depths))
    return rows


def _per_layer_verdict(depths: tuple[int, ...], samples: dict[str, list[ndarray]], data: dict[str, Any]) -> Verdict:
    """Mean square in one layer, from products of different seeds, which finite-width noise does not enter."""
    pairs = [np.concatenate([r, g], axis=-1) for r, g in zip(samples["response"], samples["gram"], strict=True)]

    def crossed(all_: list[ndarray]) -> ndarray:
        return np.array([_crossed(s[..., : TASK.samples], s[..., TASK.samples :].mean(0)) for s in all_])

    slope = slope_over(depths, pairs, crossed)
    data["total_one_layer"] = (
        "depth",
        crossed(pairs),
        {"long_name": "mean square of the coupling in a layer", "units": "1"},
    )
    return slope_verdict("tanh: the coupling in one layer is O(L^-2) in mean square", SOURCE, slope, -2.0, 0.25)


def _crossed(response: ndarray, gram: ndarray) -> float:
    """Mean over i ≠ j of tr R_i G R_jᵀ/P, averaged over layers."""
    count, total = len(response), response.sum(0)
    both = np.einsum("lab,lbc,lac->", total, gram, total)
    same = np.einsum("slab,lbc,slac->", response, gram, response)
    return float((both - same) / (count * (count - 1)) / (gram.shape[0] * gram.shape[1]))


def _figure(data: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(10, 4), layout="constrained")
    initial, trained = figure.subplots(1, 2)
    for depth, row in zip(data["initial_depth"][1], data["initial"][1], strict=True):
        initial.semilogx(data["width"][1], row, "o-", ms=4, lw=1, label=f"L = {depth}")
    initial.set(xlabel="width n", ylabel="n E|g_0 reused − g_0 independent|²", title="untrained", ylim=(0, None))
    label_sizes(initial, data["width"][1])
    initial.legend(frameon=False, fontsize=8)
    depths = data["depth"][1]
    lines = {
        "total_summed_forward": "whole, summed",
        "total_one_layer": "whole, one layer",
        "local_summed_forward": "neighbour's, summed",
        "local_one_layer_forward": "neighbour's, one layer",
    }
    for name, label in lines.items():
        trained.loglog(depths, data[name][1], "o-", ms=4, lw=1, label=label)
    trained.set(xlabel="depth L", ylabel="mean square of the coupling to h", title="after one update")
    label_sizes(trained, depths)
    trained.legend(frameon=False, fontsize=8)
    return figure


COUPLING = Experiment(
    "coupling",
    "The coupling of reused weights vanishes with width at the start and layer by layer with depth, but not its sum.",
    SOURCE,
    1,
    4,
    run,
)
