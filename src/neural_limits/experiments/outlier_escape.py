"""Outliers of trained hidden weights: predicted, measured, and when they escape the bulk."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from numpy import ndarray

from ..networks import MLP, Parameters
from ..parametrizations import MuP
from ..spectra import (
    bulk_edge,
    edge_eigenvalue,
    escape_step,
    find_roots,
    independent_outliers,
    known_block,
    outliers,
    top_singular_values,
)
from ..tasks import toy
from ..training import SGD, Run, Watch, train
from ..weights import ConditionedMatrix, DenseMatrix, matrices
from ._cases import Case, case_a, case_b
from ._experiment import Experiment, Mean, Result, Say, Verdict, decide, mean_of, standard_errors

SOURCE = "arXiv 2605.07870; docs/theory.md"
WIDE, NARROW, DENSE_ESCAPE = 16_000, 1_024, 2_000
ESCAPE_LR, ESCAPE_STEPS = 0.03, tuple(range(16, 34))
ESCAPE_REFERENCE = {0: (23.9, 24.3), 1: (19.6, 20.1)}  # two independent codes, width 16,000
DETECTION_ALARM = 0.05  # a dense matrix is said to have an outlier above the 95 % Tracy-Widom level


def run(quick: bool, say: Say) -> Result:
    """Cases a and b, escape steps, overlaps, independent spikes, and untrained matrices."""
    seeds = 4 if quick else 12
    tables, verdict = [], []
    for case in (case_a(), case_b()):
        say(f"case {case.name}: {seeds} seeds at width {WIDE} conditioned, {NARROW} conditioned and dense")
        table = outlier_table(case, seeds)
        tables.append(table)
        verdict += _case_verdicts(case, table)
    say("escape steps: conditioned at width 16,000, dense at 2,000")
    escape = escape_table(4 if quick else 16, 2)
    verdict += _escape_verdicts(escape)
    draws = 40 if quick else 200
    say(f"untrained matrices: {draws} draws of each form")
    alarms = untrained_alarms(draws)
    verdict.append(
        Verdict(
            "an untrained matrix has no outlier",
            "Tracy-Widom threshold at 0.1 %",
            f"{alarms['conditioned']} conditioned and {alarms['dense']} dense of {draws} draws each",
            "none in either",
            decide(sum(alarms.values()) == 0),
        )
    )
    data = xr.merge([*tables, escape], join="outer", compat="no_conflicts")
    data.attrs.update({f"false_alarms_{k}": v for k, v in alarms.items()} | {"draws": draws})
    figures = {"outliers": _outlier_figure(data), "escape": _escape_figure(escape)}
    captions = {
        "outliers": "Outliers predicted at width 16,000 against those measured in dense networks; error bars are "
        "standard errors over seeds. Crosses: the same spikes taken as independent of the bulk (at the edge where "
        "that predicts none).",
        "escape": "λ_min F(edge) over training; its zero is the escape step. Dashed: the step at which a dense "
        "network of width 2,000 first shows a singular value above the 95 % Tracy-Widom level.",
    }
    return Result(data, verdict, figures, captions)


def outlier_table(case: Case, seeds: int) -> xr.Dataset:
    """Outliers and squared overlaps (case, seed, key) of wide and narrow conditioned and of dense networks.

    A key is (layer, step, mode). ``independent`` is the baseline for the wide network.
    """
    keys = list(case.reference)
    names = ("wide", "wide_limit", "independent", "narrow", "dense", "overlap_narrow", "overlap_dense")
    values = {name: np.full((seeds, len(keys)), np.nan) for name in names}
    for seed in range(seeds):
        wide, extra = _train(case, WIDE, "conditioned", seed)
        narrow, _ = _train(case, NARROW, "conditioned", 500 + seed)
        dense, _ = _train(case, NARROW, "dense", 1000 + seed)
        for i, (layer, step, mode) in enumerate(keys):
            pick = {"layer": layer, "record": step}
            for name, run in (("wide", wide), ("narrow", narrow), ("dense", dense)):
                values[name][seed, i] = _at(run.data.singular_value.sel(pick).values, mode)
            values["wide_limit"][seed, i], values["independent"][seed, i] = extra[layer, step][mode]
            for name, run in (("overlap_narrow", narrow), ("overlap_dense", dense)):
                values[name][seed, i] = _at(run.data.overlap_left.sel(pick).values, mode)
    labels = [f"layer {l}, step {k}, mode {m}" for l, k, m in keys]
    data = xr.Dataset({name: (("seed", f"key_{case.name}"), v) for name, v in values.items()})
    data = data.rename({name: f"{name}_{case.name}" for name in names})
    return data.assign_coords({f"key_{case.name}": labels})


def escape_table(wide_seeds: int, dense_seeds: int) -> xr.Dataset:
    """λ_min F(edge) over steps, escape steps per seed and layer, and the dense networks' detection steps."""
    eigenvalues = np.array([_edge_eigenvalues(seed) for seed in range(wide_seeds)])
    steps = np.array(ESCAPE_STEPS)
    crossing = np.array([[escape_step(steps, e[:, layer]) for layer in (0, 1)] for e in eigenvalues])
    detection = np.array([_detection(100 + seed) for seed in range(dense_seeds)])
    data = xr.Dataset(coords={"escape_at": steps, "escape_layer": [0, 1]})
    data["edge_eigenvalue"] = (("escape_seed", "escape_at", "escape_layer"), eigenvalues)
    data["escape_step"] = (("escape_seed", "escape_layer"), crossing)
    data["detection_step"] = (("detection_seed", "escape_layer"), detection)
    return data


