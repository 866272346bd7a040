"""SpectralMonitor: what the weights of a PyTorch model learn, seen in their spectra while it trains."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from .._checks import positive_float, positive_int
from ._curvature import checked_probe, measure_curvature
from ._matrices import InitStd, as_matrix, exact_products, find_matrices, starting_std, unwrapped
from ._measure import Row, Setting, measure_matrix
from ._sinks import Sink, write_table


class SpectralMonitor:
    """Singular values, outliers, bulk and gradient overlaps of every weight, every so many updates of training.

    Build it where the model has just been initialised, and call ``step(loss)`` after each ``optimizer.step()``, before
    the gradients are cleared. Every ``every`` updates each weight matrix (parameters of two or more dimensions,
    rows by all others; shared ones once) gives a row:

    * ``s1`` ... the ``top`` singular values, ``error`` by which each may be off: all in float64 up to 512 rows or
      columns, else block Lanczos to ``tolerance``; ``stable_rank`` |W|²/s1²;
    * ``edge`` τ(√rows + √columns) of noise of ``init_std`` τ; ``threshold`` that noise passes with probability
      ``false_alarm`` in one row (Tracy-Widom); ``outliers`` above it; ``escape_step``, the first measured step
      with an outlier, and ``escape1`` ... with so many;
    * ``q10`` ... ``q90``, quantiles of all values, and ``q_error``, their standard error; ``bulk``, ``separated`` and
      ``bulk_shift`` as in `neural_limits.spectra.diagnose` (in large weights the shift of the median);
    * ``overlap1`` ... |uᵢᵀ G vᵢ|/|G| with the last gradient, ``gradient_share`` |Uᵀ G V|²/|G|²;
    * ``step``, ``matrix``, ``rows``, ``columns``, ``loss``, ``lr``, and ``status``: completed, no_convergence, zero,
      non_finite.

    ``include``, ``exclude``: patterns of parameter names. ``init_std``: by name, or a function of (name, parameter),
    for a model that has been trained already; None for no edge. ``optimizer``: for ``lr``, and the metric of the
    curvature. ``probe`` (inputs, targets) with ``loss``(outputs, targets): every ``curvature_every`` updates (default
    10 ``every``) the eigenvalues named in ``kinds`` go to `curvature_to_pandas`. ``sinks``: callables that take a row.

    ValueError for a model without a matrix, ``every`` or ``top`` below one, names in ``init_std`` that the model has
    not; when measuring, for a weight whose shape has changed. Nothing is attached to the model. In a process
    group rank 0 measures; a sharded parameter (DTensor) is gathered whole, one at a time, by all ranks.
    A step at which nothing is due only counts. Cost, source: docs/monitor.md.

    >>> _ = torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 10))
    >>> monitor = SpectralMonitor(model, every=1, top=2)
    >>> monitor.step()
    >>> monitor.to_pandas()[["step", "matrix", "outliers"]]
       step    matrix  outliers
    0     1  0.weight         0
    1     1  2.weight         0
    """

    def __init__(
        self,
        model: nn.Module,
        every: int = 50,
        top: int = 8,
        *,
        include: Sequence[str] = ("*",),
        exclude: Sequence[str] = (),
        init_std: InitStd | None = None,
        optimizer: torch.optim.Optimizer | None = None,
        probe: tuple[Any, Any] | None = None,
        loss: Callable[[Tensor, Any], Tensor] | None = None,
        curvature_every: int | None = None,
        kinds: Sequence[str] = ("hessian", "gauss_newton"),
        false_alarm: float = 0.01,
        tolerance: float = 1e-4,
        sinks: Iterable[Sink] = (),
        seed: int = 0,
    ) -> None:
        self.every = positive_int("every", every)
        self._setting = Setting(positive_int("top", top), false_alarm, positive_float("tolerance", tolerance))
        if not 1e-12 <= false_alarm <= 0.5:
            raise ValueError(f"`false_alarm` must be in [1e-12, 0.5]; got {false_alarm}.")
        self._probe = checked_probe(probe, loss, kinds)
        self.curvature_every = (
            10 * self.every if curvature_every is None else positive_int("curvature_every", curvature_every)
        )
        self._model = unwrapped(model)
        self._patterns = tuple(include), tuple(exclude)
        found = self._parameters()
        if init_std is not None and not callable(init_std) and (unknown := set(init_std) - set(found)):
            raise ValueError(f"`init_std` must name weights of the model; got {sorted(unknown)[0]!r}.")
        self.init_std = {name: starting_std(name, p, init_std) for name, p in found.items()}
        self._shapes = {name: tuple(p.shape) for name, p in found.items()}
        self.optimizer, self.sinks, self.seed = optimizer, list(sinks), seed
        self.steps, self.seconds = 0, 0.0
        self._rows: list[Row] = []
        self._curvature: list[Row] = []
        self._escapes: dict[str, list[int]] = {name: [] for name in found}
        self._subspaces: dict[str, Tensor] = {}
        self._starts: dict[str, Tensor] = {}

    def step(self, loss: Tensor | float | None = None) -> None:
        """Count one update; measure if it is due."""
        self.steps += 1
        if self.steps % self.every == 0:
            self.measure(loss)
        if self._probe is not None and self.steps % self.curvature_every == 0:
            self.measure_curvature(loss)

    def measure(self, loss: Tensor | float | None = None) -> None:
        """Measure every weight now, at the present count of updates (0: before training)."""
        began = time.perf_counter()
        rates = self._rates()
        common = {"step": self.steps, "loss": _number(loss)}
        rows = []
        for index, (name, parameter) in enumerate(self._parameters().items()):
            if (shape := tuple(parameter.shape)) != self._shapes[name]:
                raise ValueError(
                    f"`model` has changed: {name} was {self._shapes[name]}, is {shape}; build a new monitor."
                )
            with exact_products(parameter.device):
                matrix = as_matrix(parameter)
                gradient = None if parameter.grad is None else as_matrix(parameter.grad).to(matrix.dtype)
                if not _reports():
                    continue
                start, seed = self._subspaces.pop(name, None), (self.seed, self.steps, index)
                row, kept = measure_matrix(matrix, gradient, self.init_std[name], self._setting, start, _mixed(seed))
            if kept is not None:
                self._subspaces[name] = kept
            rows.append(
                {**common, "matrix": name, "rows": matrix.shape[0], "columns": matrix.shape[1], "lr": rates.get(name)}
                | row | self._escape_fields(name, row.get("outliers") or 0)
            )  # fmt: skip
        self._rows += rows
        self._send(rows)
        self.seconds += time.perf_counter() - began

    def measure_curvature(self, loss: Tensor | float | None = None) -> None:
        """Measure the leading curvature eigenvalues now; ValueError without a probe."""
        if self._probe is None:
            raise ValueError("`probe` must be given for the curvature: probe=(inputs, targets), loss=function.")
        if not _reports():
            return
        began = time.perf_counter()
        seed = _mixed((self.seed, self.steps, -1))
        found = measure_curvature(self._model, self._probe, self.optimizer, self._starts, seed)
        row = {"step": self.steps, "matrix": "(model)", "loss": _number(loss), **found}
        self._curvature.append(row)
        self._send([row])
        self.seconds += time.perf_counter() - began

    def to_pandas(self) -> pd.DataFrame:
        """One row per measurement and matrix."""
        return _table(self._rows)

    def curvature_to_pandas(self) -> pd.DataFrame:
        """One row per measurement of the curvature: each kind's eigenvalue (lr λ), residual, and ``limit``."""
        return _table(self._curvature)

    def to_csv(self, path: str | os.PathLike[str], *, append: bool = False) -> None:
        """`to_pandas` as CSV, written whole; ``append`` keeps what an existing file has of other steps and weights."""
        write_table(self.to_pandas(), path, "csv", append)

    def to_parquet(self, path: str | os.PathLike[str], *, append: bool = False) -> None:
        """As `to_csv`, as Parquet; ImportError without pyarrow."""
        write_table(self.to_pandas(), path, "parquet", append)

    def state_dict(self) -> dict[str, Any]:
        """Counts, rows and warm starts as numbers, strings, tensors: torch.load(..., weights_only=True) reads it."""
        return {
            "steps": self.steps,
            "shapes": dict(self._shapes),
            "init_std": dict(self.init_std),
            "rows": [dict(row) for row in self._rows],
            "curvature": [dict(row) for row in self._curvature],
            "escapes": {name: list(steps) for name, steps in self._escapes.items()},
            "subspaces": {name: value.cpu() for name, value in self._subspaces.items()},
            "starts": {name: value.cpu() for name, value in self._starts.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where ``state_dict`` was taken; ValueError if it is of another model."""
        shapes = {name: tuple(shape) for name, shape in state["shapes"].items()}
        if wrong := [n for n in {**shapes, **self._shapes} if shapes.get(n) != self._shapes.get(n)]:
            name = wrong[0]
            raise ValueError(
                f"`state` must be of the same model; {name} is {shapes.get(name)}, here {self._shapes.get(name)}."
            )
        self.steps, self.init_std = state["steps"], dict(state["init_std"])
        self._rows, self._curvature = [dict(r) for r in state["rows"]], [dict(r) for r in state["curvature"]]
        self._escapes = {name: list(steps) for name, steps in state["escapes"].items()}
        self._subspaces, self._starts = dict(state["subspaces"]), dict(state["starts"])

    def _parameters(self) -> dict[str, nn.Parameter]:
        """By name, looked up anew: sharding replaces parameters."""
        return find_matrices(self._model, *self._patterns)

    def _rates(self) -> dict[str, float]:
        """Each weight's present rate."""
        if self.optimizer is None:
            return {}
        by_id = {id(p): float(group["lr"]) for group in self.optimizer.param_groups for p in group["params"]}
        return {name: by_id[id(p)] for name, p in self._parameters().items() if id(p) in by_id}

    def _escape_fields(self, name: str, count: int) -> Row:
        """The first measured steps with one, two, ... outliers."""
        steps = self._escapes[name]
        steps += [self.steps] * (count - len(steps))
        top = self._setting.top
        fields = {f"escape{i + 1}": step for i, step in enumerate(steps[:top])}
        return {"false_alarm": self._setting.false_alarm, "escape_step": steps[0] if steps else None, **fields}

    def _send(self, rows: Sequence[Row]) -> None:
        for sink in self.sinks:
            for row in rows:
                sink(dict(row))


def _reports() -> bool:
    """Whether this process keeps rows: the only one, or rank 0."""
    group = torch.distributed
    return not (group.is_available() and group.is_initialized()) or group.get_rank() == 0


def _mixed(parts: tuple[int, int, int]) -> int:
    """One seed of three numbers."""
    seed, step, index = parts
    return (seed * 0x9E3779B1 + step * 0x85EBCA6B + (index + 1) * 0xC2B2AE35) % 2**62


def _number(loss: Tensor | float | None) -> float | None:
    """A loss as a number."""
    if loss is None:
        return None
    return float(loss.detach()) if isinstance(loss, Tensor) else float(loss)


def _table(rows: list[Row]) -> pd.DataFrame:
    """Rows as a table; a column without any value holds NaN."""
    table = pd.DataFrame(rows)
    return table.astype({name: float for name in table if table[name].isna().all()})
