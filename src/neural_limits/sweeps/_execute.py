"""One trial, from the claim to the finishing rename."""

from __future__ import annotations

import io
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from .. import Run, train
from ..runs import FULL, disk_message, first_line, to_json, to_netcdf, versions
from ..training import CheckpointError, checkpoint_step
from ._configuration import Configuration
from ._prepare import check_record, make_parts
from ._trial import (
    CHECKPOINT,
    CURVE,
    DATA,
    HEARTBEAT,
    LOG,
    RETRY,
    SUMMARY,
    Claim,
    ClaimLost,
    Damaged,
    read_configuration,
)

KEPT = {LOG, SUMMARY, DATA, CURVE}


class Stopped(Exception):
    """The worker was told to stop."""


@dataclass(frozen=True)
class Ended:
    """What became of a trial on this worker: finished, failed, taken (by another), stopped or lost."""

    name: str
    what: str
    status: str = ""
    message: str = ""
    loss: float = float("nan")
    seconds: float = 0.0

    def plain(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def execute(folder: Path, now: float, stop: Callable[[], bool], every: int | None) -> Ended:
    """Claim the trial, train from its checkpoint if it has one, and hand it over; nothing is raised but Ctrl-C.

    ``every``: updates between checkpoints, None for about every 30 seconds.
    """
    begun, name = time.perf_counter(), folder.name
    try:
        claim = Claim.take(folder, now)
    except OSError as error:
        return Ended(name, "failed", "blocked", _with_remedy(error, folder))
    if claim is None:
        return Ended(name, "taken")
    try:
        return _hold(claim, stop, every, begun)
    except Stopped:
        claim.log("stopped; its checkpoint is kept")
        with suppress(ClaimLost):
            claim.give("waiting")
        return Ended(name, "stopped")
    except ClaimLost:
        return Ended(name, "lost")
    except Exception as error:
        if claim.lost or not claim.folder.is_dir():
            return Ended(name, "lost")
        return _give_up(claim, error)


def _hold(claim: Claim, stop: Callable[[], bool], every: int | None, begun: float) -> Ended:
    configuration = read_configuration(claim.trial)
    claim.log("begins: " + ", ".join(f"{k} {v}" for k, v in versions().items()))
    with _heart(claim) as tell, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", UserWarning)
        run = _train(claim, configuration, every, tell, stop)
    for warning in warned:
        if warning.category is UserWarning:
            claim.log(f"warning: {warning.message}")
    loss = np.asarray(run.data.loss.values)
    _write(claim, run, loss, time.perf_counter() - begun)
    final = _final(loss, run.status)
    claim.log(f"{run.status} {run.message}".rstrip() + f", final loss {final:.6g}")
    claim.give(run.status)
    return Ended(claim.trial.name, "finished", run.status, run.message, final, time.perf_counter() - begun)


def _train(
    claim: Claim, configuration: Configuration, every: int | None, tell: Callable[[str], None], stop: Callable[[], bool]
) -> Run:
    """The run, going on from the checkpoint; one that cannot be read is discarded, and the log says so."""
    file = claim.folder / CHECKPOINT
    kept = 0

    def report(step: int, steps: int, loss: float) -> None:
        nonlocal kept
        tell(f"{step} {steps} {loss:.6g}")
        if claim.lost:
            raise ClaimLost
        if (now := _written(file)) != kept:
            kept = now
            claim.log(f"checkpoint at step {step}")
        if stop():
            raise Stopped

    options: dict[str, Any] = {"checkpoint": file, "checkpoint_every": every, "progress": report}
    if configuration.tolerance is not None:
        options["tolerance"] = configuration.tolerance
    if configuration.memory is not None:
        options["memory"] = configuration.memory * 2**30
    with jax.enable_x64(configuration.dtype == "float64"):
        parts = make_parts(configuration)
        options |= {"record": check_record(configuration), "dtype": configuration.dtype}
        for name in ("width", "steps", "weights", "seed", "batch"):
            options[name] = getattr(configuration, name)
        while True:
            kept = _written(file)
            claim.log(f"from step {(kept and checkpoint_step(file)) or 0}")
            try:
                return train(parts.network, parts.task, parts.parametrization, parts.optimizer, **options)
            except CheckpointError as error:
                claim.log(f"DISCARDED its checkpoint, begins anew: {first_line(error)}")
                file.unlink(missing_ok=True)


def _written(file: Path) -> int:
    """When it was, 0 for a file that is not there."""
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _write(claim: Claim, run: Run, loss: np.ndarray, seconds: float) -> None:
    """Dataset, loss curve and summary; what else lies in the folder is removed."""
    curve = io.BytesIO()
    np.save(curve, loss, allow_pickle=False)
    claim.write(DATA, to_netcdf(run.data))
    claim.write(CURVE, curve.getvalue())
    summary = {
        "status": run.status, "message": run.message, "loss": _final(loss, run.status), "start": float(loss[0]),
        "steps": len(loss) - 1, "seconds": seconds, "train_seconds": run.timing["seconds"], "versions": versions(),
    }  # fmt: skip
    claim.write(SUMMARY, to_json(summary))
    for path in claim.folder.iterdir():
        if path.name not in KEPT:
            path.unlink(missing_ok=True)


def _final(loss: np.ndarray, status: str) -> float:
    """The loss after the last update; inf where training diverged, the last one known where its rank was exhausted."""
    if status == "diverged":
        return float("inf")
    known = loss[np.isfinite(loss)]
    return float(known[-1]) if len(known) else float("nan")


def _give_up(claim: Claim, error: Exception) -> Ended:
    """Mark the trial failed, with the reason; a full disk leaves its code in the folder's name."""
    message, code = first_line(error), ""
    if isinstance(error, OSError):
        message = _with_remedy(error, claim.trial, RETRY)
        code = "ENOSPC" if error.errno in FULL else "DAMAGED" if isinstance(error, Damaged) else ""
    with suppress(OSError):
        claim.log(f"failed: {message}")
    try:
        claim.fail(message, code, traceback="".join(traceback.format_exception(error)))
    except ClaimLost:
        return Ended(claim.trial.name, "lost")
    except OSError as other:
        return Ended(claim.trial.name, "failed", "blocked", _with_remedy(other, claim.trial))
    return Ended(claim.trial.name, "failed", "full" if code == "ENOSPC" else "failed", message)


def _with_remedy(error: OSError, folder: Path, then: str = "run again") -> str:
    return disk_message(error, folder, then) or first_line(error)


@contextmanager
def _heart(claim: Claim) -> Iterator[Callable[[str], None]]:
    """Signs of life while the block runs, with the last word told; a lost claim is noted in it."""
    done, last = threading.Event(), ["0 0 nan"]

    def beat() -> None:
        while not done.wait(HEARTBEAT):
            try:
                claim.beat(last[0])
            except ClaimLost:
                return
            except OSError:  # a full disk: the claim's time was set before
                continue

    def tell(text: str) -> None:
        last[0] = text

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield tell
    finally:
        done.set()
        thread.join()
