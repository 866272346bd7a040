"""One training loop for the small models: warm-up, monitors, and divergence as a status."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor, nn

from ._monitor import SpectralMonitor
from ._parametrized import Parametrized

HOPELESS = 4.0  # a loss so many times the first one does not come back in the few steps trained here
BETAS = (0.9, 0.95)


@dataclass(frozen=True)
class Trained:
    """Losses before each update, inf from divergence on; ``status`` completed or diverged."""

    losses: ndarray
    status: str

    def last(self, share: float) -> float:
        """Mean loss over the last ``share`` of the updates; inf where training diverged."""
        return float(self.losses[-max(1, round(share * len(self.losses))) :].mean())


def optimizers_for(parametrized: Parametrized, lr: float, other_lr: float | None = None) -> list[torch.optim.Optimizer]:
    """The optimizers of a parametrized model: one, or Muon with ``lr`` and AdamW with ``other_lr``; no weight decay."""
    if parametrized.optimizer == "sgd":
        return [torch.optim.SGD(parametrized.param_groups(lr))]
    if parametrized.optimizer == "muon":
        muon = torch.optim.Muon(parametrized.param_groups(lr, kind="muon"))
        rest = parametrized.param_groups(lr if other_lr is None else other_lr, kind="adamw")
        return [muon, torch.optim.AdamW(rest, betas=BETAS, fused=True)]
    return [torch.optim.AdamW(parametrized.param_groups(lr), betas=BETAS, fused=True)]


def fit(
    model: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    batches: Iterable[Tensor | tuple[Tensor, Tensor]],
    loss_fn: Callable[[nn.Module, Tensor | tuple[Tensor, Tensor]], Tensor],
    *,
    steps: int,
    warmup: int = 0,
    monitor: SpectralMonitor | None = None,
    record: Sequence[int] = (),
) -> Trained:
    """``steps`` updates; rates rise linearly over the first ``warmup`` and then stay. Stops where it diverges.

    ``monitor`` is stepped after each update, and measures after the updates counted in ``record``.
    """
    plans = [torch.optim.lr_scheduler.LambdaLR(o, lambda k: min(1.0, (k + 1) / max(warmup, 1))) for o in optimizers]
    losses = np.full(steps, np.inf)
    for step, batch in zip(range(steps), batches, strict=False):
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss = loss_fn(model, batch)
        value = float(loss.detach())
        if not np.isfinite(value) or value > HOPELESS * losses[0]:
            return Trained(losses, "diverged")
        losses[step] = value
        loss.backward()
        for optimizer, plan in zip(optimizers, plans, strict=True):
            optimizer.step()
            plan.step()
        if monitor is not None:
            monitor.step(value)
            if step + 1 in record:
                monitor.measure(value)
    return Trained(losses, "completed")
