"""Best rates from trials: a parabola for each width and seed, means over seeds, and how they move with width."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from matplotlib import colormaps
from numpy import ndarray

from _common import FIGURES, machine, write
from _gpt_trials import BASE, BATCH, BLOCKS, TOKENS, Trial, read_trials
from neural_limits.reports._style import LARGE, canvas, legend

TITLES = {"mup": "muP, base width 64", "standard": "standard"}
Curves = dict[tuple[str, int, int], dict[int, float]]
"""Losses by half octaves of the rate, for each scheme, width and seed."""


def report(name: str, file: Path, steps: int) -> None:
    """Write the table and the figure of all complete searches in the file."""
    trials = [t for t in read_trials(file) if t.steps == steps]
    curves: Curves = {}
    for t in trials:
        curves.setdefault((t.scheme, t.width, t.seed), {})[t.half_octaves] = t.loss
    curves = {key: losses for key, losses in curves.items() if best_rate(losses) is not None}
    lines = [f"Machine: {machine()}; torch {torch.__version__}, one thread a process", "", _setting(trials, steps), ""]
    for scheme, title in TITLES.items():
        lines += _section(scheme, title, curves)
    write(name, lines, {title: moves for scheme, title in TITLES.items() if (moves := _moves(scheme, curves))})
    if not name.endswith("quick"):
        _figure(curves)


def best_rate(losses: dict[int, float]) -> float | None:
    """log2 of the best rate, by a parabola through the lowest loss and its neighbours half an octave away.

    The lowest itself where a neighbour diverged; None where a neighbour was not tried.
    """
    k = min(losses, key=lambda k: losses[k])
    if k - 1 not in losses or k + 1 not in losses:
        return None
    left, middle, right = (losses[k + i] for i in (-1, 0, 1))
    if not math.isfinite(left + right):
        return k / 2
    return (k + 0.5 * (left - right) / (left - 2 * middle + right)) / 2


def optima(scheme: str, curves: Curves) -> dict[int, dict[int, float]]:
    """log2 of the best rate by width and seed."""
    found: dict[int, dict[int, float]] = {}
    for (one, width, seed), losses in sorted(curves.items()):
        rate = best_rate(losses)
        if one == scheme and rate is not None:
            found.setdefault(width, {})[seed] = rate
    return found


def _moves(scheme: str, curves: Curves) -> str:
    """How far the best rate moves from the base's, for the headline."""
    found = optima(scheme, curves)
    if len(found) < 2 or BASE not in found:
        return ""
    seeds = found[BASE].keys() & found[max(found)].keys()
    factor = 2 ** float(np.mean([found[max(found)][seed] - found[BASE][seed] for seed in seeds]))
    return f"best rate at width {max(found)}: {factor:.2f} times that at {BASE}"


def _setting(trials: list[Trial], steps: int) -> str:
    hours = sum(t.seconds for t in trials) / 3600
    diverged = sum(t.status == "diverged" for t in trials)
    return (
        f"GPT of {BLOCKS} blocks, AdamW (betas 0.9 and 0.95, no decay), {steps} updates of {BATCH} x {TOKENS} "
        f"characters of the King James text, rates rising over the first {steps // 10} and then constant; loss: mean "
        f"over the last 15 % of the updates. Same batches at all widths and rates. {len(trials)} trials, {diverged} "
        f"diverged, {hours:.1f} hours of one core (busy with other work too)."
    )


