"""Accuracy for cost: one wide run, many seeds at smaller width, or a limit solver, for each target error.

Two cases. "tanh": two hidden matrices, 4 inputs, muP, γ = 4, 20 updates of full-batch gradient descent, for which no
solver exists. "deep linear": depth 2 in the proportional limit, 60 updates, for which `nl.limits.deep_linear` does. For
the last loss and the largest outlier of the last hidden weight: bias and variance over widths, seconds of each form of
weights, and from these the cheapest choice of each route. Then some choices are carried out with networks of other
seeds, many times, and their error measured. float32; seconds are the least over seeds, compilation apart.

    python benchmarks/accuracy_for_cost.py [--quick]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy import ndarray

import neural_limits as nl
from _common import FIGURES, machine, write
from neural_limits.advice._finite_size import FiniteSize, fit_cost, fit_finite_size
from neural_limits.advice._pilot import QUANTITIES, Pilot
from neural_limits.advice._width import ROUTES, Choice, Timed, choose_routes, costs_of
from neural_limits.limits.proportional import Setting, deep_linear_network

TANH = (nl.MLP(hidden=2), nl.tasks.toy(), nl.MuP(gamma=4.0), nl.SGD(lr=0.1))
LINEAR = Setting(depth=2, width_ratio=1.0, sample_ratio=2.0, lr=0.05, gamma=2.0, sigma_w=0.5, label_noise=0.3, steps=60)
LARGEST = {"tanh": 2**20, "deep linear": 2**17}
TARGETS = (3e-2, 1e-2, 3e-3, 1e-3, 3e-4)  # relative
COLOURS = {"one wide run": "#0072B2", "many seeds": "#009E73", "dense seeds": "#D55E00"}
Draw = Callable[[str, int], float]  # the value of a network that was not drawn before, by form and width


class Plan(NamedTuple):
    """Widths of each form, seeds of each, the reference; checks: repetitions, targets, most seconds."""

    widths: dict[str, dict[str, tuple[int, ...]]]
    seeds: int
    reference: tuple[int, int]
    repetitions: int
    targets: int
    seconds: float


FULL = Plan(
    {
        "tanh": {"conditioned": (256, 512, 1024, 4096, 16384), "dense": (128, 256, 512, 1024, 2048)},
        "deep linear": {"conditioned": (1000, 4000, 16000), "dense": (125, 250, 500, 1000, 2000)},
    }, 16, (65536, 8), 40, 2, 40.0,
)  # fmt: skip
QUICK = Plan(
    {
        "tanh": {"conditioned": (256, 1024), "dense": (128, 256)},
        "deep linear": {"conditioned": (1000, 4000), "dense": (125, 250)},
    }, 4, (2048, 2), 5, 1, 2.0,
)  # fmt: skip


class Case(NamedTuple):
    """One quantity of one case: its fits, how to draw a value, its limit, and the solver's seconds if there is one."""

    name: str
    quantity: str
    size: FiniteSize
    costs: dict[str, Timed]
    draw: Draw
    limit: float
    limit_stderr: float
    solver: float | None


def tanh_case(plan: Plan, quantity: str) -> Case:
    pilot = Pilot(*TANH, 20, QUANTITIES[quantity], {"dtype": "float32"})
    for form, widths in plan.widths["tanh"].items():
        for width in widths:
            pilot.measure(form, width, plan.seeds)
            print(f"tanh, {quantity}: width {width}, {form}, {pilot.seconds[form, width]:.3g} s", flush=True)
    width, seeds = plan.reference
    wide = np.array([pilot.value("conditioned", width) for _ in range(seeds)])
    size = fit_finite_size(*pilot.groups())
    scatter = (size.variance / (width * seeds)) ** 0.5
    return Case("tanh", quantity, size, costs_of(pilot), pilot.value, float(wide.mean()), scatter, None)


def linear_case(plan: Plan, quantity: str) -> Case:
    seeds = iter(range(10**6))

    def draw(form: str, inputs: int) -> float:
        record = (LINEAR.steps,) if quantity == "outlier" else ()
        run = deep_linear_network(LINEAR, inputs, form, next(seeds), dtype="float32", record=record)
        return float(run.data.singular_value[-1, -1, 0] if record else run.data.train_loss[-1])

    values: list[ndarray] = []
    sizes, costs = [], {}
    for form, widths in plan.widths["deep linear"].items():
        least = []
        for width in widths:
            draw(form, width)  # compiles
            times, found = [], []
            for _ in range(plan.seeds):
                begun = time.perf_counter()
                found.append(draw(form, width))
                times.append(time.perf_counter() - begun)
            least.append(min(times))
            values.append(np.array(found))
            sizes.append(width)
            print(f"deep linear, {quantity}: D = {width}, {form}, {least[-1]:.3g} s", flush=True)
        costs[form] = Timed(fit_cost(widths, least, 1 if form == "conditioned" else 2), max(widths))
    limit, seconds = solve(quantity)
    return Case("deep linear", quantity, fit_finite_size(sizes, values), costs, draw, limit, 0.0, seconds)


