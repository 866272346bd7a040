"""The edge of stability: the leading NTK mode against 2/rate, over width, past the edge, and against the Hessian."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from numpy import ndarray

from ..landscape import track_curvature
from ..limits.proportional import Setting, basis_limit
from ..networks import MLP
from ..parametrizations import MuP
from ..tasks import Task, digits
from ..training import SGD
from ._edge_figures import AT, AT_PAST, BELOW, LATE, PAST, STEPS, WIDTHS, dataset, edge_figure
from ._experiment import Experiment, Result, Say, Verdict, decide, mean_of
from ._proportional import SOURCE, agreement, changed, networks, theory

TRACKED = (0, 2, 5, 10, 20, 40, 80, 120, 160)


def run(quick: bool, say: Say) -> Result:
    """The limit over widths, networks beside it, the Hessian, and a nonlinear network on digits."""
    verdict: list[Verdict] = []
    say("the limit: rates below and past the edge")
    lines = {(s, nu): modes(changed(**_at(s, nu, BELOW)), STEPS) for s, all_ in WIDTHS.items() for nu in all_}
    past = {nu: late_modes(changed(**_at("mup", nu, PAST)), LATE) for nu in (1.0, 4.0, 16.0)}
    verdict += _width_verdicts(lines) + _past_verdicts(past)
    inputs, seeds = (1_000, 6) if quick else (10_000, 8)
    finite: dict[str, ndarray] = {}
    for rate, nu, weights, size in (
        (BELOW, 1.0, "dense", 300 if quick else 1_000), (BELOW, 1.0, "conditioned", inputs),
        (BELOW, 4.0, "conditioned", inputs), (PAST, 1.0, "conditioned", inputs),
    ):  # fmt: skip
        say(f"rate {rate}, N/D = {nu:g}: {weights}, D = {size:,}")
        at = AT_PAST if rate == PAST else AT
        found = _network_modes(changed(**_at("mup", nu, rate)), size, weights, seeds, at)
        finite[f"rate {rate}, N/D = {nu:g}, {weights}, D = {size:,}"] = found
        verdict += _finite_verdicts(rate, nu, f"{weights}, D = {size:,}", at, found)
    say("the Hessian beside the NTK: dense, D = 500")
    hessian = _hessian(200 if quick else 500)
    verdict += _hessian_verdicts(hessian)
    say("tanh network on digits: dense and conditioned")
    tracked = _digits(quick)
    verdict += _digits_verdicts(tracked)
    figures = {"edge": edge_figure(lines, past, finite, tracked)}
    captions = {
        "edge": "Rate times leading NTK mode over training; stable below 2. Left: the limit at rate 0.19 over width, "
        "muP (solid) and NTK parametrization (dashed), points: networks. Middle: past the edge, rate 0.21. Right: a "
        "tanh network on digits, NTK (solid) and Hessian (dotted), dense (circles) and conditioned (crosses)."
    }
    return Result(dataset(lines, past, finite, hessian, tracked), verdict, figures, captions)


def _at(scheme: str, nu: float, rate: float) -> dict[str, Any]:
    return {"parametrization": scheme, "width_ratio": nu, "lr": rate, "steps": 99}


def modes(setting: Setting, steps: tuple[int, ...]) -> ndarray:
    """Rate times the leading eigenvalue of the NTK in the limit."""
    limit = theory(setting)
    return np.array([setting.lr * limit.ntk_leading(k) for k in steps])


def late_modes(setting: Setting, steps: tuple[int, ...]) -> ndarray:
    """The same for many steps of a longer run, by Lanczos in the basis limit: cheaper, and low at a bulk's edge."""
    run = basis_limit(replace(setting, steps=steps[-1]))
    return np.array([setting.lr * run.ntk_lanczos(k, 40) for k in steps])


def _network_modes(setting: Setting, inputs: int, weights: str, seeds: int, at: tuple[int, ...]) -> ndarray:
    """The same of networks, (seed, step)."""
    runs = networks(setting, inputs, weights, seeds, at, record_ntk=True)
    return setting.lr * np.array([r.data.ntk_top.values for r in runs])


