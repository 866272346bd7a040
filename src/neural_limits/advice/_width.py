"""`advise_width`: the width, seeds and form of weights that reach an error at least cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from .._checks import positive_float, positive_int
from ..networks import Network
from ..parametrizations import Parametrization
from ..tasks import Task
from ..training import Muon, Optimizer
from ._finite_size import Cost, FiniteSize, fit_cost, fit_finite_size
from ._pilot import Pilot, Quantity, Unfit, quantity_named

WIDTHS = (256, 1024, 4096)
DENSE = 1024  # widest dense pilot run; beyond it dense weights have not been cheapest (benchmarks/accuracy_for_cost.py)
ROUTES = {"one wide run": "conditioned", "many seeds": "conditioned", "dense seeds": "dense"}
FINE = 2**0.25  # between widths considered


class Timed(NamedTuple):
    """The cost of one form of weights, and the widest width it was timed at."""

    cost: Cost
    widest: int


class Choice(NamedTuple):
    """One way to reach an error: its width and seeds, the error expected, with its standard error, and the cost."""

    width: int
    seeds: int
    error: float
    error_stderr: float
    seconds: float


@dataclass(frozen=True)
class WidthAdvice:
    """What to run: ``seeds`` networks of this ``width`` and form of ``weights``, and what to expect of their mean.

    ``error`` is the root mean square distance from the limit of infinite width, ``seconds`` the time without the
    ``compile_seconds`` of the first. ``status``: completed; unreachable (no width up to ``largest`` has the error); the
    status of a pilot run that did not complete; no_value. Numbers are NaN, width and seeds 0 unless it is completed.
    """

    status: str
    message: str
    data: xr.Dataset = field(repr=False)
    width: int = 0
    seeds: int = 0
    weights: str = ""
    error: float = float("nan")
    seconds: float = float("nan")
    compile_seconds: float = float("nan")


def advise_width(
    network: Network,
    task: Task,
    parametrization: Parametrization | None = None,
    optimizer: Optimizer | None = None,
    *,
    steps: int,
    error: float,
    quantity: str | Quantity = "loss",
    widths: Sequence[int] = WIDTHS,
    seeds: int = 8,
    largest: int = 2**18,
    progress: Callable[[str], None] | None = None,
    **options: Any,
) -> WidthAdvice:
    """The cheapest way to know a quantity of the infinitely wide network up to an error: one wide run, or many seeds?

    From pilot runs at ``widths``, ``seeds`` each, conditioned at all and dense up to 1024, all measured here:

        mean over networks limit + b/n,  variance v/n,  seconds t₀ + t₁ n conditioned, t₀ + t₁ n² dense (n³ Muon),
        error² = (b² + its variance)/n² + v/(n seeds).

    Widths that do not follow the first are left out, narrowest first. ``quantity``: "loss" or "outlier" (the largest of
    the last hidden weight) after the last update, or a function of a `Run`; ``error`` in its units. ``largest`` is the
    widest conditioned run that fits the machine; ``options`` are those of `train`.

    Returns a `WidthAdvice`; its ``data`` has width, seeds, error, error_stderr and seconds over the routes "one wide
    run", "many seeds" of the pilot's widths (both conditioned) and "dense seeds", and limit, bias and variance of the
    fit. The limit with its limit_stderr is itself an estimate, which the pilot has paid for already. ValueError for
    fewer than two widths or seeds, an error that is not positive. Where a solver covers the case (`limits`) it is
    cheaper than all of these.
    Cost: the pilot, ``seeds`` runs of each width and form.

    >>> import neural_limits as nl
    >>> advice = nl.advise_width(nl.MLP(0), nl.tasks.toy(), steps=1, error=2e-3, widths=(16, 64), seeds=4)
    >>> advice.status, advice.error <= 2e-3, advice.data.sizes["route"]
    ('completed', True, 3)

    Source: docs/accuracy-for-cost.md.
    """
    sizes = sorted({positive_int("widths", width) for width in widths})
    if len(sizes) < 2:
        raise ValueError(f"`widths` must hold two or more different widths; got {tuple(widths)}.")
    error, seeds = positive_float("error", error), positive_int("seeds", seeds, least=2)
    largest = positive_int("largest", largest, least=sizes[0])
    pilot = Pilot(network, task, parametrization, optimizer, positive_int("steps", steps, least=0),
                  quantity_named(quantity), options)  # fmt: skip
    say = progress or (lambda text: None)
    try:
        for form in ("conditioned", "dense") if optimizer is None or optimizer.low_rank else ("dense",):
            for width in (w for w in sizes if form == "conditioned" or w <= DENSE):
                say(f"pilot: {seeds} networks of width {width}, {form} weights")
                pilot.measure(form, width, seeds)
    except Unfit as reason:
        return WidthAdvice(reason.status, str(reason), xr.Dataset())
    size = fit_finite_size(*pilot.groups())
    found = choose_routes(size, costs_of(pilot), error, largest)
    return _advice(pilot, size, found, error, largest)


def costs_of(pilot: Pilot) -> dict[str, Timed]:
    """The cost of each form of weights that was timed at two widths or more."""
    found = {}
    for form in ("conditioned", "dense"):
        widths, seconds = pilot.timed(form)
        if len(widths) > 1:
            power = 1 if form == "conditioned" else 3 if isinstance(pilot.optimizer, Muon) else 2
            found[form] = Timed(fit_cost(widths, seconds, power), max(widths))
    return found


def choose_routes(size: FiniteSize, costs: Mapping[str, Timed], error: float, largest: int) -> dict[str, Choice | None]:
    """The cheapest choice of each route, None where it does not reach the error."""
    found: dict[str, Choice | None] = {}
    for route, form in ROUTES.items():
        timed = costs.get(form)
        if timed is None:
            found[route] = None
            continue
        most = {"one wide run": largest, "many seeds": timed.widest, "dense seeds": 4 * timed.widest}[route]
        found[route] = choose(size, timed.cost, error, most, 1 if route == "one wide run" else None)
    return found


def choose(size: FiniteSize, cost: Cost, error: float, largest: int, seeds: int | None = None) -> Choice | None:
    """The cheapest width of at most ``largest`` with the seeds it needs (or those given) for an error."""
    best = None
    for k in range(int(np.log(largest / size.least) / np.log(FINE)) + 1):
        width = round(size.least * FINE**k)
        needed = size.seeds_for(error, width)
        if needed is None or (seeds is not None and needed > seeds):
            continue
        seconds = needed * cost.seconds(width)
        if best is None or seconds < best.seconds:
            best = Choice(width, needed, *size.error(width, needed), seconds)
    return best


def _advice(pilot: Pilot, size: FiniteSize, found: dict[str, Choice | None], error: float, largest: int) -> WidthAdvice:
    data = _dataset(size, found)
    reached = {route: choice for route, choice in found.items() if choice is not None}
    if not reached:
        message = f"no width up to {largest} has an error of {error:g}; raise `largest` or `error`."
        return WidthAdvice("unreachable", message, data)
    route, best = min(reached.items(), key=lambda item: item[1].seconds)
    weights = ROUTES[route]
    compilation = max(t for (form, _), t in pilot.compilation.items() if form == weights)
    message = (
        f"train {best.seeds} network{'s' * (best.seeds > 1)} of width {best.width} with {weights} weights: error "
        f"{best.error:.2g} ± {best.error_stderr:.1g}, {best.seconds:.2g} s and {compilation:.2g} s of compilation"
    )
    if size.limit_stderr <= error:
        message += f"; the pilot's own extrapolation, {size.limit:.6g} ± {size.limit_stderr:.2g}, has it already"
    return WidthAdvice(
        "completed", message + ".", data, best.width, best.seeds, weights, best.error, best.seconds, compilation
    )


def _dataset(size: FiniteSize, found: dict[str, Choice | None]) -> xr.Dataset:
    data = xr.Dataset(coords={"route": list(ROUTES)})
    meanings = {
        "width": "width of the networks, NaN where the route does not reach the error",
        "seeds": "how many of them",
        "error": "root mean square error expected of their mean",
        "error_stderr": "standard error of this number",
        "seconds": "time of all runs, without compilation",
    }
    for name, meaning in meanings.items():
        values = [np.nan if choice is None else getattr(choice, name) for choice in found.values()]
        data[name] = ("route", np.array(values, float), {"long_name": meaning})
    words = {
        "limit": "value of the infinitely wide network, extrapolated", "limit_stderr": "its standard error",
        "bias": "mean at width n less the limit, times n", "bias_stderr": "its standard error",
        "variance": "variance over networks of width n, times n", "least": "narrowest width in the fit",
    }  # fmt: skip
    for name, meaning in words.items():
        data[name] = ((), getattr(size, name), {"long_name": meaning})
    return data
