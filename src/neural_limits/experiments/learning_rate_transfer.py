"""Learning-rate transfer: whether the best rate stays where it is as a network widens, in theory and in networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from ._experiment import Context, Experiment, Result, Say, Verdict, decide, mean_of
from ._rate_figures import ladder_figure, theory_figure
from ._rate_ladders import BASE, GAMMA, PARAMETRIZATIONS, QUICK, STEPS, WIDTHS, Rung, ladder, rate
from ._rate_optima import rate_slope, transfer_verdict
from ._rate_theory import CASES, LOG_RATES, RATIOS, Networks, Optimum, losses, networks, optimum

SOURCE = "arXiv 2605.07870"
SHIFT = 1.1  # largest best rate over the smallest, up to which rates transfer
SLOPE = 0.1  # |slope| of the best rate in width up to which rates transfer
EDGE = 0.1  # relative: how far best rate times sharpness may be from 2
AGREES = 0.05  # relative, networks of finite size against the limit
PLAIN, STARTED, SCALED = "muP, σ = 1, γ = 1", "muP, σ = 1, γ = 1, readout from zero", "muP, σ = 1, γ = 4"


def run(quick: bool, context: Context) -> Result:
    """Nonlinear networks over widths, then the proportional limit and linear networks beside it."""
    widths = QUICK if quick else WIDTHS
    ladders = {(a, p): ladder(a, p, widths, context) for a in ("tanh", "relu") for p in PARAMETRIZATIONS}
    optima = {}
    for name, case in CASES.items():
        context(f"deep linear, {name}: best rates at ν = {RATIOS[0]:g} to {RATIOS[-1]:g}")
        optima[name] = [optimum(case, ratio) for ratio in RATIOS]
    measured = _networks(quick, optima, context)
    curves = {name: np.stack([losses(CASES[name], ratio, LOG_RATES) for ratio in RATIOS]) for name in CASES}
    verdict = [*_theory_verdicts(optima), *_network_verdicts(measured, optima)]
    for activation in ("tanh", "relu"):
        verdict += _ladder_verdicts(activation, {p: ladders[activation, p] for p in PARAMETRIZATIONS})
    figures = {"theory": theory_figure(curves, optima, measured), "widths": ladder_figure(ladders)}
    captions = {
        "theory": "Deep linear networks, two hidden layers: train loss after 49 steps against the rate in the "
        "proportional limit (lines; triangles: best rates) and of networks with 400 inputs (dots: geometric mean).",
        "widths": f"Two classes of digits: training loss after {STEPS} steps against the rate, one line a width "
        "(geometric mean over seeds), and the best rate against width; dotted: the largest rate that trains. "
        "The trials are the sweeps in sweeps/ of this folder.",
    }
    return Result(_dataset(curves, optima, measured, ladders), verdict, figures, captions)


Measured = dict[tuple[str, float], Networks]
Ladders = dict[tuple[str, str], list[Rung]]


def _networks(quick: bool, optima: dict[str, list[Optimum]], say: Say) -> Measured:
    """Networks of finite size at some width ratios."""
    found = {}
    for name in ("muP", "NTK"):
        for ratio in (1.0, 4.0) if quick else (0.25, 1.0, 4.0, 16.0):
            say(f"deep linear networks, {name}: ν = {ratio:g}")
            near = optima[name][RATIOS.index(ratio)].best.rate
            found[name, ratio] = networks(CASES[name], ratio, near, 200 if quick else 400, 3 if quick else 6)
    return found


# -- verdicts ------------------------------------------------------------------------------------------------------


def _theory_verdicts(optima: dict[str, list[Optimum]]) -> list[Verdict]:
    rows = [
        _shift_verdict("deep linear, muP, σ = 0.5, γ = 2: the best rate transfers over width", optima["muP"]),
        _shift_verdict("deep linear, NTK: the best rate moves with width", optima["NTK"], moves=True),
        _shift_verdict("deep linear, muP, σ = 1, γ = 1: the best rate transfers over width", optima[PLAIN]),
        _shift_verdict(
            "deep linear, muP, σ = 1, γ = 1, no variance of f before training (readout from zero): transfers",
            optima[STARTED],
        ),
        _shift_verdict("deep linear, muP, σ = 1, γ = 4 (learning outgrows the start): transfers", optima[SCALED]),
    ]
    edges = {name: [o.edge for o in found] for name, found in optima.items()}
    every = np.concatenate(list(edges.values()))
    measured = f"best rate × λ_max = {every.min():.3f} to {every.max():.3f} over {len(every)} settings"
    holds = bool(np.all(np.abs(every / 2 - 1) < EDGE))
    claim = "deep linear: the best rate is the edge of stability of the kernel that training ends with"
    rows.append(Verdict(claim, SOURCE, measured, f"2 within {EDGE:.0%}", decide(holds)))
    return rows


def _shift_verdict(claim: str, found: Sequence[Optimum], moves: bool = False) -> Verdict:
    """Of the best rates from ν = 1 on; at ν < 1 the network is narrower than its input."""
    rates = np.array([o.best.rate for o in found])
    shift = _shift(rates[1:])
    best = ", ".join(f"{r:.4f}" for r in rates)
    others = [f"{o.other.rate:.3g} (ν = {nu:g})" for o, nu in zip(found, RATIOS, strict=True) if o.other is not None]
    measured = f"best rates {best} at ν = {', '.join(f'{nu:g}' for nu in RATIOS)}: shift {shift:.2f} over ν = 1 to 64"
    measured += f"; further local minima at {', '.join(others)}" if others else ""
    if moves:
        return Verdict(claim, SOURCE, measured, "shift above 2", decide(shift > 2))
    return Verdict(claim, SOURCE, measured, f"shift below {SHIFT:g}", decide(shift < SHIFT))


def _shift(rates: Sequence[float] | np.ndarray) -> float:
    return float(np.max(rates) / np.min(rates))


def _network_verdicts(measured: Measured, optima: dict[str, list[Optimum]]) -> list[Verdict]:
    """Best rates of networks against the limit's."""
    rows = []
    for name in ("muP", "NTK"):
        texts, gaps, errors = [], [], []
        for ratio in (r for n, r in measured if n == name):
            expected = optima[name][RATIOS.index(ratio)].best.rate
            mean = mean_of(2.0 ** measured[name, ratio].optima / expected)
            texts.append(f"{mean} (ν = {ratio:g})")
            gaps.append(abs(mean.value - 1))
            errors.append(mean.error)
        claim = f"deep linear, {name}: networks of finite size have the limit's best rate"
        resolved = bool(np.all(np.array(errors) < AGREES / 2))
        verdict = decide(bool(np.all(np.array(gaps) < AGREES)), resolved)
        rows.append(Verdict(claim, SOURCE, "ratios " + ", ".join(texts), f"1 within {AGREES:.0%}", verdict))
    return rows