def solve(quantity: str) -> tuple[float, float]:
    """The limit, and the seconds it takes: the best of three."""
    times = []
    for _ in range(3):
        begun = time.perf_counter()
        found = nl.limits.deep_linear(**vars(LINEAR))
        limit = float(found.outliers(60)[1].above[0] if quantity == "outlier" else found.data.train_loss[-1])
        times.append(time.perf_counter() - begun)
    return limit, min(times)


def fits(cases: list[Case]) -> list[str]:
    """What the pilot runs say."""
    head = "case", "quantity", "limit, extrapolated", "limit, known", "bias · n", "variance · n", "conditioned (s)"
    lines = ["| " + " | ".join((*head, "dense (s)")) + " |", "|" + "-|" * 8]
    for case in cases:
        size = case.size
        known = f"{case.limit:.6g}" + (f" ± {case.limit_stderr:.2g}" if case.limit_stderr else "")
        terms = [f"{t.cost.fixed:.2g} + {t.cost.slope:.2g} n{'²' * (t.cost.power == 2)}" for t in case.costs.values()]
        lines.append(
            f"| {case.name} | {case.quantity} | {size.limit:.6g} ± {size.limit_stderr:.2g} (from n = {size.least}) | "
            f"{known} | {size.bias:.3g} ± {size.bias_stderr:.2g} | {size.variance:.3g} | " + " | ".join(terms) + " |"
        )
    return lines


def best_of(found: dict[str, Choice | None]) -> str | None:
    reached = {route: choice for route, choice in found.items() if choice is not None}
    return min(reached, key=lambda route: reached[route].seconds) if reached else None


def routes(cases: list[Case]) -> list[str]:
    """For every target the choice of each route, the cheapest in bold."""
    lines = ["| case | quantity | target, relative | " + " | ".join(ROUTES) + " | solver (s) |", "|" + "-|" * 7]
    for case in cases:
        for target in TARGETS:
            found = choose_routes(case.size, case.costs, target * abs(case.limit), LARGEST[case.name])
            best = best_of(found) if case.solver is None else None
            cells = []
            for route, c in found.items():
                text = "–" if c is None else f"{c.seeds} × n = {c.width}: {c.seconds:.2g} s"
                cells.append(f"**{text}**" if route == best else text)
            solver = "none" if case.solver is None else f"**{case.solver:.2g}**"
            lines.append(f"| {case.name} | {case.quantity} | {target:g} | " + " | ".join(cells) + f" | {solver} |")
    return lines


def checks(cases: list[Case], plan: Plan) -> list[str]:
    """Plans carried out, many times, with networks of other seeds: is the error what was expected?"""
    lines = [f"| case | quantity | plan | error expected | error measured, {plan.repetitions} times |", "|-|-|-|-|-|"]
    for case in cases:
        for target in TARGETS[: plan.targets]:
            found = choose_routes(case.size, case.costs, target * abs(case.limit), LARGEST[case.name])
            for route in ("many seeds", "dense seeds"):
                choice = found[route]
                if choice is None or choice.seconds * plan.repetitions > plan.seconds:
                    continue
                form = ROUTES[route]
                means = [
                    np.mean([case.draw(form, choice.width) for _ in range(choice.seeds)])
                    for _ in range(plan.repetitions)
                ]
                rms = float(np.sqrt(np.mean((np.array(means) - case.limit) ** 2)))
                done = f"{choice.seeds} × n = {choice.width}, {form}"
                expected = f"{choice.error:.2e} ± {choice.error_stderr:.1e}"
                measured = f"{rms:.2e} ± {rms / (2 * plan.repetitions) ** 0.5:.1e}"
                lines.append(f"| {case.name} | {case.quantity} | {done} | {expected} | {measured} |")
                print(lines[-1], flush=True)
    return lines


def figure(cases: list[Case]) -> Figure:
    """Seconds against the target, a line a route."""
    drawn = Figure(figsize=(9, 6.6), layout="constrained")
    targets = np.geomspace(1e-1, 1e-4, 61)
    for axis, case in zip(drawn.subplots(2, 2).ravel(), cases, strict=True):
        all_ = [choose_routes(case.size, case.costs, t * abs(case.limit), LARGEST[case.name]) for t in targets]
        for route, colour in COLOURS.items():
            seconds = [np.nan if (c := found[route]) is None else c.seconds for found in all_]
            axis.loglog(targets, seconds, color=colour, label=route)
        if case.solver is not None:
            axis.axhline(case.solver, color="black", ls="--", label="limit solver, to rounding")
        axis.invert_xaxis()
        axis.set(xlabel="target, relative", ylabel="seconds without compilation", title=f"{case.name}: {case.quantity}")
        axis.legend(frameon=False, fontsize=8)
    return drawn


def main(quick: bool) -> None:
    plan = QUICK if quick else FULL
    quantities = ("loss",) if quick else ("loss", "outlier")
    cases = [make(plan, quantity) for make in (tanh_case, linear_case) for quantity in quantities]
    lines = [f"Machine: {machine()}", "", *fits(cases), "", *routes(cases), "", *checks(cases, plan)]
    write("accuracy-for-cost-quick" if quick else "accuracy-for-cost", lines)
    if not quick:
        figure(cases).savefig(FIGURES / "accuracy-for-cost.png", dpi=150)


if __name__ == "__main__":
    main("--quick" in sys.argv[1:])
