"""`audit`: every weight matrix of a checkpoint against the noise it began as."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from jaxtyping import Float
from numpy import ndarray

from .._arrays import probability_array
from .._checks import positive_float, positive_int
from ._dataset import to_dataset
from ._matrix import entry_std
from ._open import open_checkpoint
from ._rows import Options, flat, matrices, row
from ._tensor import Tensor

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "shape", "dtype", "std", "top", "edge", "outliers", "separated", "bulk", "bulk_shift", "stable_rank",
    "outlier_energy", "status",
)  # fmt: skip
NAMED = 8  # tensors left out


@dataclass(frozen=True, eq=False)
class Audit:
    """The spectra of a checkpoint's matrices, and what they say; made by `audit`.

    ``data`` (xarray): along ``matrix`` the fields of `nl.spectra.diagnose`, all that are numbers NaN where unknown, and
    ``singular_value`` (matrix, index), ``change_singular_value`` (matrix, mode), NaN past the last known one.
    """

    data: xr.Dataset

    @property
    def table(self) -> pd.DataFrame:
        """One row a matrix: shape, dtype, std, top singular value, edge, outliers ..., indexed by name.

        ``edge`` is that of the bulk as it is now, the initial one where that is unknown.
        """
        fields = list(COLUMNS)
        if np.isfinite(self.data.change_top).any():
            fields[-1:-1] = ["change_top", "change_stable_rank"]
        data = self.data.assign(edge=self.data.bulk_edge.fillna(self.data.edge))
        return data[fields].to_dataframe()[fields]

    @property
    def status(self) -> str:
        """``completed``: an audit that comes to its end is; every matrix has a status of its own."""
        return "completed"

    @property
    def message(self) -> str:
        """How many matrices there are, what stands out of them, and what could not be said."""
        return str(self.data.attrs["message"])


def audit(
    path: str | os.PathLike[str],
    init: str | os.PathLike[str] | None = None,
    *,
    init_std: float | str | None = None,
    max_size: int = 4096,
    top: int = 16,
    split: bool = False,
    false_alarm: float = 0.01,
    progress: Callable[[str], None] | None = None,
) -> Audit:
    """Singular values of every weight matrix of a checkpoint, with outliers, bulk, stable rank (`spectra.diagnose`).

    ``path``: see `checkpoints.open_checkpoint`; nothing in the file is executed. Tensors of two or more dimensions
    count as outputs × rest; with ``split``, three-dimensional ones (stacks of experts) as one matrix a leading index.
    The scale of the start is taken from ``init``, a checkpoint with the same names (then the change W - W₀ too), or is
    ``init_std``, a number or "fan-in" for 1/√columns; else from each bulk itself. Matrices with more than ``max_size``
    rows and columns: the ``top`` largest values alone, so no bulk. ``progress(text)`` is told of each matrix.

    Errors: those of `open_checkpoint`, OSError where there is no matrix or a shape differs in ``init``, ValueError for
    options. A matrix with an entry that is not finite has the status ``non_finite``, and the others go on. Memory:
    files are mapped; 128 MiB (with ``init`` 256) and three float64 squares of the smaller side, beyond ``max_size`` the
    matrix in float32 instead. Cost: rows × columns × the smaller of both for each.

    >>> import tempfile
    >>> weight = np.random.default_rng(0).standard_normal((200, 100)) / 200**0.5
    >>> weight[:, 0] += 2 / 200**0.5
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(folder + "/weights.npz", hidden=weight, bias=weight[0])
    ...     found = audit(folder + "/weights.npz", init_std=200**-0.5)
    >>> found.table[["shape", "outliers", "bulk"]]
              shape  outliers       bulk
    matrix
    hidden  200 x 100       1.0  unchanged
    >>> found.message
    '1 matrix: 1 value above the bulk in 1 of them'
    """
    options = Options(
        positive_int("max_size", max_size), positive_int("top", top), split,
        float(probability_array("false_alarm", false_alarm, least=1e-12, most=0.5)),
    )  # fmt: skip
    if init is not None and init_std is not None:
        raise ValueError("`init_std` must not be given beside `init`, which has it; leave one out.")
    if init_std is not None and init_std != "fan-in":
        init_std = positive_float("init_std", init_std)
    tensors, left_out = _weights(path)
    starts = {} if init is None else _starts(tensors, init)
    rows = [
        fields
        for number, tensor in enumerate(tensors, 1)
        for fields in _audited(tensor, starts.get(tensor.name), init_std, options, _teller(progress, number, tensors))
    ]
    about = {
        "path": str(path), "init": None if init is None else str(init), "init_rule": init_std,
        "false_alarm": options.false_alarm, "max_size": options.max_size, "top": options.top, "split": split,
        "left_out": _named(left_out),
        "without_start": 0 if init is None else sum(tensor.name not in starts for tensor in tensors),
    }  # fmt: skip
    return Audit(to_dataset(rows, about))


def _weights(path: str | os.PathLike[str]) -> tuple[list[Tensor], list[str]]:
    """The matrices of floating-point numbers, and the names of those of other types."""
    tensors = [tensor for tensor in open_checkpoint(path) if tensor.is_matrix]
    found = [tensor for tensor in tensors if tensor.is_real]
    if not found:
        others = f"; {len(tensors)} hold other types, such as {tensors[0].dtype}" if tensors else ""
        raise OSError(f"{path} holds no matrix of floating-point numbers{others}; name a checkpoint of weights.")
    return found, [tensor.name for tensor in tensors if not tensor.is_real]


def _starts(tensors: list[Tensor], init: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The initial tensors by name; OSError where one has another shape, or none has a known name."""
    known = {tensor.name: tensor for tensor in open_checkpoint(init) if tensor.is_real}
    for tensor in tensors:
        if tensor.name in known and known[tensor.name].shape != tensor.shape:
            raise OSError(
                f"{tensor.name} is {_times(known[tensor.name].shape)} in {init} and {_times(tensor.shape)} here; "
                "name the start of the same model."
            )
    found = {tensor.name: known[tensor.name] for tensor in tensors if tensor.name in known}
    if not found:
        raise OSError(
            f"{init} holds none of the matrices, such as {tensors[0].name}; name the start of the same model."
        )
    return found


