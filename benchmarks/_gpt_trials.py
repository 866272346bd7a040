"""Trials of a small GPT: one run at one rate, the search for the best rate of a width, and the file of all trials."""

from __future__ import annotations

import csv
import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, get_type_hints

import torch

from neural_limits.tasks import text
from neural_limits.torch import parametrize
from neural_limits.torch._real_training import fit, optimizers_for
from neural_limits.torch._small_models import GPT, next_symbol_loss

BASE, BLOCKS, BATCH, TOKENS = 64, 2, 8, 64
LAST = 0.15  # share of the updates whose mean loss is compared
START = -16  # half octaves: 2^-8, the best rate of the base in a coarse scan
MOST = 40  # half octaves from there; a search that goes further is lost


class Trial(NamedTuple):
    """One run: rate 2^(half_octaves/2), mean loss over the last updates (inf: diverged)."""

    scheme: str
    width: int
    seed: int
    half_octaves: int
    steps: int
    loss: float
    status: str
    seconds: float


def run_trial(scheme: str, width: int, seed: int, half_octaves: int, steps: int) -> Trial:
    """Initial values and batches follow from the seed; all widths and rates see the same batches."""
    began, data = time.perf_counter(), text()
    torch.manual_seed(seed)
    base = GPT(BASE, BLOCKS, data.symbols, TOKENS)
    torch.manual_seed(seed)
    model = GPT(width, BLOCKS, data.symbols, TOKENS)
    rules = parametrize(model, base, scheme=scheme, optimizer="adamw")
    batches = (torch.from_numpy(data.windows(BATCH, TOKENS + 1, (seed, step))) for step in range(steps))
    optimizers = optimizers_for(rules, 2 ** (half_octaves / 2))
    trained = fit(model, optimizers, batches, next_symbol_loss, steps=steps, warmup=steps // 10)
    seconds = time.perf_counter() - began
    return Trial(scheme, width, seed, half_octaves, steps, trained.last(LAST), trained.status, seconds)


def next_rate(losses: dict[int, float], start: int, spacing: int) -> int | None:
    """The next rate to try, in half octaves; None once the lowest loss has both its neighbours measured.

    Begins with ``start`` and ``spacing`` to either side, goes on outwards while the lowest is at an end, then fills.
    """
    for k in (start, start - spacing, start + spacing):
        if k not in losses:
            return k
    if not any(math.isfinite(loss) for loss in losses.values()):
        k = min(losses) - 4
    else:
        best = min(losses, key=lambda k: losses[k])
        for side in (-1, 1):
            beyond = [k for k in losses if (k - best) * side > 0]
            if not beyond:
                k = best + side * spacing
                break
        else:
            k = next((k for k in (best - 1, best + 1) if k not in losses), None)
    if k is not None and abs(k - START) > MOST:
        raise RuntimeError(f"no best rate between 2^{(START - MOST) / 2:g} and 2^{(START + MOST) / 2:g}.")
    return k


def search(
    scheme: str, widths: Sequence[int], seeds: int, steps: int, file: Path, trial: Callable[..., Trial] = run_trial
) -> None:
    """All trials of a scheme that the file has not: seed by seed, width by width, each from its neighbour's best."""
    torch.set_num_threads(1)
    best: dict[tuple[int, int], int] = {}
    for seed in range(seeds):
        for i, width in enumerate(widths):
            done = {
                t.half_octaves: t.loss
                for t in read_trials(file)
                if (t.scheme, t.width, t.seed, t.steps) == (scheme, width, seed, steps)
            }
            start, spacing = (best[0, width], 1) if seed else (_guess([best[0, w] for w in widths[:i]]), 2)
            while (k := next_rate(done, start, spacing)) is not None:
                found = trial(scheme, width, seed, k, steps)
                append_trial(file, found)
                done[k] = found.loss
                print(f"{scheme}, width {width}, seed {seed}: {2 ** (k / 2):.2e} {found.loss:.4f}", flush=True)
            best[seed, width] = min(done, key=lambda k: done[k])


def _guess(before: Sequence[int]) -> int:
    """The best rate one width on, if it moves as it did so far."""
    if len(before) < 2:
        return before[-1] if before else START
    return before[-1] + round((before[-1] - before[0]) / (len(before) - 1))


def read_trials(file: Path) -> list[Trial]:
    if not file.exists():
        return []
    with file.open(newline="") as lines:
        return [
            Trial(*(kind(value) for kind, value in zip(get_type_hints(Trial).values(), row, strict=True)))
            for row in csv.reader(lines)
        ]


def append_trial(file: Path, trial: Trial) -> None:
    """One line in one write, so that two processes may append to the same file."""
    line = ",".join(str(value) for value in trial) + "\n"
    with file.open("ab", buffering=0) as out:
        out.write(line.encode())
        os.fsync(out.fileno())
