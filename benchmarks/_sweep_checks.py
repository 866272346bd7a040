"""Drivers to kill, and what must be true of a sweep's folder afterwards."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import xarray as xr

from neural_limits.sweeps import SweepFolder, status

COMMAND = "import sys; from neural_limits.cli import main; sys.exit(main(sys.argv[1:]))"


def start(out: Path, *words: str) -> subprocess.Popen[bytes]:
    """`neural-limits sweep run` in a process of its own, its words in a file beside the folder."""
    with open(out.with_suffix(".log"), "ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", COMMAND, "sweep", "run", "--out", str(out), *words], stdout=log, stderr=log
        )


def owners(folder: SweepFolder) -> list[int]:
    """Processes that have a trial in hand."""
    return [int(running.owner.split("-")[1]) for running in status(folder).running]


def disturb(out: Path, words: Sequence[str], kills: int, seed: int, pause: tuple[float, float]) -> Counter[str]:
    """Run a sweep and kill -9 its driver or one of its workers at random times; how often each was hit.

    ``pause``: the range of seconds between a sign that trials are in hand and the next kill.
    """
    rng, hits = random.Random(seed), Counter[str]()
    driver = start(out, *words)
    while sum(hits.values()) < kills:
        _until_in_hand(out, driver)
        time.sleep(rng.uniform(*pause))
        if driver.poll() is not None:
            raise RuntimeError(f"the driver ended after {sum(hits.values())} kills; make the trials longer")
        victims = owners(SweepFolder.open(out))
        target = rng.choice(["driver", "worker"])
        if target == "worker":
            if not victims:
                continue
            with suppress(ProcessLookupError):
                os.kill(rng.choice(victims), signal.SIGKILL)
        else:
            driver.kill()
            driver.wait()
            driver = start(out, *words)
        hits[target] += 1
    if driver.wait(timeout=1200) != 0:
        raise RuntimeError(out.with_suffix(".log").read_text()[-2000:])
    return hits


def _until_in_hand(out: Path, driver: subprocess.Popen[bytes]) -> None:
    """Wait until a worker has begun a trial."""
    while not ((out / "sweep.json").exists() and owners(SweepFolder.open(out))) and driver.poll() is None:
        time.sleep(0.1)


def history(log: str) -> tuple[list[int], int, int, int]:
    """Of a trial's log: steps it began from, ends, steps repeated beyond the last checkpoint, resumptions."""
    begins = [int(x) for x in re.findall(r" from step (\d+)", log)]
    ends = len(re.findall(r" (?:completed|diverged).* final loss", log))
    kept, beyond = 0, 0
    for kind, step in re.findall(r" (from|checkpoint at) step (\d+)", log):
        if kind == "from":
            beyond += max(0, kept - int(step))
        kept = int(step)
    return begins, ends, beyond, sum(step > 0 for step in begins)


def audit(out: Path, reference: Path | None) -> dict[str, int]:
    """Counts that say whether each trial was finished once, none lost, none repeated, all as in the reference."""
    folder, found = SweepFolder.open(out), Counter[str]()
    for trial in folder.scan():
        found["trials"] += 1
        found[trial.state] += 1
        begins, ends, beyond, resumed = history((trial.folder / "log.txt").read_text())
        found["begun more than once"] += len(begins) > 1
        found["attempts"] += len(begins)
        found["resumed from a checkpoint"] += resumed
        found["finished other than once"] += ends != 1
        found["steps repeated beyond a checkpoint"] += beyond
        if reference is not None:
            found["differing from the undisturbed"] += not same(trial.folder, reference / "trials" / trial.name)
    return dict(found)


def same(folder: Path, reference: Path) -> bool:
    """Whether all that two finished trials recorded is equal to the bit."""
    other = next((p.parent for p in reference.glob("*/loss.npy")), reference)
    if not (other / "loss.npy").exists() or (folder / "loss.npy").read_bytes() != (other / "loss.npy").read_bytes():
        return False
    a, b = (xr.load_dataset(p / "data.nc", engine="h5netcdf") for p in (folder, other))
    return set(a.variables) == set(b.variables) and all(
        np.array_equal(a[name].values, b[name].values, equal_nan=a[name].dtype.kind == "f") for name in a.variables
    )