def untrained_alarms(draws: int) -> dict[str, int]:
    """Outliers reported for matrices that nothing was learned by: looked at adaptively, or drawn in full."""
    widths = (64, 256, 1024, 4096)
    alarms = {"conditioned": 0, "dense": 0}
    for i in range(draws):
        width = widths[i % len(widths)]
        weight = ConditionedMatrix.create(jax.random.key(i), width, width, std=width**-0.5)
        vectors = jax.random.normal(jax.random.key(10_000 + i), (4, width))
        for _ in range(3):  # feed each product back, as training does
            vectors, _, weight = weight.matvec(jnp.tanh(vectors))
            vectors, _, weight = weight.rmatvec(vectors)
        alarms["conditioned"] += outliers(weight).count
        size = min(width, 1024)
        alarms["dense"] += outliers(DenseMatrix.create(jax.random.key(20_000 + i), size, size, std=size**-0.5)).count
    return alarms


def _train(case: Case, width: int, weights: str, seed: int) -> tuple[Run, dict[tuple[int, int], ndarray]]:
    """One run, and for conditioned weights the limit-form and independent predictions at each record."""
    extra: dict[tuple[int, int], ndarray] = {}

    def watch(step: int, parameters: Parameters) -> None:
        for layer, weight in enumerate(matrices(parameters.hidden)):
            if isinstance(weight, ConditionedMatrix):
                limit = find_roots(known_block(weight, bulk="limit"), bulk_edge(weight)[1]).values
                extra[layer, step] = np.array([[_at(limit, m), _at(independent_outliers(weight), m)] for m in (0, 1)])

    run = train(
        case.network, case.task, case.parametrization, case.optimizer, width=width, steps=case.record[-1],
        weights=weights, seed=seed, record=case.record, watch=watch,
    )  # fmt: skip
    return run, extra


def _escape_run(width: int, weights: str, seed: int, watch: Watch) -> None:
    train(
        MLP(2, "tanh"), toy(4, 8, 1, 7), MuP(gamma=4.0), SGD(lr=ESCAPE_LR), width=width, weights=weights, seed=seed,
        steps=ESCAPE_STEPS[-1], watch=watch, watch_steps=ESCAPE_STEPS,
    )  # fmt: skip


def _edge_eigenvalues(seed: int) -> ndarray:
    """λ_min F(edge) at the escape steps (step, layer), in a wide conditioned network."""
    found: list[list[float]] = []

    def watch(step: int, parameters: Parameters) -> None:
        found.append([edge_eigenvalue(weight) for weight in matrices(parameters.hidden)])  # type: ignore[arg-type]

    _escape_run(WIDE, "conditioned", seed, watch)
    return np.array(found)


def _detection(seed: int) -> list[float]:
    """First step at which each layer's top singular value passes the Tracy-Widom level, in a dense network."""
    found = [float("nan"), float("nan")]

    def watch(step: int, parameters: Parameters) -> None:
        for layer, weight in enumerate(matrices(parameters.hidden)):
            assert isinstance(weight, DenseMatrix)
            level = bulk_edge(weight, DETECTION_ALARM)[1]
            if np.isnan(found[layer]) and top_singular_values(np.asarray(weight.value), 1)[0] > level:
                found[layer] = step

    _escape_run(DENSE_ESCAPE, "dense", seed, watch)
    return found


def _at(values: ndarray, mode: int) -> float:
    return float(values[mode]) if len(values) > mode else float("nan")


