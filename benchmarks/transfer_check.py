"""Does `transfer_check` find five planted mistakes, name them, and pass the right model? Five checks of each.

A Transformer of two blocks (2 to 8 where depth is at stake) under CompleteP and AdamW, widths 32 to 128, two seeds a
check; every check has seeds of its own.

    python benchmarks/transfer_check.py [--quick]
"""

from __future__ import annotations

import sys
import time

import torch

from _common import machine, write
from _planted import NAMED, adamw, batches, loss, maker
from neural_limits.torch import TransferCheck, transfer_check

WIDTHS, DEPTHS, SEEDS, STEPS = (32, 64, 128), (2, 4, 8), 2, 8


def check(mistake: str, number: int) -> TransferCheck:
    deep = mistake in ("none", "residual depth factor")
    made = maker(mistake)
    return transfer_check(
        made, WIDTHS, depths=DEPTHS if deep else None, batches=batches(), loss=loss, scheme=None, optimizer=adamw,
        steps=STEPS, seeds=range(SEEDS * number, SEEDS * (number + 1)),
    )  # fmt: skip


def row(mistake: str, checks: int) -> str:
    begun = time.perf_counter()
    found = [check(mistake, number) for number in range(checks)]
    seconds = (time.perf_counter() - begun) / checks
    flagged = sum(not one.passed for one in found)
    named = sum(one.rules == ([] if NAMED[mistake] is None else [NAMED[mistake]]) for one in found)
    others = sorted({rule for one in found for rule in one.rules if rule != NAMED[mistake]})
    counts = f"{flagged} / {checks} | {named} / {checks}"
    return f"| {mistake} | {counts} | {', '.join(others) or 'none'} | {seconds:.1f} |"


def main(quick: bool) -> None:
    torch.set_num_threads(1)
    checks = 1 if quick else 5
    lines = [
        f"Machine: {machine()}; torch {torch.__version__}, one thread", "",
        f"Widths {WIDTHS}, depths {DEPTHS} for the first and the last, {SEEDS} seeds a check, {STEPS} steps, AdamW.",
        "",
        "| planted | found inconsistent | named right and alone | other rules named | seconds a check |",
        "|-|-|-|-|-|",
    ]  # fmt: skip
    rows = [row(mistake, checks) for mistake in (("readout multiplier",) if quick else NAMED)]
    named = sum(int(one.split("|")[3].split("/")[0]) for one in rows)
    told = {f"{len(rows) * checks} checks, planted mistake named right and alone, or nothing where none is": str(named)}
    write("transfer-check-quick" if quick else "transfer-check", [*lines, *rows], told)


if __name__ == "__main__":
    main("--quick" in sys.argv[1:])
