"""Deep linear networks: the proportional limit against networks of finite size, and what moves their outliers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray

from ..limits.proportional import DeepLinear, Setting
from ._experiment import Experiment, Mean, Result, Say, Verdict, decide, mean_of
from ._proportional import (
    BASE,
    RECORD,
    SOURCE,
    Size,
    agreement,
    changed,
    first_or_nan,
    networks,
    pooled_spread,
    theory,
    top_values,
)
from ._proportional_figures import dataset, scan_figure, size_figure
from ._slopes import slope_over, slope_verdict

GAMMAS, SIGMAS = (0.5, 1.0, 2.0, 4.0), (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
WIDTHS = (0.25, 1.0, 4.0, 16.0)


def run(quick: bool, say: Say) -> Result:
    """Sizes, output scale and initial variance, rectangular weights, escape steps."""
    sizes = [Size("dense", 250, 12), Size("dense", 500, 12), Size("dense", 1000, 12), Size("conditioned", 20_000, 6)]
    sizes = [*sizes[:2], Size("conditioned", 5_000, 6)] if quick else [*sizes, Size("conditioned", 100_000, 3)]
    limit = theory(BASE)
    found, verdict = {}, []
    for size in sizes:
        say(f"{size}: {size.seeds} networks, 60 steps")
        runs = networks(BASE, size.inputs, size.weights, size.seeds, RECORD, record_ntk=True)
        found[size] = {
            "outlier": top_values(runs),
            "train": np.array([r.data.train_loss.values for r in runs]),
            "ntk": np.array([r.data.ntk_top.values for r in runs]),
        }
    verdict += _size_verdicts(found, limit)
    verdict.append(_scatter(found))
    inputs, seeds = (4_000, 3) if quick else (20_000, 4)
    say(f"output scale and initial variance: conditioned, D = {inputs:,}")
    scans = {name: _scan(name, values, inputs, seeds) for name, values in (("gamma", GAMMAS), ("sigma_w", SIGMAS))}
    verdict += [row for scan in scans.values() for row in scan["verdict"]]
    say("rectangular weights: dense")
    verdict += _rectangular(300 if quick else 600)
    say("escape steps")
    escapes = _escapes(1_000 if quick else 5_000, WIDTHS[:3] if quick else WIDTHS, 2 if quick else 4)
    verdict += escapes["verdict"]
    figures = {"sizes": size_figure(limit, found), "outliers": scan_figure(scans, escapes)}
    captions = {
        "sizes": "Train loss, outliers of W⁰ and W¹ (bulk edge dashed) and leading NTK mode over training: the limit "
        "(lines), dense and conditioned networks (points, standard deviation over seeds).",
        "outliers": "Outliers after 60 steps against output scale and initial standard deviation, and the step at "
        "which W¹ shows one, against width: the limit (lines) and conditioned networks (points).",
    }
    return Result(dataset(limit, found, scans, escapes), verdict, figures, captions)


# -- sizes -------------------------------------------------------------------------------------------------------


def _size_verdicts(found: dict[Size, dict[str, ndarray]], limit: DeepLinear) -> list[Verdict]:
    """Means against the limit, in standard errors from the scatter × √D that all sizes share."""
    series = {
        f"outlier of W{layer} after {step} steps": (
            float(limit.outliers(step)[layer].above[0]),
            {size: f["outlier"][:, RECORD.index(step), layer] for size, f in found.items()},
        )
        for layer in (0, 1)
        for step in (20, 60)
    }
    series["train loss at step 59"] = (
        float(limit.data.train_loss[59]), {size: f["train"][:, 59] for size, f in found.items()}
    )  # fmt: skip
    series["leading NTK mode after 60 steps"] = limit.ntk_top(60), {size: f["ntk"][:, -1] for size, f in found.items()}
    rows = []
    for name, (predicted, values) in series.items():
        spread, freedom = pooled_spread([v * size.inputs**0.5 for size, v in values.items()])
        for size, v in values.items():
            mean = Mean(float(v.mean()), spread / (size.inputs * len(v)) ** 0.5)
            rows.append(agreement(f"{size}: {name}", predicted, mean, freedom))
    return rows


def _scatter(found: dict[Size, dict[str, ndarray]]) -> Verdict:
    """Networks scatter about the limit as 1/√D."""
    sizes = [size for size in found if size.seeds >= 6]  # the scatter of fewer is known too poorly
    values = [found[size]["outlier"][:, -1, 0] for size in sizes]
    slope = slope_over([s.inputs for s in sizes], values, lambda all_: np.array([s.std(ddof=1) for s in all_]))
    ends = f" ({values[0].std(ddof=1):.5f} to {values[-1].std(ddof=1):.5f})"
    row = slope_verdict("the outlier of W0 scatters over networks as D^-1/2", SOURCE, slope, -0.5)
    return row._replace(measured=row.measured + ends)


# -- output scale and initial variance -----------------------------------------------------------------------------


def _scan(name: str, values: tuple[float, ...], inputs: int, seeds: int) -> dict[str, Any]:
    """Outliers after 60 steps at rate 0.04 over one argument: the limit, and conditioned networks."""
    predicted, measured, ended, messages = [], [], [], []
    for value in values:
        setting = changed(lr=0.04, **{name: value})
        limit, runs = theory(setting), networks(setting, inputs, "conditioned", seeds, (60,))
        gone = limit.status == "diverged"
        above = [] if gone else [w.above for w in limit.outliers(60)]
        predicted.append([np.nan, np.nan] if gone else [first_or_nan(a) for a in above])
        measured.append(np.full((seeds, 2), np.nan) if gone else top_values(runs)[:, 0])
        ended.append([run.status for run in runs])
        messages.append(limit.message)
    found = {"values": values, "predicted": np.array(predicted), "measured": np.array(measured)}
    return {**found, "verdict": _scan_verdicts(name, inputs, found, ended, messages)}


def _scan_verdicts(
    name: str, inputs: int, found: dict[str, Any], ended: list[list[str]], messages: list[str]
) -> list[Verdict]:
    """One row a value; the scatter over networks is pooled over the values."""
    known = [[m[:, layer] for m in found["measured"] if np.isfinite(m[:, layer]).all()] for layer in (0, 1)]
    spread = np.array([pooled_spread(k)[0] if k else np.nan for k in known])
    rows = []
    each = zip(found["values"], found["predicted"], found["measured"], ended, messages, strict=True)
    for value, predicted, measured, statuses, message in each:
        claim = f"{name} {value:g}: outliers of W0 and W1 (conditioned, D = {inputs:,})"
        if message:
            text = f"limit: {message} networks: {', '.join(statuses)}"
            rows.append(Verdict(claim, SOURCE, text, "both diverge", decide(set(statuses) == {"diverged"})))
        else:
            rows.append(_counts_and_values(claim, list(predicted), measured, spread))
    return rows


def _counts_and_values(claim: str, predicted: list[float], measured: ndarray, spread: ndarray) -> Verdict:
    """The same layers have outliers, at values within three standard errors; ``spread`` over networks, per layer."""
    text, apart, same = [], [0.0], True
    for layer, limit in enumerate(predicted):
        values = measured[:, layer]
        if np.isnan(limit) or np.isnan(values).any():
            same = same and bool(np.isnan(limit)) and bool(np.isnan(values).all())
            text.append(f"W{layer} {np.isfinite(values).sum()} of {len(values)} networks have one, limit {limit:.4f}")
            continue
        mean = Mean(float(values.mean()), float(spread[layer]) / len(values) ** 0.5)
        apart.append(abs(mean.value - limit) / mean.error)
        text.append(f"W{layer} {mean} against {limit:.5f}")
    measured_text = "; ".join(text).replace("limit nan", "limit none")
    return Verdict(
        claim, SOURCE, measured_text, "same layers, values within 3 standard errors", decide(same and max(apart) < 3)
    )


# -- rectangular weights -------------------------------------------------------------------------------------------


def _rectangular(inputs: int) -> list[Verdict]:
    """Outliers above the bulk of wide weights, and one below it; dense networks."""
    wide = changed(width_ratio=4.0, sigma_w=(0.5, 0.7, 0.6), lr=0.08, steps=40)
    runs = networks(wide, inputs, "dense", 6, (40,))
    rows = [
        agreement(f"dense, D = {inputs}, N/D = 4: outlier of W{layer}", float(found.above[0]), mean_of(values), 5)
        for layer, (found, values) in enumerate(zip(theory(wide).outliers(40), top_values(runs)[:, 0].T, strict=True))
    ]
    low = Setting(depth=1, width_ratio=8.0, sample_ratio=1.0, lr=0.28, gamma=1.0, sigma_w=(0.8, 1.5), steps=30)
    found = theory(low).outliers(30)[0]
    smallest = [r.below_bulk(0) for r in networks(low, inputs // 2, "dense", 6, ())]
    claim = f"dense, D = {inputs // 2}, N/D = 8: one singular value below the bulk"
    if {len(s) for s in smallest} != {1}:
        return [*rows, Verdict(claim, SOURCE, f"counts {[len(s) for s in smallest]}", "one each", decide(False))]
    return [*rows, agreement(claim, float(found.below[0]), mean_of(np.array([s[0] for s in smallest])), 5)]


# -- escape --------------------------------------------------------------------------------------------------------


def _escapes(inputs: int, widths: tuple[float, ...], seeds: int) -> dict[str, Any]:
    """The first step with an outlier of W¹ in the limit, and above the Tracy-Widom level in networks."""
    rows, escape, expected, detected = [], [], [], []
    for scheme in ("mup", "ntk"):
        for nu in widths:
            setting = changed(width_ratio=nu, lr=0.04, parametrization=scheme, steps=100)
            limit = theory(setting)
            first = int(limit.escape_step(1))
            record = tuple(range(max(1, first - 4), min(first + 16, 100) + 1))
            runs = networks(changed(**{**vars(setting), "steps": record[-1]}), inputs, "conditioned", seeds, record)
            level = float(runs[0].data.threshold[1])
            predicted = next(k for k in record if (above := limit.outliers(k)[1].above).size and above[0] > level)
            steps = np.array([_first(record, values) for values in top_values(runs)[:, :, 1]])
            rows.append(_escape_verdict(f"{scheme}, N/D = {nu:g}", first, predicted, mean_of(steps), inputs))
            escape.append(first)
            expected.append(predicted)
            detected.append(steps)
    shape = (2, len(widths))
    return {
        "widths": widths, "escape": np.reshape(escape, shape), "expected": np.reshape(expected, shape),
        "detected": np.reshape(detected, (*shape, seeds)), "verdict": rows,
    }  # fmt: skip


def _first(record: tuple[int, ...], values: ndarray) -> float:
    seen = np.flatnonzero(np.isfinite(values))
    return float(record[seen[0]]) if len(seen) else np.nan


def _escape_verdict(which: str, first: int, predicted: int, detected: Mean, inputs: int) -> Verdict:
    apart = abs(detected.value - predicted)
    return Verdict(
        f"{which}: W1 escapes its bulk after {first} steps", SOURCE,
        f"networks of D = {inputs:,} show it above the Tracy-Widom level after {detected}, limit {predicted}",
        "within 1 step or 3 standard errors", decide(bool(apart <= max(1.0, 3 * detected.error))),
    )  # fmt: skip


PROPORTIONAL_LIMIT = Experiment(
    "proportional-limit",
    "Losses, weight outliers and the leading NTK mode of deep linear networks follow the proportional limit, over "
    "output scale, initial variance and width.",
    SOURCE,
    3,
    12,
    run,
)
