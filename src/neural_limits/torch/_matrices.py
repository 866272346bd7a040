"""The weight matrices of a model: which parameters they are, and each as one plain matrix on its device."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

InitStd = Mapping[str, float | None] | Callable[[str, Tensor], float | None]


def unwrapped(model: nn.Module) -> nn.Module:
    """The user's own module inside torch.compile's and (Fully Sharded / Distributed) DataParallel's."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        wrappers = (nn.DataParallel, nn.parallel.DistributedDataParallel)
        if inner is None and isinstance(model, wrappers):
            inner = model.module
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def find_matrices(model: nn.Module, include: Sequence[str], exclude: Sequence[str]) -> dict[str, nn.Parameter]:
    """Parameters of two or more dimensions by name, shared ones once; ValueError if there is none."""
    if not isinstance(model, nn.Module):
        raise ValueError(f"`model` must be a torch.nn.Module; got {type(model).__name__}.")
    found = {
        name.replace("_orig_mod.", ""): parameter
        for name, parameter in model.named_parameters()
        if parameter.ndim >= 2 and min(parameter.shape[0], parameter[0].numel()) > 1
    }
    chosen = {
        name: parameter
        for name, parameter in found.items()
        if any(fnmatchcase(name, p) for p in include) and not any(fnmatchcase(name, p) for p in exclude)
    }
    if not chosen:
        names = ", ".join(found) or "none"
        raise ValueError(f"`model` must have a weight matrix that is included; of two or more dimensions: {names}.")
    return chosen


def as_matrix(parameter: Tensor) -> Float[Tensor, "n p"]:
    """Rows by all other dimensions, float32 (float64 kept); a sharded parameter is gathered: a collective call."""
    value = parameter.detach()
    if hasattr(value, "full_tensor"):
        value = value.full_tensor()
    value = value.reshape(value.shape[0], -1)
    return value if value.dtype == torch.float64 else value.float()


def is_sharded(parameter: Tensor) -> bool:
    """Whether it is a DTensor, of which each process holds a part."""
    return hasattr(parameter, "full_tensor")


def starting_std(name: str, parameter: Tensor, given: InitStd | None) -> float | None:
    """Standard deviation of entries at the start, None for a constant matrix; ValueError for one that is no number."""
    matrix = as_matrix(parameter)
    if callable(given):
        value = given(name, parameter)
    elif given is not None and name in given:
        value = given[name]
    else:
        value = float(matrix.double().std(correction=0))
    if value is not None and not 0 <= value < float("inf"):
        raise ValueError(f"`init_std` of {name} must be finite and not negative; got {value}.")
    return float(value) if value else None


@contextmanager
def exact_products(device: torch.device) -> Any:
    """No gradients, no autocast, no TF32 inside; as it was outside."""
    matmul = torch.backends.cuda.matmul
    before = getattr(matmul, "fp32_precision", None)
    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        if device.type != "cuda" or before is None:
            yield
            return
        matmul.fp32_precision = "ieee"
        try:
            yield
        finally:
            matmul.fp32_precision = before
