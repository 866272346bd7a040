"""How large every module's output is, and how far a few steps move it, over width and depth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch.nn.functional as F
import xarray as xr
from matplotlib.figure import Figure
from torch import Tensor, nn

from .._checks import positive_float, positive_int
from ._check_figures import slopes_figure
from ._coordinates import first_tensor
from ._size_slopes import axes, ladder, slope
from ._study import Loss, OwnOptimizer, study
from ._training_runs import run


@dataclass(frozen=True)
class CoordinateCheck:
    """What `coordinate_check` found."""

    data: xr.Dataset
    verdict: pd.DataFrame

    def plot(self) -> Figure:
        """Sizes and last changes over width (and depth), one line a module."""
        return slopes_figure(self.data, ("size", "change"))


def coordinate_check(
    make_model: Callable[..., nn.Module],
    widths: Sequence[int] = (64, 128, 256),
    *,
    batches: Any,
    loss: Loss | None = None,
    scheme: str | None = "mup",
    optimizer: str | OwnOptimizer | Sequence[str | OwnOptimizer] = "adamw",
    lr: float = 1e-2,
    steps: int = 3,
    weight_decay: float = 0.0,
    depths: Sequence[int] | None = None,
    seeds: int | Iterable[int] = 3,
    base_width: int | None = None,
    base_depth: int | None = None,
    tolerance: float = 0.25,
    **options: Any,
) -> CoordinateCheck:
    """Sizes of every module's output at initialisation and of its change after steps 1..steps, as powers of width.

    For size s and change of each module (attention logits too), s ∝ width^slope (and depth^slope), fitted over all
    sizes and seeds with its standard error: ``.data`` has values and slopes at each step, ``.verdict`` a row for the
    size and one for the last change: grows, shrinks or stable (within ``tolerance`` and two errors). Under muP no
    change grows or shrinks with width; outputs of the readout and attention logits start smaller the wider the model.

    Arguments and errors as in `transfer_check`, except ``loss``: by default cross-entropy of the model's first output
    if targets are whole numbers, mean squared error otherwise. Cost: sizes · seeds · steps training steps, each with
    two more forward passes. Source: Yang et al. 2022 (Tensor Programs V), appendix D.

    >>> import torch
    >>> def make(width):
    ...     return nn.Sequential(nn.Linear(8, width), nn.ReLU(), nn.Linear(width, 2))
    >>> batch = torch.ones(4, 8), torch.zeros(4, 2)
    >>> check = coordinate_check(make, (64, 256, 1024), batches=[batch])
    >>> check.verdict.query("layer == '0' and quantity == 'size'").verdict.item()
    'stable'
    """
    made = study(
        make_model, widths, depths, batches, loss or default_loss, scheme, optimizer, lr, weight_decay, seeds,
        base_width, base_depth, options,
    )  # fmt: skip
    tolerance = positive_float("tolerance", tolerance)
    data = run(made, list(range(1, positive_int("steps", steps) + 1)), weights=False)
    for axis in axes(data):
        part = ladder(data, axis)
        for name in ("size", "change"):
            found = slope(part[name], part[axis])
            for suffix, values in zip(("", "_stderr"), found, strict=True):
                data[f"{name}_{axis}_slope{suffix}"] = values.assign_attrs(long_name=f"d log {name} / d log {axis}")
    return CoordinateCheck(data, _verdict(data, tolerance))


def default_loss(output: Any, targets: Tensor) -> Tensor:
    """Cross-entropy (classes last) of whole-number targets, mean squared error of others."""
    values = first_tensor(output)
    if values is None or not isinstance(targets, Tensor):
        raise ValueError("`loss` must be given where the model's output or the targets are not tensors.")
    if targets.is_floating_point():
        return F.mse_loss(values, targets)
    return F.cross_entropy(values.flatten(0, -2), targets.flatten())


def _verdict(data: xr.Dataset, tolerance: float) -> pd.DataFrame:
    rows = []
    for optimizer in map(str, data.optimizer.values):
        part = data.sel(optimizer=optimizer).isel(step=-1)
        for axis in axes(data):
            for layer in map(str, data.layer.values):
                for name in ("size", "change"):
                    value, error = (float(part[f"{name}_{axis}_slope{s}"].sel(layer=layer)) for s in ("", "_stderr"))
                    rows.append((optimizer, axis, layer, name, value, error, _word(value, error, tolerance)))
    return pd.DataFrame(rows, columns=["optimizer", "axis", "layer", "quantity", "slope", "error", "verdict"])


def _word(value: float, error: float, tolerance: float) -> str:
    if not np.isfinite(value):
        return "none"  # zero, or not finite: see status in the data
    beyond = abs(value) - tolerance > (2 * error if np.isfinite(error) else 0.0)
    return ("grows" if value > 0 else "shrinks") if beyond else "stable"
