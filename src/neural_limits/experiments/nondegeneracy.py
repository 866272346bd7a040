"""Nondegeneracy: smallest eigenvalues of feature and gradient covariances over samples, steps and depth."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from numpy import ndarray

from ..limits import infinite_depth as nfd
from ..networks import ResNet, resolve_activation
from ..parametrizations import DepthMuP
from ..tasks import toy
from ..training import SGD
from ._experiment import Experiment, Result, Say, Verdict, decide, mean_of

SOURCE = "arXiv 2512.21075: feature and gradient covariances stay nondegenerate"
TASK = toy(samples=4, inputs=8, seed=7, labels="sine")
LR, STEPS = 0.5, 3


def run(quick: bool, say: Say) -> Result:
    """tanh networks on conditioned weights: over the samples of one step, and over all steps so far."""
    depths = (8, 16) if quick else (8, 16, 32, 64)
    seeds, width = (4, 2048) if quick else (12, 8192)
    verdict: list[Verdict] = []
    found = {}
    for depth in depths:
        say(f"L = {depth}: {seeds} networks of width {width}")
        rows = [smallest(depth, width, seed) for seed in range(seeds)]
        found[depth] = {name: np.stack([r[name] for r in rows]) for name in rows[0]}
    main = found[16]
    verdict.append(_bounded("features, samples of one step", main["features"].min((1, 2)), 0.02))
    gradients = main["gradients"][:, :, :-1]
    verdict.append(_bounded("gradients below the last layer, samples of one step", gradients.min((1, 2)), 1e-3))
    verdict.append(_readout(main["gradients"][:, :, -1]))
    for name in ("features", "gradients"):
        verdict.append(_over_depth(name, {d: f[name] for d, f in found.items()}))
        verdict.append(_over_steps(name, main[f"{name} over steps"]))
    data = xr.Dataset(coords={"step": np.arange(STEPS + 1), "layer": np.arange(17), "seed": np.arange(seeds)})
    for name, values in main.items():
        key = name.replace(" ", "_")
        data[key] = (("seed", "step", "layer"), values, {"long_name": f"smallest eigenvalue: {name}", "units": "1"})
    captions = {
        "eigenvalues": "Smallest eigenvalues at L = 16 (tanh, four samples) of the covariances over the samples of one "
        "step (solid) and over all samples of all steps so far (dashed), by layer."
    }
    return Result(data, verdict, {"eigenvalues": _figure(main)}, captions)


def smallest(depth: int, width: int, seed: int) -> dict[str, ndarray]:
    """Smallest eigenvalues (step, layer) of Φ_l and G_l, l = 0..L, within each step and over steps up to it."""
    one = nfd.trajectories(
        ResNet(depth), TASK, DepthMuP(), SGD(LR), width=width, steps=STEPS, seed=seed + 7919 * depth, tolerance=5e-4,
        dtype="float32",
    )  # fmt: skip
    phi = resolve_activation("tanh")
    samples = TASK.samples
    result = {}
    for name, kernel in (("features", nfd.gram(phi(one.h))), ("gradients", nfd.gram(one.g))):
        within, over = np.zeros((2, STEPS + 1, depth + 1))
        for step in range(STEPS + 1):
            last = slice(step * samples, (step + 1) * samples)
            within[step] = np.linalg.eigvalsh(kernel[:, last, last])[:, 0]
            over[step] = np.linalg.eigvalsh(kernel[:, : last.stop, : last.stop])[:, 0]
        result[name], result[f"{name} over steps"] = within, over
    return result


def _bounded(what: str, values: ndarray, least: float) -> Verdict:
    """Whether the smallest over steps and layers stays above a bound, in every seed."""
    measured = f"smallest over steps and layers {mean_of(values)}, least {values.min():.3g}"
    return Verdict(
        f"{what}: nondegenerate", SOURCE, measured, f"above {least:g} in every seed", decide(values.min() > least)
    )


def _readout(values: ndarray) -> Verdict:
    """At l = L the untrained backward vectors are the readout for every sample."""
    start = float(np.abs(values[:, 0]).max())
    return Verdict(
        "gradients at the last layer, samples of one step: nondegenerate", SOURCE,
        f"{start:.1e} at the start (g_L = v for every sample), {values[:, 1:].max():.1e} at most later",
        "above 0.001", decide(bool(values.min() > 1e-3)),
    )  # fmt: skip


def _over_depth(name: str, values: dict[int, ndarray]) -> Verdict:
    """Whether the middle of the network keeps its smallest eigenvalue as depth grows."""
    middle = {d: float(v[:, -1, d // 2].mean()) for d, v in values.items()}
    ratio = max(middle.values()) / min(middle.values())
    measured = ", ".join(f"L = {d}: {v:.4f}" for d, v in middle.items())
    claim = f"{name}, middle layer, last step: the smallest eigenvalue does not vanish with depth"
    return Verdict(claim, SOURCE, measured, "largest over smallest below 1.5", decide(ratio < 1.5))


def _over_steps(name: str, values: ndarray) -> Verdict:
    """Over all steps and samples: the factor lost with each full-batch step, in the first half of the layers."""
    layers = values[:, :, : values.shape[2] // 2].mean((0, 2))
    factors = layers[:-1] / layers[1:]
    measured = (
        "smallest eigenvalue falls by "
        + ", ".join(f"{f:.0f}x" for f in factors)
        + f" with each step, to {layers[-1]:.1e}"
    )
    claim = f"{name}, all samples of all steps: nondegenerate as steps are added"
    return Verdict(claim, SOURCE, measured, "falls by less than 2x a step", decide(bool((factors < 2).all())))


def _figure(found: dict[str, ndarray]) -> Figure:
    figure = Figure(figsize=(10, 4), layout="constrained")
    for axis, name in zip(figure.subplots(1, 2), ("features", "gradients"), strict=True):
        for step in range(STEPS + 1):
            axis.semilogy(
                np.maximum(found[name][:, step].mean(0), 1e-12), color=f"C{step}", lw=1.2, label=f"step {step}"
            )
            axis.semilogy(np.maximum(found[f"{name} over steps"][:, step].mean(0), 1e-12), "--", color=f"C{step}", lw=1)
        axis.set(xlabel="layer l", ylabel="smallest eigenvalue", title=name, ylim=(1e-8, None))
    axis.legend(frameon=False, fontsize=8)
    return figure


NONDEGENERACY = Experiment(
    "nondegeneracy",
    "Feature and gradient covariances stay nondegenerate over the samples of one step, but not over steps, and not at "
    "the readout.",
    SOURCE,
    0.5,
    1,
    run,
)