def _row(claim: str, values: dict[float, float], criterion: str, holds: bool) -> Verdict:
    text = ", ".join(f"N/D = {nu:g}: {v:.3f}" for nu, v in values.items())
    return Verdict(claim, SOURCE, text, criterion, decide(holds))


def _ratio(values: dict[float, float]) -> float:
    """Largest over smallest."""
    return max(values.values()) / min(values.values())


def _width_verdicts(lines: dict[Any, ndarray]) -> list[Verdict]:
    rows = []
    for k in AT:
        mup, ntk = ({nu: float(lines[s, nu][STEPS.index(k)]) for nu in WIDTHS[s]} for s in ("mup", "ntk"))
        claim = f"muP, rate {BELOW}: rate times NTK mode after {k} steps is alike at all widths"
        wide = _ratio({nu: v for nu, v in mup.items() if nu >= 1})
        rows.append(_row(claim, mup, "N/D ≥ 1 within 3 %", wide < 1.03))
        claim = f"NTK parametrization, rate {BELOW}: it falls with width, far below the edge, after {k} steps"
        rows.append(_row(claim, ntk, "less than 0.5 at N/D = 16", ntk[16.0] < 0.5))
    return rows


def _past_verdicts(past: dict[float, ndarray]) -> list[Verdict]:
    """Past the edge the mode overshoots, then alternates about 2/rate from step to step, less and less."""
    first = {nu: float(v[15]) for nu, v in past.items()}
    sides = {nu: float(np.mean((v[30:-1] - 2) * (v[31:] - 2) < 0)) for nu, v in past.items()}
    means = {nu: float(v[30:].mean()) for nu, v in past.items()}
    early, late = ({nu: float(abs(v[k] - v[k + 1]) / 2) for nu, v in past.items()} for k in (30, 199))
    shrinks = {nu: late[nu] / early[nu] for nu in past}
    name = f"muP, rate {PAST}: rate times NTK mode"
    return [
        _row(f"{name} overshoots 2 at all widths together, after 15 steps", first, "above 2.2, within 10 %",
             min(first.values()) > 2.2 and _ratio(first) < 1.1),
        _row(f"{name} then alternates: share of steps 30 to 199 after which it is on the other side of 2", sides,
             "above 0.95", min(sides.values()) > 0.95),
        _row(f"{name} stays at the edge: mean over steps 30 to 200", means, "2 within 2 %",
             max(abs(m / 2 - 1) for m in means.values()) < 0.02),
        _row(f"{name} settles (self-stabilisation): amplitude at step 200 over that at step 31", shrinks, "below 0.5",
             max(shrinks.values()) < 0.5),
        _row(f"{name}: amplitude of the oscillation at step 31 is alike at all widths", early, "within 5 %",
             _ratio(early) < 1.05),
    ]  # fmt: skip


def _finite_verdicts(rate: float, nu: float, which: str, at: tuple[int, ...], found: ndarray) -> list[Verdict]:
    predicted = modes(changed(**_at("mup", nu, rate)), at)
    name = f"rate {rate}, N/D = {nu:g}, {which}: rate times NTK mode after"
    return [
        agreement(f"{name} {k} steps", float(limit), mean_of(values), len(values) - 1)
        for k, limit, values in zip(at, predicted, found.T, strict=True)
    ]


# -- the Hessian ---------------------------------------------------------------------------------------------------


def linear_run(setting: Setting, inputs: int, seed: int) -> tuple[Task, MuP, SGD]:
    """A setting in the terms of `train`: initial standard deviations of input and readout move into data and rates."""
    sigma = setting.sigma
    rng = np.random.default_rng(seed)
    samples = round(float(setting.sample_ratio or 1) * inputs)
    x, teacher, noise = (rng.standard_normal(s) for s in ((samples, inputs), inputs, samples))
    y = x @ teacher / np.linalg.norm(teacher) + setting.label_noise * noise * samples**0.5 / np.linalg.norm(noise)
    scheme = MuP(gamma=setting.gamma0 / (inputs**0.5 * sigma[-1]), sigma_w=sigma[1])
    lr = setting.lr * inputs * sigma[-1] ** 2
    optimizer = SGD(lr, lr_input=lr / sigma[0] ** 2, lr_output=lr / sigma[-1] ** 2)
    return Task(x=sigma[0] * x, y=y[:, None], loss="mse", name="linear teacher"), scheme, optimizer


