"""Conditioned against dense networks at small width: the same law, observable by observable."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array
from matplotlib.figure import Figure
from numpy import ndarray
from scipy.stats import ks_2samp

from ..networks import MLP, Parameters
from ..parametrizations import MuP, Rules
from ..spectra import top_singular_values
from ..tasks import toy
from ..training import SGD, member, train_ensemble
from ..weights import ConditionedMatrix
from ._experiment import Experiment, Mean, Result, Say, Verdict, decide, mean_of

SOURCE = "Bolthausen's conditioning; docs/theory.md"
NETWORK, SCHEME, OPTIMIZER = MLP(2, "tanh"), MuP(gamma=4.0), SGD(lr=0.3)
OUTPUTS, SAMPLES, STEPS = 16, 8, 3
INITIAL_OUTPUTS = 256  # for the variance at the start alone, which many independent readouts resolve cheaply
TOLERANCE = 1e-3
# Seeds such that a 1 % shift of a mean would stand out: fluctuations shrink as 1/√n, so narrow networks need more.
SEEDS = {64: 12_000, 256: 3_200, 1024: 728}
SPECTRA = {64: 3000, 256: 300, 1024: 60}  # of these, matrices completed for their top singular value
CHUNK = {64: 1_000, 256: 200, 1024: 26}
# Two-sample checks at this level each; with some 60 of them a false alarm somewhere has probability 6 %.
LEVEL = 1e-3


def run(quick: bool, say: Say) -> Result:
    """Loss, outputs, feature kernel and top singular values of both forms at three widths."""
    rows, samples = [], {}
    for width in (64, 256) if quick else (64, 256, 1024):
        seeds = SEEDS[width] // (8 if quick else 1)
        spectra = max(20, SPECTRA[width] // (8 if quick else 1))
        say(f"width {width}: {seeds} seeds of each form, {spectra} spectra")
        both = {form: observables(form, width, seeds, spectra) for form in ("conditioned", "dense")}
        for name in both["dense"]:
            samples[width, name] = (both["conditioned"][name], both["dense"][name])
            rows.append(compare(width, name, *samples[width, name]))
    data = xr.Dataset.from_dataframe(_frame(rows))
    verdict = [_verdict(row) for row in rows]
    figures = {"law": _figure(rows)}
    captions = {
        "law": "Difference of conditioned and dense means, in per cent of the dense mean, with two standard errors. "
        "The band is 1 %."
    }
    return Result(data, verdict, figures, captions)


def observables(form: str, width: int, seeds: int, spectra: int) -> dict[str, ndarray]:
    """Samples over seeds of each observable, from independent seeds for the two forms."""
    task = toy(samples=SAMPLES, inputs=8, outputs=OUTPUTS, seed=7)
    first = 0 if form == "conditioned" else 1_000_000
    parts: dict[str, list[ndarray]] = {}
    for seed_list in _chunks(first, seeds, CHUNK[width]):
        data, parameters = train_ensemble(
            NETWORK, task, SCHEME, OPTIMIZER,
            width=width, steps=STEPS, seeds=seed_list, weights=form, tolerance=TOLERANCE,
        )  # fmt: skip
        outputs = data.outputs.values
        kernel = np.asarray(
            feature_kernel(parameters, jnp.asarray(task.x, outputs.dtype), SCHEME.rules(width, 8), NETWORK)
        )
        now = {
            "loss, step 1": data.loss.values[:, 1],
            f"loss, step {STEPS}": data.loss.values[:, STEPS],
            "output variance, step 0": _initial_variance(form, width, seed_list),
            f"output mean square, step {STEPS}": (outputs[:, STEPS] ** 2).mean((1, 2)),
            f"feature kernel, diagonal, step {STEPS}": kernel[:, range(SAMPLES), range(SAMPLES)].mean(1),
            f"feature kernel, mean square, step {STEPS}": (kernel**2).mean((1, 2)),
        }
        done = sum(len(v) for v in parts.get("top singular value, layer 1", []))
        tops = _tops(parameters, form, min(len(seed_list), max(0, spectra - done)))
        for layer in range(2):
            now[f"top singular value, layer {layer}"] = tops[:, layer]
        for name, value in now.items():
            parts.setdefault(name, []).append(value.astype(float))
    return {name: np.concatenate(value) for name, value in parts.items()}


def _initial_variance(form: str, width: int, seeds: list[int]) -> ndarray:
    """Mean square of the untrained outputs, which have mean zero, over samples and many outputs."""
    task = toy(samples=SAMPLES, inputs=8, outputs=INITIAL_OUTPUTS, seed=7)
    data, _ = train_ensemble(
        NETWORK, task, SCHEME, width=width, steps=0, seeds=seeds, weights=form, tolerance=TOLERANCE
    )
    return (data.outputs.values[:, 0] ** 2).mean((1, 2))


@partial(jax.jit, static_argnames="network")
def feature_kernel(parameters: Parameters, x: Array, rules: Rules, network: MLP) -> Array:
    """⟨φ(h_last) φ(h_last)⟩ per neuron, (seed, sample, sample)."""

    def one(parameters: Parameters) -> Array:
        _, trace, _ = network.forward(parameters, x, rules)  # looks along directions already known
        return trace.last @ trace.last.T / trace.last.shape[1]

    return jax.vmap(one)(parameters)


def compare(width: int, name: str, conditioned: ndarray, dense: ndarray) -> dict[str, Any]:
    """Means, their difference in per cent with its error, and the two-sample Kolmogorov-Smirnov level."""
    a, b = mean_of(conditioned), mean_of(dense)
    error = float(np.hypot(a.error, b.error))
    return {
        "width": width, "observable": name, "conditioned": a.value, "conditioned_error": a.error, "dense": b.value,
        "dense_error": b.error, "difference_percent": 100 * (a.value - b.value) / b.value,
        "error_percent": 100 * error / b.value, "z": (a.value - b.value) / error,
        "ks_level": float(ks_2samp(conditioned, dense).pvalue),
    }  # fmt: skip


def _tops(parameters: Parameters, form: str, count: int) -> ndarray:
    """Top singular value of each hidden weight (seed, layer), conditioned ones completed to full matrices."""
    tops = np.full((count, len(parameters.hidden)), np.nan)
    for i in range(count):
        for layer, weight in enumerate(member(parameters, i).hidden):
            if isinstance(weight, ConditionedMatrix):
                matrix = np.asarray(_complete(weight, jax.random.fold_in(jax.random.key(99), 2 * i + layer)))
            else:
                matrix = np.asarray(weight.value)  # type: ignore[union-attr]
            tops[i, layer] = top_singular_values(matrix, 1)[0]
    return tops


@jax.jit
def _complete(weight: ConditionedMatrix, key: Array) -> Array:
    return weight.to_dense(key)


def _chunks(first: int, seeds: int, size: int) -> Iterator[list[int]]:
    for start in range(0, seeds, size):
        yield list(range(first + start, first + min(start + size, seeds)))


def _frame(rows: list[dict[str, Any]]) -> Any:
    import pandas as pd

    return pd.DataFrame(rows).set_index(["width", "observable"])


def _verdict(row: dict[str, Any]) -> Verdict:
    pair = Mean(row["conditioned"], row["conditioned_error"]), Mean(row["dense"], row["dense_error"])
    same = abs(row["z"]) < 4 and row["ks_level"] > LEVEL / 10
    seen = row["error_percent"] < 0.4  # then 1 % would stand out by 2.5 standard errors
    return Verdict(
        f"width {row['width']}: {row['observable']} has the same law",
        SOURCE,
        f"{pair[0]} conditioned, {pair[1]} dense; difference {row['difference_percent']:+.2f} ± "
        f"{row['error_percent']:.2f} %, KS level {row['ks_level']:.2g}",
        f"below 4 standard errors, KS level above {LEVEL / 10:g}, error below 0.4 %",
        decide(same, resolved=not same or seen),
    )


def _figure(rows: list[dict[str, Any]]) -> Figure:
    figure = Figure(figsize=(8, 0.28 * len(rows) + 1.2), layout="constrained")
    axis = figure.subplots()
    place = np.arange(len(rows))[::-1]
    axis.axvspan(-1, 1, color="0.93")
    axis.axvline(0, color="0.5", lw=0.8)
    errors = [2 * row["error_percent"] for row in rows]
    axis.errorbar([row["difference_percent"] for row in rows], place, xerr=errors, fmt="o", ms=4, capsize=2)
    axis.set_yticks(place, [f"{row['observable']}, n = {row['width']}" for row in rows], fontsize=8)
    axis.set_xlabel("conditioned − dense (%)")
    return figure


EXACTNESS_IN_LAW = Experiment(
    "exactness-in-law",
    "A network on conditioned weights has exactly the law of an ordinary dense network of the same width.",
    SOURCE,
    2,
    15,
    run,
)