def _ladder_verdicts(activation: str, found: dict[str, list[Rung]]) -> list[Verdict]:
    """muP transfers, NTK does not; both with the shift over all widths."""
    rows = []
    for name, rungs in found.items():
        widths, optima = [r.width for r in rungs], [r.optima for r in rungs]
        edges = [r.width for r in rungs if _at_end(r)]
        middle = len(rungs) // 2
        halves = ", ".join(str(rate_slope(widths[s], optima[s])) for s in (slice(middle + 1), slice(middle, None)))
        stable = ", ".join(f"{r.stable:.3g}" for r in rungs if np.isfinite(r.stable))
        more = (
            f" ({halves} up to and from {widths[middle]}); shift {_shift([2 ** o.mean() for o in optima]):.2f}; "
            f"largest rates that train: {stable}"
        )
        moves = name == "NTK"
        claim = f"{activation} on digits, {name}: the best rate {'moves with' if moves else 'transfers over'} width"
        rows.append(transfer_verdict(claim, SOURCE, "n", widths, optima, SLOPE, edges, moves=moves, more=more))
    return rows


def _at_end(rung: Rung) -> bool:
    return bool(np.any(np.isin(rung.optima, np.log2([rate(rung.points[0]), rate(rung.points[-1])]))))


# -- data ----------------------------------------------------------------------------------------------------------


def _dataset(
    curves: dict[str, np.ndarray], optima: dict[str, list[Optimum]], measured: Measured, ladders: Ladders
) -> xr.Dataset:
    loss = {"long_name": "train loss after the last step", "units": "1"}
    best = {"long_name": "best learning rate", "symbol": "η*", "units": "1"}
    data: dict[str, Any] = {
        "case": ("case", list(curves)),
        "width_ratio": ("width_ratio", list(RATIOS)),
        "lr": ("lr", 2.0**LOG_RATES),
        "theory_loss": (("case", "width_ratio", "lr"), np.stack(list(curves.values())), loss),
        "theory_best": (("case", "width_ratio"), [[o.best.rate for o in optima[c]] for c in curves], best),
        "theory_edge": (
            ("case", "width_ratio"), [[o.edge for o in optima[c]] for c in curves],
            {"long_name": "best rate times the largest NTK eigenvalue at the last step", "units": "1"},
        ),
        "theory_start": (
            ("case", "width_ratio"), [[o.start for o in optima[c]] for c in curves],
            {"long_name": "largest NTK eigenvalue before training over that at the last step", "units": "1"},
        ),
    }  # fmt: skip
    for (name, ratio), found in measured.items():
        key = f"{name}_{ratio:g}"
        data[f"network_lr_{key}"] = (f"point_{key}", found.rates)
        data[f"network_loss_{key}"] = ((f"point_{key}", "network_seed"), found.losses, loss)
        data[f"network_best_{key}"] = ("network_seed", 2.0**found.optima, best)
    for (activation, name), rungs in ladders.items():
        for r in rungs:
            key = f"{activation}_{name}_{r.width}"
            data[f"lr_{key}"] = (f"point_{key}", [rate(int(k)) for k in r.points])
            data[f"loss_{key}"] = ((f"point_{key}", f"seed_{r.width}"), r.losses, loss)
            data[f"best_{key}"] = (f"seed_{r.width}", 2.0**r.optima, best)
        data["width"] = ("width", [r.width for r in rungs])
        text = {"long_name": "largest rate up to which training lowers the loss", "units": "1"}
        data[f"stable_{activation}_{name}"] = ("width", [r.stable for r in rungs], text)
    return xr.Dataset(data, attrs={"base_width": BASE, "gamma": GAMMA})


LEARNING_RATE_TRANSFER = Experiment(
    "learning-rate-transfer",
    "Under muP the best learning rate stays where it is as the width grows, under NTK it moves.",
    SOURCE,
    2,
    19,
    run,
)