def _hessian(inputs: int) -> xr.DataArray:
    """NTK and Hessian of the base setting at the start and after 59 steps, divided by the rate as in the limit."""
    setting = changed()
    task, scheme, optimizer = linear_run(setting, inputs, 0)
    _, found = track_curvature(
        MLP(1, "linear"), task, scheme, optimizer, width=inputs, steps=59, at=(0, 10, 59), weights="dense", count=1
    )
    scaled: xr.DataArray = found.eigenvalue.isel(mode=0) * (float(optimizer.numbers.lr) / setting.lr)
    return scaled


def _hessian_verdicts(found: xr.DataArray) -> list[Verdict]:
    ntk, hessian = (found.sel(kind=kind).values for kind in ("ntk", "hessian"))
    far = "the Hessian's leading eigenvalue is another thing than the NTK's"
    claims = (
        (f"untrained: {far}", "ratio above 2", hessian[0] > 2 * ntk[0]),
        (f"after 10 steps: {far}", "ratio above 1.1", hessian[1] > 1.1 * ntk[1]),
        ("after 59 steps: they are the same, as residuals vanish", "within 1 %", abs(hessian[2] / ntk[2] - 1) < 0.01),
    )
    values = [f"NTK {a:.3f}, Hessian {b:.3f}" for a, b in zip(ntk, hessian, strict=True)]
    return [
        Verdict(claim, SOURCE, text, criterion, decide(bool(holds)))
        for (claim, criterion, holds), text in zip(claims, values, strict=True)
    ]


# -- digits --------------------------------------------------------------------------------------------------------


def _digits(quick: bool) -> dict[tuple[float, str], xr.Dataset]:
    """Rate times curvature of a tanh network over training: a rate that stays below the edge, one that reaches it."""
    task, scheme = digits(samples=64, loss="mse"), MuP(gamma=0.5)
    at = TRACKED[:7] if quick else TRACKED
    forms = (("dense", 256),) if quick else (("dense", 512), ("conditioned", 4096))
    found = {}
    for lr in (1.0, 4.0):
        for weights, width in forms:
            kinds = ("ntk", "hessian") if weights == "dense" else ("ntk",)
            _, data = track_curvature(
                MLP(1, "tanh"), task, scheme, SGD(lr), width=width, steps=at[-1], at=at, weights=weights, kinds=kinds,
            )  # fmt: skip
            found[lr, weights] = data.assign(scaled=lr * data.eigenvalue.isel(mode=0))
    return found


def _digits_verdicts(found: dict[tuple[float, str], xr.Dataset]) -> list[Verdict]:
    rows = []
    for (lr, weights), data in found.items():
        ntk = data.scaled.sel(kind="ntk").values
        late = ntk[data.step.values >= 40]
        span = f"{ntk[0]:.2f} at the start, {late.min():.2f} to {late.max():.2f} from step 40 on"
        if lr == 1.0:
            claim = f"tanh on digits, rate 1, {weights}: the mode sharpens and stays below 2/rate"
            criterion, holds = "grows by 5, stays below 2", late.max() > 5 * ntk[0] and late.max() < 2
        else:
            claim = f"tanh on digits, rate 4, {weights}: after a transient it comes to rest at 2/rate"
            criterion, holds = "within 15 % of 2 at the end", abs(ntk[-1] - 2) < 0.3
        rows.append(Verdict(claim, SOURCE, f"{span}, {ntk[-1]:.2f} at the end", criterion, decide(bool(holds))))
    return rows


EDGE_OF_STABILITY = Experiment(
    "edge-of-stability",
    "Gradient descent drives rate times the leading NTK mode to 2; past that it alternates about 2, less and less; "
    "alike at all widths under muP, not under NTK parametrization; the Hessian joins as residuals vanish.",
    SOURCE,
    3,
    12,
    run,
)