def _case_verdicts(case: Case, table: xr.Dataset) -> list[Verdict]:
    """Against the reference code, against dense networks of the same width, and the independent spikes."""
    get = lambda name: table[f"{name}_{case.name}"].values  # noqa: E731
    rows = []
    for i, (key, reference) in enumerate(case.reference.items()):
        what = "case {}, layer {}, step {}, mode {}".format(case.name, *key)
        wide, narrow, dense = (mean_of(get(name)[:, i]) for name in ("wide", "narrow", "dense"))
        limit = mean_of(get("wide_limit")[:, i])
        z = standard_errors(limit, reference)
        measured = f"{wide} (limit form {limit}) against {reference}: {z:.1f} standard errors"
        rows.append(
            Verdict(
                f"{what}: outlier at width {WIDE}",
                "reference code",
                measured,
                "limit form below 3",
                decide(z < 3),
            )
        )
        z = standard_errors(narrow, dense)
        measured = f"{narrow} predicted, {dense} measured: {z:.1f} standard errors"
        rows.append(
            Verdict(f"{what}: predicted = measured at width {NARROW}", SOURCE, measured, "below 3", decide(z < 3))
        )
        overlaps = mean_of(get("overlap_narrow")[:, i]), mean_of(get("overlap_dense")[:, i])
        z = standard_errors(*overlaps)
        measured = f"{overlaps[0]} predicted, {overlaps[1]} measured: {z:.1f} standard errors"
        rows.append(
            Verdict(
                f"{what}: squared left overlap with the learned part",
                SOURCE,
                measured,
                "below 3",
                decide(z < 3),
            )
        )
        independent = get("independent")[:, i]
        missed = int(np.isnan(independent).sum())
        off = abs(np.nanmean(independent) - wide.value) / wide.value if missed < len(independent) else 1.0
        measured = (
            f"{Mean(np.nanmean(independent), 0.0)} against {wide}" if off < 1 else f"no outlier in {missed} of {missed}"
        )
        rows.append(
            Verdict(
                f"{what}: independent spikes (BBP) predict it",
                "textbook baseline",
                measured,
                "within 1 %",
                decide(off < 0.01),
            )
        )
    return rows


def _escape_verdicts(table: xr.Dataset) -> list[Verdict]:
    rows = []
    for layer, (low, high) in ESCAPE_REFERENCE.items():
        escape = mean_of(table.escape_step.values[:, layer])
        detection = mean_of(table.detection_step.values[:, layer])
        beyond = max(low - escape.value, escape.value - high, 0.0) / escape.error
        rows.append(
            Verdict(
                f"layer {layer}: escape step",
                "reference codes",
                f"{escape} against {low} to {high}",
                "within 3 standard errors of the range",
                decide(beyond < 3),
            )
        )
        rows.append(
            Verdict(
                f"layer {layer}: the top singular value of a dense network shows the escape late",
                SOURCE,
                f"first above the 95 % level at step {detection} (width {DENSE_ESCAPE})",
                "later than the escape step",
                decide(detection.value > escape.value),
            )
        )
    return rows


def _outlier_figure(data: xr.Dataset) -> Figure:
    figure = Figure(figsize=(8, 4), layout="constrained")
    for axis, name in zip(figure.subplots(1, 2), "ab", strict=True):
        keys = data[f"key_{name}"].values
        for form, style in (("wide", "o"), ("narrow", "s"), ("dense", "D")):
            means = [mean_of(column) for column in data[f"{form}_{name}"].values.T]
            label = {
                "wide": f"predicted, n = {WIDE}",
                "narrow": f"predicted, n = {NARROW}",
                "dense": f"dense, n = {NARROW}",
            }
            shift = {"wide": -0.15, "narrow": 0.0, "dense": 0.15}[form]
            axis.errorbar(
                np.arange(len(keys)) + shift, [m.value for m in means], [m.error for m in means],
                fmt=style, ms=5, mfc="none" if form == "dense" else None, capsize=2, label=label[form],
            )  # fmt: skip
        baseline = np.nan_to_num(
            np.array([np.nanmean(c) if np.isfinite(c).any() else 2.0 for c in data[f"independent_{name}"].values.T]),
            nan=2.0,
        )
        axis.plot(np.arange(len(keys)), baseline, "x", color="0.4", label="independent spikes")
        axis.axhline(2.0, ls="--", color="0.5", lw=1)
        axis.text(len(keys) - 0.9, 2.0, "edge", ha="right", va="bottom", color="0.4")
        axis.set_xticks(np.arange(len(keys)), [str(k).replace(", ", "\n") for k in keys], fontsize=8)
        axis.set_title(f"case {name}")
        axis.set_ylabel("outlier singular value σ")
    figure.axes[0].legend(frameon=False, fontsize=8)
    return figure


def _escape_figure(table: xr.Dataset) -> Figure:
    figure = Figure(figsize=(6, 4), layout="constrained")
    axis = figure.subplots()
    steps = table.escape_at.values
    for layer, colour in ((0, "C0"), (1, "C1")):
        curves = table.edge_eigenvalue.values[:, :, layer]
        axis.plot(steps, curves.T, color=colour, lw=0.6, alpha=0.4)
        axis.plot(steps, curves.mean(0), color=colour, lw=2, label=f"layer {layer}")
        axis.axvline(table.detection_step.values[:, layer].mean(), color=colour, ls="--", lw=1)
    axis.axhline(0, color="0.5", lw=0.8)
    axis.set_xlabel("updates made")
    axis.set_ylabel("λ_min F(σ_edge)")
    axis.legend(frameon=False)
    return figure


OUTLIER_ESCAPE = Experiment(
    "outlier-escape",
    "The outliers of trained hidden weights, and when they escape the bulk, follow from what training has touched.",
    SOURCE,
    3,
    12,
    run,
)
