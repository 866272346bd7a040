"""The leading mode of a model that a check trains: the largest eigenvalue of its loss, in units of its rates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ._curvature import Probe, measure_curvature


class ModeProbe:
    """One batch and one optimizer; asked again as training goes on, each time from the last vector.

    lr λ of the Gauss-Newton matrix R^½ Jᵀ ∂²ℓ J R^½ as in `SpectralMonitor`: gradient descent without momentum is
    unstable above 2. NaN where no single number has that meaning: several optimizers (Muon beside AdamW), an optimizer
    with a rule of its own, a model that takes its inputs by name.
    """

    def __init__(self, model: nn.Module, batch: tuple[Any, Any], loss: Any, optimizers: Sequence[Any]) -> None:
        inputs, targets = batch
        self._model = model
        self._optimizer = optimizers[0]
        self._probe = Probe(tuple(inputs) if isinstance(inputs, list) else inputs, targets, loss, ("gauss_newton",))
        self._starts: dict[str, Tensor] = {}
        known = isinstance(self._optimizer, torch.optim.SGD | torch.optim.Adam)  # AdamW is one
        self._judged = len(optimizers) == 1 and known and isinstance(self._probe.inputs, Tensor | tuple)

    def value(self) -> float:
        """lr λ now."""
        if not self._judged:
            return math.nan
        row = measure_curvature(self._model, self._probe, self._optimizer, self._starts, seed=0)
        return float(row["gauss_newton"])
