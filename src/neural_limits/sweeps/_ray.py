"""Ray core as the engine: one actor a slot, wherever the cluster has room; all nodes must see the sweep's folder.

Ray only distributes. An actor keeps nothing that is not in the folder, so none is restarted and no task retried
by Ray: where an actor or its node is lost, the driver frees its trial, and another goes on from the checkpoint.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..runs import first_line
from ._engine import STARTS, Engine, News, WorkerFailed, cores, environment
from ._folder import SweepFolder
from ._owner import this_owner

if TYPE_CHECKING:
    from ._sweep import Options

RESIZE = 5.0  # seconds between looks at how large the cluster is


class RayWorker:
    """The worker inside an actor; `ready` first, then `run` as often as wanted, `stop` at any time."""

    def __init__(self, folder: str, every: int | None) -> None:
        self.folder, self.every = Path(folder), every

    def ready(self) -> str:
        """Who this process is; OSError where the folder is not on this node."""
        from ._worker import Worker

        try:
            SweepFolder.open(self.folder)
        except OSError as error:
            raise OSError(
                f"{error} The engine ray needs the sweep's folder under one path on every node: a shared file system."
            ) from None
        self.worker = Worker(self.folder, self.every)
        return this_owner()

    def run(self, name: str, shape: str) -> dict[str, object]:
        """Train a trial."""
        return self.worker.run(name, shape)

    def stop(self) -> None:
        """Stop the trial in hand at its next look."""
        self.worker.stopping.set()


class _Slot:
    def __init__(self, actor: Any) -> None:
        self.actor, self.trial, self.owner = actor, "", ""


class RayEngine(Engine):
    """As many actors as the cluster has room for, at most ``workers``; nodes that come and go are followed."""

    def __init__(self, folder: Path, options: Options) -> None:
        try:
            import ray
        except ImportError:
            raise ImportError('the engine ray needs Ray; pip install "neural-limits[ray]".') from None
        self.ray: Any = ray
        self.folder, self.options = folder.resolve(), options
        self._ours = not ray.is_initialized()
        if self._ours:
            self._connect()
        variables = environment(max(1, round(options.cpus)))
        if not options.gpus:
            variables["JAX_PLATFORMS"] = "cpu"
        self._actor = ray.remote(RayWorker).options(
            num_cpus=options.cpus, num_gpus=options.gpus, max_restarts=0, max_task_retries=0, max_concurrency=2,
            runtime_env={"env_vars": variables},
        )  # fmt: skip
        self._slots: dict[str, _Slot] = {}
        self._waiting: dict[Any, str] = {}  # what was asked, of which slot
        self._started = self._failed_starts = 0
        self._sized = 0.0
        self._resize()

    def idle(self) -> list[str]:
        return [name for name, slot in self._slots.items() if slot.owner and not slot.trial]

    def busy(self) -> dict[str, str]:
        return {name: slot.trial for name, slot in self._slots.items() if slot.trial}

    def submit(self, slot: str, trial: str, shape: str) -> None:
        chosen = self._slots[slot]
        chosen.trial = trial
        self._waiting[chosen.actor.run.remote(trial, shape)] = slot

    def news(self, timeout: float) -> list[News]:
        if time.monotonic() - self._sized > RESIZE:
            self._resize()
        if not self._waiting:
            time.sleep(timeout)
            return []
        done, _ = self.ray.wait([*self._waiting], num_returns=1, timeout=timeout)
        if done:  # what else has come in meanwhile
            done, _ = self.ray.wait([*self._waiting], num_returns=len(self._waiting), timeout=0)
        return [news for answer in done for news in self._heard(answer)]

    def stop(self, grace: float) -> None:
        ray = self.ray
        for slot in self._slots.values():
            if slot.trial:
                with suppress(Exception):
                    slot.actor.stop.remote()
        asked = [answer for answer, name in self._waiting.items() if self._slots[name].trial]
        if asked and grace:
            ray.wait(asked, num_returns=len(asked), timeout=grace)
        for slot in self._slots.values():
            with suppress(Exception):
                ray.kill(slot.actor)
        self._slots.clear()
        self._waiting.clear()
        if self._ours:
            ray.shutdown()

    def _connect(self) -> None:
        """The cluster at the address, or one on this machine alone."""
        options = self.options
        if options.address is not None:
            self.ray.init(address=options.address, log_to_driver=False)
            return
        count = cores() if options.workers is None else round(options.workers * options.cpus)
        self.ray.init(address="local", num_cpus=count, log_to_driver=False, include_dashboard=False)

    def _heard(self, answer: Any) -> list[News]:
        name = self._waiting.pop(answer)
        slot = self._slots[name]
        try:
            value = self.ray.get(answer)
        except self.ray.exceptions.RayActorError as error:
            del self._slots[name]
            message = first_line(error)
            self._failed_starts = 0 if slot.owner else self._failed_starts + 1
            if self._failed_starts > STARTS * max(1, len(self._slots)):
                raise WorkerFailed(f"actors end before they are ready ({message}); see Ray's logs.") from None
            self._resize()
            return [News(name, slot.trial, None, slot.owner, message)]
        except self.ray.exceptions.RayTaskError as error:
            cause = error.cause if isinstance(error.cause, Exception) else error
            raise cause from None
        if not slot.owner:
            slot.owner = value
            return []
        trial, slot.trial = slot.trial, ""
        return [News(name, trial, value)]

    def _resize(self) -> None:
        """As many actors as there is room for; the one beyond that waits for a node."""
        self._sized = time.monotonic()
        there = self.ray.cluster_resources()
        room = [int(there.get("CPU", 0) // self.options.cpus)]
        if self.options.gpus:
            room.append(int(there.get("GPU", 0) / self.options.gpus + 1e-9))
        most = max(1, min(room))
        if self.options.workers is not None:
            most = min(most, self.options.workers)
        while len(self._slots) < most:
            self._started += 1
            name = f"ray-{self._started}"
            self._slots[name] = _Slot(self._actor.remote(str(self.folder), self.options.checkpoint_every))
            self._waiting[self._slots[name].actor.ready.remote()] = name