def _audited(
    tensor: Tensor, start: Tensor | None, init_std: float | str | None, options: Options, tell: Callable[[], None]
) -> list[dict[str, object]]:
    """The rows of one tensor, whose numbers are let go afterwards."""
    tell()
    values, first = tensor.read(), None if start is None else start.read()
    found = []
    for name, index in matrices(tensor, options):
        matrix, before = flat(values[index]), None if first is None else flat(first[index])
        fields = row(matrix, before, _scale(matrix, before, init_std), options)
        shape = tensor.shape[len(index) :]
        found.append({"name": name, "shape": _times(shape), "dtype": tensor.dtype, **fields})
    return found


def _scale(
    matrix: Float[ndarray, "n p"], before: Float[ndarray, "n p"] | None, init_std: float | str | None
) -> float | None:
    """Standard deviation of an entry at the start; None where unknown, or where the start was constant."""
    if before is not None:
        std = entry_std(before)
        return std if np.isfinite(std) and std > 0 else None
    return matrix.shape[1] ** -0.5 if isinstance(init_std, str) else init_std


def _named(names: list[str]) -> str:
    """The first few of a list that may be long."""
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _teller(progress: Callable[[str], None] | None, number: int, tensors: list[Tensor]) -> Callable[[], None]:
    tensor = tensors[number - 1]
    text = f"{number} of {len(tensors)}, {tensor.name} ({_times(tensor.shape)})"
    return (lambda: None) if progress is None else lambda: progress(text)
