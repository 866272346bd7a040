"""What the driver asks of an engine: slots that trials are given to, and news of them."""

from __future__ import annotations

import abc
import os
from pathlib import Path
from typing import Any, NamedTuple

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC")  # NPROC: XLA's number of cores
ONE_EIGEN_THREAD = "--xla_cpu_multi_thread_eigen=false"
STARTS = 3  # workers in a row that may die before they are ready


class WorkerFailed(OSError):
    """Workers cannot be started; one line with the last of their words."""


class News(NamedTuple):
    """What an engine has to say about a slot: a trial ended there, or the slot died with the trial it had."""

    slot: str
    trial: str  # empty for a slot that had none
    ended: dict[str, Any] | None  # as `Ended.plain`; None where the slot died
    owner: str = ""  # whose claim is void, where the slot died
    message: str = ""


class Engine(abc.ABC):
    """Slots on processes somewhere; the folder is the truth, an engine only distributes."""

    @abc.abstractmethod
    def idle(self) -> list[str]:
        """Slots that a trial can be given to now."""

    @abc.abstractmethod
    def busy(self) -> dict[str, str]:
        """The trials in hand, by slot."""

    @abc.abstractmethod
    def submit(self, slot: str, trial: str, shape: str) -> None:
        """Give a trial to an idle slot."""

    @abc.abstractmethod
    def news(self, timeout: float) -> list[News]:
        """What happened since the last call, or within so many seconds."""

    @abc.abstractmethod
    def stop(self, grace: float) -> None:
        """Let trials in hand keep a checkpoint, for so many seconds at most, then end all processes."""


def environment(threads: int = 1) -> dict[str, str]:
    """Variables of a worker: so many threads, no more GPU memory than it uses, and this very package."""
    root = str(Path(__file__).parents[2])
    paths = [root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    flags = os.environ.get("XLA_FLAGS", "") + (f" {ONE_EIGEN_THREAD}" if threads == 1 else "")
    preallocate = os.environ.get("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    more = {"XLA_FLAGS": flags.strip(), "XLA_PYTHON_CLIENT_PREALLOCATE": preallocate}
    return {**dict.fromkeys(THREADS, str(threads)), **more, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}


def cores() -> int:
    """Cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1