def _section(scheme: str, title: str, curves: Curves) -> list[str]:
    """The table of one scheme, its slope and its verdict."""
    found = optima(scheme, curves)
    lines = [
        f"## {title}", "",
        "| width | best rate | one standard error: a factor | each seed | lowest loss | above it at 64's rate |",
        "|-|-|-|-|-|-|",
    ]  # fmt: skip
    for width, seeds in found.items():
        logs = np.array(list(seeds.values()))
        lowest = [min(curves[scheme, width, seed].values()) for seed in seeds]
        lines.append(
            f"| {width} | {2 ** logs.mean():.2e} | {_factor(logs)} | {', '.join(f'{2**x:.2e}' for x in logs)} | "
            f"{np.mean(lowest):.3f} | {_excess(scheme, width, found, curves)} |"
        )
    if len(found) < 2 or BASE not in found:
        return [*lines, "", "Not enough widths for a slope.", ""]
    slopes = _slopes(found)
    # Seeds move the best rates of all widths together, so that each seed is compared with itself.
    moved = [[x - found[BASE][seed] for seed, x in seeds.items() if seed in found[BASE]] for seeds in found.values()]
    means = np.array([np.mean(one) for one in moved])
    furthest, spread = float(2 ** np.abs(means).max()), float(2 ** np.ptp(means))
    alone = np.array([np.mean(list(seeds.values())) for seeds in found.values()])
    points = [min(losses, key=losses.__getitem__) for (one, _, _), losses in curves.items() if one == scheme]
    held = "yes" if furthest <= 2**0.5 else "no"
    error = (
        f" ± {slopes.std(ddof=1) / len(slopes) ** 0.5:.3f}, {len(slopes)} seeds" if len(slopes) > 1 else ", one seed"
    )
    return [
        *lines, "",
        f"Slope of log best rate in log width: {slopes.mean():.3f}{error}. Best rate at width {max(found)} over that "
        f"at {BASE}, seed by seed: {2 ** means[-1]:.2f}. Furthest from width {BASE}: a factor {furthest:.2f}; largest "
        f"over smallest of all: {spread:.2f}. All within one grid step (√2) of width {BASE}'s: {held}. "
        f"Without pairing, largest over smallest mean: {2 ** np.ptp(alone):.2f}. The lowest points of all single "
        f"searches lie on {max(points) - min(points) + 1} neighbouring points of the grid.",
        "",
    ]  # fmt: skip


def _factor(logs: ndarray) -> str:
    return f"{2 ** (logs.std(ddof=1) / len(logs) ** 0.5):.2f}" if len(logs) > 1 else "-"


def _slopes(found: dict[int, dict[int, float]]) -> ndarray:
    """One slope a seed that has all widths."""
    common = sorted(set.intersection(*(set(seeds) for seeds in found.values())))
    x = np.log2(list(found))
    return np.array([np.polyfit(x, [found[width][seed] for width in found], 1)[0] for seed in common])


def _excess(scheme: str, width: int, found: dict[int, dict[int, float]], curves: Curves) -> str:
    """Mean excess loss where the rate is the base's best, rounded to the grid; "-" where it was not tried."""
    if width == BASE or BASE not in found:
        return "-"
    k = round(2 * float(np.mean(list(found[BASE].values()))))
    tried = [curves[scheme, width, seed] for seed in found[width] if k in curves[scheme, width, seed]]
    return f"{np.mean([c[k] - min(c.values()) for c in tried]):.3f} (of {len(tried)})" if tried else "not tried"


def _figure(curves: Curves) -> None:
    """Loss against rate, one line a width and seed; triangles at the best rates."""
    figure, axes = canvas(2, columns=2, height=3.6)
    widths = sorted({width for _, width, _ in curves})
    colours = colormaps["viridis"](np.linspace(0, 0.9, len(widths)))
    for axis, (scheme, title) in zip(axes, TITLES.items(), strict=True):
        found = optima(scheme, curves)
        for width, colour in zip(widths, colours, strict=True):
            seeds = [curves[key] for key in curves if key[:2] == (scheme, width)]
            for losses in seeds:
                x = np.array(sorted(losses))
                y = [losses[k] for k in x]
                axis.plot(2 ** (x / 2), y, ".-", color=colour, ms=4, lw=1, label=f"width {width}")
            if width in found:
                best = 2 ** np.mean(list(found[width].values()))
                axis.plot(best, 0.02, "^", color=colour, ms=8, transform=axis.get_xaxis_transform(), clip_on=False)
        axis.set_xscale("log", base=2)
        axis.set_title(title, fontsize=LARGE)
        axis.set_xlabel("learning rate (tuned at width 64)" if scheme == "mup" else "learning rate", fontsize=LARGE)
    axes[0].set_ylabel("training loss, nats a character", fontsize=LARGE)
    legend(figure, axes, columns=5)
    FIGURES.mkdir(exist_ok=True)
    figure.savefig(FIGURES / "gpt-rates.png", dpi=150)
