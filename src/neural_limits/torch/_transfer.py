"""Does the learning rate transfer? Train a model at several sizes for a few steps and compare, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
import xarray as xr
from matplotlib.figure import Figure
from torch import nn

from .._checks import positive_float, positive_int
from ._check_figures import slopes_figure
from ._study import Loss, OwnOptimizer, Study, study
from ._training_runs import recorded, renaming, run
from ._verdicts import verdicts


@dataclass(frozen=True)
class TransferCheck:
    """What `transfer_check` found: trajectories in ``data``, slopes and rules in ``verdict``."""

    data: xr.Dataset
    verdict: pd.DataFrame

    @property
    def passed(self) -> bool:
        """Whether every model trained and nothing was inconsistent; undecided rows do not count against it."""
        return not self.verdict.verdict.isin(["inconsistent", "diverged"]).any()

    @property
    def rules(self) -> list[str]:
        """The rules that are likely wrong, each once."""
        found = self.verdict.likely_rule[self.verdict.verdict == "inconsistent"]
        return [rule for rule in dict.fromkeys(found) if not rule.startswith(("follows", "may follow"))]

    def plot(self) -> Figure:
        """Each layer's own change, each weight's and its outlier over width (and depth); leading mode and loss."""
        return slopes_figure(self.data, ("own_change", "weight_change", "largest"), losses=True)


def transfer_check(
    make_model: Callable[..., nn.Module],
    widths: Sequence[int] = (64, 128, 256),
    *,
    batches: Any,
    loss: Loss,
    scheme: str | None = "mup",
    optimizer: str | OwnOptimizer | Sequence[str | OwnOptimizer] = "adamw",
    lr: float = 1e-2,
    steps: int = 50,
    weight_decay: float = 0.0,
    depths: Sequence[int] | None = None,
    seeds: int | Iterable[int] = 3,
    base_width: int | None = None,
    base_depth: int | None = None,
    tolerance: float = 0.25,
    **options: Any,
) -> TransferCheck:
    """Train ``make_model(width=)`` for a few steps at several widths and say which layer's rule is likely wrong.

    Of every quantity q the exponent s of q ∝ width^s (depth^s) is fitted over all sizes and seeds, with its standard
    error. Judged: the size of outputs at initialisation, a layer's own change |f(W_t; x_0) - f(W_0; x_0)|, changes of
    attention logits and of the residual stream (geometric means over the first four recorded steps), what weight
    decay takes from each weight in a step, the largest singular value over the initial edge at the end, the leading
    mode lr λ of the loss (steps 2 to 4), and the loss over the last quarter. A row is inconsistent if s is further
    than ``tolerance`` (for the loss, a tenth of it) and two errors from what a width-consistent model has. Recorded
    besides: |W_t - W_0| in operator norm over √(fan_out / fan_in), relative updates, counts of outliers.

    - ``batches``: pairs (inputs, targets), used in turn, or a function of the step. The first one is the probe.
    - ``loss(outputs, targets)``.
    - ``scheme``, ``optimizer``, ``options``: as in `parametrize`; several optimizers as a list. ``scheme=None`` takes
      the model as it is built, and ``optimizer`` is then a function of the model that returns torch optimizers. Under
      "muon" the hidden matrices get Muon and the rest AdamW, both with ``lr``; there is no leading mode then.
    - ``depths``: then make_model(width=, depth=); depths are compared at the first width, widths at the first depth.
    - ``base_width``, ``base_depth``: where the scheme changes nothing; the smallest by default.

    A model whose loss is not finite has status "diverged" in ``.data``; the others are judged without that size.
    Errors: ValueError for fewer than two sizes, a factory that does not take them or does not scale, no batches, a
    rate that is not positive, an own optimizer with a scheme. Cost: sizes · seeds training runs, and at each of
    about log2(steps) records four forward passes, the singular values of every matrix and up to 60 products with the
    Gauss-Newton matrix.

    >>> import torch
    >>> def make(width):
    ...     return nn.Sequential(nn.Linear(8, width), nn.ReLU(), nn.Linear(width, 2))
    >>> batch = torch.ones(4, 8), torch.zeros(4, 2)
    >>> check = transfer_check(make, (32, 64), batches=[batch], loss=nn.functional.mse_loss, steps=2)
    >>> sorted(check.data.sizes)
    ['iteration', 'layer', 'optimizer', 'parameter', 'seed', 'size', 'step']
    """
    made = study(
        make_model, widths, depths, batches, loss, scheme, optimizer, lr, weight_decay, seeds, base_width, base_depth,
        options,
    )  # fmt: skip
    tolerance = positive_float("tolerance", tolerance)
    data = run(made, recorded(positive_int("steps", steps)), weights=True)
    return TransferCheck(data, verdicts(data, _roles(made), made.plain(), tolerance))


def _roles(made: Study) -> dict[str, str]:
    """By the names that the data use."""
    rename = renaming(made)
    with torch.random.fork_rng():
        model = made.model(made.sizes[0], made.seeds[0])
        found = made.roles(model, made.sizes[0])
    return {rename(name): _kind(model, name, place.role) for name, place in found.items()}


def _kind(model: nn.Module, name: str, role: str) -> str:
    """The role, by the module that uses the parameter: a tied one is an embedding here and a readout there."""
    table = isinstance(model.get_submodule(name.rpartition(".")[0]), nn.Embedding | nn.EmbeddingBag)
    if table and role in ("input", "tied"):
        return "embedding"
    return "output" if role == "tied" else role
