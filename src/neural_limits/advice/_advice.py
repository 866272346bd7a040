"""`advise_learning_rate`: stable rates over widths, and whether one rate does for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from numpy import ndarray

from .._checks import one_of, positive_float, positive_int
from .._notation import attributes
from ..networks import Network
from ..parametrizations import MuP, Parametrization
from ..tasks import Task
from ..training import SGD, Optimizer
from ._search import divergence_rate, largest_stable_rate
from ._trial import Trial, cheaper_form
from ._verdict import Slope, slope_over_width, transfers

ACCURACY = 0.02  # of log lr: two per cent, below what seeds differ by
MATCHED = 0.5  # of the smallest stable rate: where losses at the same rate are compared
ANY = (1e-12, 1e12)
FORMS = ("auto", "conditioned", "dense")


@dataclass(frozen=True)
class Advice:
    """The largest stable rate at the widest width, whether it transfers, and the numbers behind both.

    ``transfers`` is "transfers", "does not transfer" or "undecided"; ``status`` is completed, or no_stable_rate
    where a width has none within the range searched (then ``lr`` may be NaN).
    """

    status: str
    message: str
    lr: float
    transfers: str
    data: xr.Dataset = field(repr=False)


def advise_learning_rate(
    network: Network,
    task: Task,
    parametrization: Parametrization | None = None,
    *,
    widths: Sequence[int],
    steps: int,
    optimizer: Optimizer | None = None,
    weights: str = "auto",
    seeds: Sequence[int] = (0, 1, 2),
    lr_range: tuple[float, float] | None = None,
    accuracy: float = ACCURACY,
    progress: Callable[[str], None] | None = None,
    **options: Any,
) -> Advice:
    """The largest stable learning rate of gradient descent at each width, and whether it transfers.

    A rate is called stable if lr λ(t; lr) ≤ 2 (1 + momentum) at every measured step (all, or 24 of a longer
    run), λ the leading Gauss-Newton eigenvalue (the NTK's for squared error) in the metric of the
    parametrization's rates. λ moves with lr (progressive sharpening), so the condition is solved for lr. It
    is the linear criterion: past it training oscillates, and may still settle at the edge of stability.

    ``data`` has over (width, seed): ``stable_lr``; ``naive_lr`` = 2/λ(0) at the start, never below it;
    ``divergence_lr``, above which the last loss exceeds the first (NaN: none found within a factor 256); and
    the loss at ``matched_lr``, half of the smallest stable rate, as ``matched_loss`` (width, seed, step). The
    verdict is on the slope of log stable_lr over log width, its 95 % interval against ±0.1.

    ``optimizer`` is an SGD whose lr is replaced and other rates kept in proportion. ``weights="auto"`` takes
    conditioned weights where the width exceeds 50 times the samples. ``options`` are those of `train`. ValueError
    for fewer than two widths or widths that do not increase, an optimizer other than SGD, an empty lr_range.
    MemoryError where conditioned weights outgrow the memory.
    Cost: about 8 runs with curvature and 8 without, for every width and seed.

    >>> import neural_limits as nl
    >>> advice = nl.advise_learning_rate(nl.MLP(0), nl.tasks.toy(), widths=(32, 64), steps=2, seeds=(0,))
    >>> advice.data.stable_lr.dims, advice.transfers
    (('width', 'seed'), 'undecided')

    Source: docs/advisor.md.
    """
    widths, seeds = check_widths(widths), [positive_int("seeds", seed, least=0) for seed in seeds]
    steps, optimizer = positive_int("steps", steps), _sgd(optimizer)
    if not seeds:
        raise ValueError("`seeds` must hold at least one seed; use two or more for errors.")
    one_of("weights", weights, FORMS)
    bounds, accuracy = _range(lr_range), positive_float("accuracy", accuracy)
    say = progress or (lambda text: None)
    rates = np.full((3, len(widths), len(seeds)), np.nan)  # stable, naive, divergence
    trials = {}
    for i, width in enumerate(widths):
        form = cheaper_form(network, width, task.samples) if weights == "auto" else weights
        for j, seed in enumerate(seeds):
            say(f"width {width} ({form} weights), seed {seed}")
            trial = Trial(network, task, parametrization or MuP(), optimizer, width, seed, steps, form, options)
            trials[i, j] = trial
            rates[:2, i, j] = largest_stable_rate(trial, accuracy, bounds)
            rates[2, i, j] = divergence_rate(trial, rates[1, i, j], accuracy, bounds)
    matched = MATCHED * float(np.nanmin(rates[0])) if np.isfinite(rates[0]).any() else float("nan")
    losses = np.full((len(widths), len(seeds), steps + 1), np.nan)
    if np.isfinite(matched):
        say(f"losses at lr {matched:.3g}")
        for (i, j), trial in trials.items():
            losses[i, j] = trial.losses(matched)
    slope = slope_over_width(np.array(widths, float), rates[0])
    data = _dataset(widths, seeds, rates, matched, losses, slope)
    return _advice(data, slope)


def _advice(data: xr.Dataset, slope: Slope) -> Advice:
    """The verdict in words."""
    verdict = transfers(slope)
    missing = bool(data.stable_lr.isnull().any())
    widest = data.stable_lr.isel(width=-1).values
    lr = float(np.exp(np.log(widest).mean()))
    if missing:
        status, message = "no_stable_rate", "no rate within `lr_range` is stable at some width; lower its first number."
    else:
        status = "completed"
        message = (
            f"stable up to lr {lr:.3g} at width {int(data.width[-1])}; it changes as width^{slope.value:+.3f}"
            f" (± {slope.half:.3f} at 95 %), so it {verdict if verdict != 'undecided' else 'may or may not transfer'}"
        )
        message += "; use more seeds or a wider range of widths." if verdict == "undecided" else "."
    data.attrs.update(status=status, message=message, transfers=verdict, lr=lr)
    return Advice(status, message, lr, verdict, data)


def _dataset(
    widths: list[int], seeds: list[int], rates: ndarray, matched: float, losses: ndarray, slope: Slope
) -> xr.Dataset:
    data = xr.Dataset(coords={"width": widths, "seed": seeds, "step": np.arange(losses.shape[-1])})
    for name, values in zip(("stable_lr", "naive_lr", "divergence_lr"), rates, strict=True):
        data[name] = (("width", "seed"), values, attributes(name))
    data["matched_lr"] = ((), matched, attributes("matched_lr"))
    data["matched_loss"] = (("width", "seed", "step"), losses, attributes("matched_loss"))
    data["slope"] = ((), slope.value, attributes("slope"))
    data["slope_stderr"] = ((), slope.stderr, attributes("slope_stderr"))
    return data


def check_widths(widths: Sequence[int]) -> list[int]:
    """The widths; ValueError unless they are two or more and increase."""
    checked = [positive_int("widths", width) for width in widths]
    if len(checked) < 2 or sorted(set(checked)) != checked:
        raise ValueError(f"`widths` must be two or more increasing widths, such as 128, 512; got {tuple(widths)}.")
    return checked


def _sgd(optimizer: Optimizer | None) -> SGD:
    optimizer = optimizer or SGD(lr=1.0)
    if not isinstance(optimizer, SGD):
        raise ValueError(
            f"`optimizer` must be SGD: the step of {type(optimizer).__name__} is no multiple of the gradient, so "
            "2/λ does not bound its rate; compare losses over a grid of rates instead."
        )
    return optimizer


def _range(lr_range: tuple[float, float] | None) -> tuple[float, float]:
    low, high = ANY if lr_range is None else (positive_float("lr_range", lr) for lr in lr_range)
    if not low < high:
        raise ValueError(f"`lr_range` must be two increasing rates; got {lr_range}.")
    return low, high
