"""Callbacks for Lightning and the Hugging Face Trainer, built where they are asked for: neither is needed otherwise."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ._monitor import SpectralMonitor


def lightning_callback(monitor: SpectralMonitor) -> Any:
    """A Lightning callback that steps the monitor after each update and stores it in checkpoints.

    ``Trainer(callbacks=[lightning_callback(monitor)])``. With gradient accumulation only updates count. ImportError
    where neither ``lightning`` nor ``pytorch_lightning`` is installed.
    """
    base = _first(("lightning.pytorch", "pytorch_lightning"), "Callback", "lightning")

    class SpectralCallback(base):  # type: ignore[misc, valid-type]
        """Steps a SpectralMonitor."""

        def __init__(self) -> None:
            super().__init__()
            self._seen = 0

        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            self._seen = trainer.global_step

        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            if trainer.global_step == self._seen:  # accumulating
                return
            self._seen = trainer.global_step
            monitor.step(outputs.get("loss") if isinstance(outputs, dict) else outputs)

        def state_dict(self) -> dict[str, Any]:
            return monitor.state_dict()

        def load_state_dict(self, state_dict: dict[str, Any]) -> None:
            monitor.load_state_dict(state_dict)

    return SpectralCallback()


def trainer_callback(monitor: SpectralMonitor) -> Any:
    """A Hugging Face callback that steps the monitor after each update, while the gradients are still there.

    ``Trainer(callbacks=[trainer_callback(monitor)])``; the loss is the last one logged. It uses ``on_optimizer_step``
    (transformers 4.46 and later). ImportError where transformers is not installed.
    """
    base = _first(("transformers",), "TrainerCallback", "transformers")

    class SpectralTrainerCallback(base):  # type: ignore[misc, valid-type]
        """Steps a SpectralMonitor."""

        def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
            if monitor.optimizer is None:
                monitor.optimizer = getattr(kwargs.get("optimizer"), "optimizer", kwargs.get("optimizer"))
            monitor.step(losses[-1] if losses else None)

    return SpectralTrainerCallback()


def _first(modules: tuple[str, ...], name: str, package: str) -> Any:
    """The class of the first module that is installed."""
    for module in modules:
        try:
            return getattr(import_module(module), name)
        except ModuleNotFoundError:
            continue
    raise ImportError(f"the callback needs {package}; install it with: pip install {package}.")
