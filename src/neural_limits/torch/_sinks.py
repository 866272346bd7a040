"""Where rows go: tables on disk, TensorBoard, Weights & Biases. A sink is any callable that takes a row."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from numbers import Real
from pathlib import Path
from typing import Any

import pandas as pd

from ..runs import atomic_write

Sink = Callable[[Mapping[str, Any]], object]
KEYS = ["step", "matrix"]


def write_table(table: pd.DataFrame, path: str | os.PathLike[str], kind: str, append: bool) -> None:
    """The table as CSV or Parquet under a temporary name, then renamed.

    With ``append`` the rows of an existing file stay, those of the same step and matrix replaced. ImportError naming
    the package where Parquet has no engine.
    """
    path = Path(path)
    try:
        if append and path.exists():
            before = pd.read_csv(path) if kind == "csv" else pd.read_parquet(path)
            table = pd.concat([before, table]).drop_duplicates(KEYS, keep="last").sort_values("step", kind="stable")
        with atomic_write(path) as file:
            if kind == "csv":
                table.to_csv(file, index=False)
            else:
                table.to_parquet(file, index=False)
    except ImportError:
        raise ImportError("Parquet needs pyarrow; install it with: pip install pyarrow; or use to_csv.") from None


def tensorboard_sink(writer: Any) -> Sink:
    """Every number of a row to a SummaryWriter as ``matrix/field`` over the step."""

    def write(row: Mapping[str, Any]) -> None:
        for name, value in _numbers(row).items():
            writer.add_scalar(f"{row['matrix']}/{name}", value, row["step"])

    return write


def wandb_sink(run: Any = None) -> Sink:
    """Every number of a row to a Weights & Biases run (default: the current one) as ``matrix/field``.

    The step goes along as ``spectra/step``, so that the run's own step counter is left alone. ImportError where wandb
    is needed and missing, ValueError where no run is active.
    """
    if run is None:
        try:
            import wandb
        except ModuleNotFoundError:
            raise ImportError("`wandb_sink` needs wandb; install it with: pip install wandb; or pass a run.") from None
        run = wandb.run
        if run is None:
            raise ValueError("`run` must be given where no run is active; call wandb.init() first.")

    def write(row: Mapping[str, Any]) -> None:
        numbers = {f"{row['matrix']}/{name}": value for name, value in _numbers(row).items()}
        run.log(numbers | {"spectra/step": row["step"]})

    return write


def _numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers of a row."""
    return {
        name: float(value)
        for name, value in row.items()
        if name not in KEYS and isinstance(value, Real) and math.isfinite(value)
    }
