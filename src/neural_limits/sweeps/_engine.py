"""What the driver asks of an engine: slots that trials are given to, and news of them."""

from __future__ import annotations

import abc
import os
from pathlib import Path
from typing import Any, NamedTuple

ONE_THREAD = {
    "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMEXPR_NUM_THREADS": "1",
    "NPROC": "1",  # what XLA takes for the number of cores
}  # fmt: skip
ONE_EIGEN_THREAD = "--xla_cpu_multi_thread_eigen=false"


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


def environment(**more: str) -> dict[str, str]:
    """Variables of a worker: one thread each, and this very package."""
    root = str(Path(__file__).parents[2])
    paths = [root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    flags = f"{os.environ.get('XLA_FLAGS', '')} {ONE_EIGEN_THREAD}".strip()
    return {**ONE_THREAD, "XLA_FLAGS": flags, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)), **more}


def cores() -> int:
    """Cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1
