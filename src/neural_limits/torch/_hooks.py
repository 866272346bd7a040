"""What cannot be folded into weights is done in the forward pass, by objects that copy and pickle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class ScaleInput:
    """Forward pre-hook: the module sees ``factor · x``."""

    factor: float

    def __call__(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        if args:
            return (args[0] * self.factor, *args[1:]), kwargs
        return args, {**kwargs, "input": kwargs["input"] * self.factor}


def scale_input(module: nn.Module, factor: float) -> None:
    """Let ``module`` see ``factor · x`` from now on; nothing is added at factor one."""
    for key, hook in list(module._forward_pre_hooks.items()):
        if isinstance(hook, ScaleInput):  # a second call replaces the first
            del module._forward_pre_hooks[key]
            module._forward_pre_hooks_with_kwargs.pop(key, None)
    if factor != 1.0:
        module.register_forward_pre_hook(ScaleInput(factor), with_kwargs=True)
