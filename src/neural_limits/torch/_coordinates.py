"""What a model computes on one batch: the output of every module, attention logits, and each layer's own change.

A layer's own change is that of its output on the inputs it had at initialisation: it shows the layer's own rate,
whatever the layers below do. Attention logits are read where torch computes the softmax, whoever wrote the attention.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

OUTPUT = "(output)"
LOGITS = ":logits"

Coordinates = dict[str, Tensor]


def forward(model: nn.Module, inputs: Any) -> Any:
    """The model's answer; tuples are positional arguments, mappings keyword arguments."""
    if isinstance(inputs, Mapping):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, tuple | list) else model(inputs)


def rms(values: Tensor) -> float:
    """Root mean square of all entries."""
    return float(values.double().square().mean().sqrt()) if values.numel() else 0.0


class Probe:
    """A model watched on one batch; made at initialisation, asked again as training goes on."""

    def __init__(self, model: nn.Module, inputs: Any) -> None:
        self._model, self._inputs = model, inputs
        self._arguments: dict[str, tuple[Any, Any]] = {}
        self.head_dims: dict[str, float] = {}
        self.first = self._outputs(keep_arguments=True)
        self._own_first = self._own_outputs()

    def sizes(self) -> dict[str, float]:
        return {name: rms(value) for name, value in self.first.items()}

    def changes(self) -> dict[str, float]:
        """Root mean square change since initialisation, by module."""
        now = self._outputs(keep_arguments=False)
        return {name: rms(now[name] - value) for name, value in self.first.items()}

    def own_changes(self) -> dict[str, float]:
        """The same at the layer's initial inputs, for layers with parameters of their own."""
        now = self._own_outputs()
        return {name: rms(now[name] - value) for name, value in self._own_first.items()}

    def _outputs(self, keep_arguments: bool) -> Coordinates:
        seen: Coordinates = {}
        with (
            torch.no_grad(),
            _same_noise(),
            _watched(self._model, seen) as running,
            _Softmax(seen, self.head_dims, running),
        ):
            handles = [] if not keep_arguments else [
                module.register_forward_hook(self._keeper(name), with_kwargs=True)
                for name, module in self._model.named_modules()
                if name and any(True for _ in module.parameters(recurse=False))
            ]  # fmt: skip
            try:
                forward(self._model, self._inputs)
            finally:
                for handle in handles:
                    handle.remove()
        return seen

    def _keeper(self, name: str) -> Callable[..., None]:
        def keep(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            if first_tensor(output) is not None:
                self._arguments[name] = (_copied(args), _copied(kwargs))

        return keep

    def _own_outputs(self) -> Coordinates:
        found = {}
        with torch.no_grad():
            for name, (args, kwargs) in self._arguments.items():
                with _same_noise():  # forward, not call: what hooks do to inputs is in the arguments already
                    value = first_tensor(self._model.get_submodule(name).forward(*args, **kwargs))
                assert value is not None
                found[name] = value.clone()
        return found


class _Softmax(TorchDispatchMode):
    """Keeps the logits of every attention and the head dimension, under the name of the module that is running."""

    def __init__(self, seen: Coordinates, head_dims: dict[str, float], running: list[str]) -> None:
        super().__init__()
        self._seen, self._head_dims, self._running = seen, head_dims, running
        self._contracted = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.name()
        if name in ("aten::bmm", "aten::baddbmm"):  # the last product before a softmax is of queries and keys
            self._contracted = args[-2].shape[-1]
        elif name == "aten::_softmax":
            self._keep(args[0], self._contracted)
        elif "scaled_dot_product" in name:
            queries, keys = args[0], args[1]
            scale = kwargs.get("scale") or queries.shape[-1] ** -0.5
            keys = keys.repeat_interleave(queries.shape[-3] // keys.shape[-3], -3)  # grouped queries
            self._keep(queries @ keys.transpose(-1, -2) * scale, queries.shape[-1])
        return func(*args, **kwargs)

    def _keep(self, logits: Tensor, head_dim: int) -> None:
        name = (self._running[-1] or OUTPUT) + LOGITS
        self._seen[name] = torch.where(logits > -1e4, logits, 0.0).clone()  # masks are large and negative
        if head_dim:
            self._head_dims[name] = head_dim


@contextmanager
def _watched(model: nn.Module, seen: Coordinates) -> Iterator[list[str]]:
    """Every module's output goes to ``seen``; yields the names of the modules that are running."""
    running: list[str] = []

    def leave(name: str) -> Callable[..., None]:
        def keep(module: nn.Module, args: Any, output: Any) -> None:
            running.pop()
            value = first_tensor(output)
            if value is not None:
                seen[name or OUTPUT] = value.detach().clone()

        return keep

    with ExitStack() as handles:
        for name, module in model.named_modules():
            enter = module.register_forward_pre_hook(lambda module, args, name=name: running.append(name))
            handles.callback(enter.remove)
            handles.callback(module.register_forward_hook(leave(name)).remove)
        yield running


@contextmanager
def _same_noise() -> Iterator[None]:
    """The same dropout each time, and the generator as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def first_tensor(output: Any) -> Tensor | None:
    """The first tensor of real numbers in a module's output: itself, or of a tuple or mapping."""
    if isinstance(output, Tensor):
        return output if output.is_floating_point() else None
    parts = output.values() if isinstance(output, Mapping) else output if isinstance(output, tuple | list) else ()
    return next((found for part in parts if (found := first_tensor(part)) is not None), None)


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, tuple | list):
        return type(value)(_copied(part) for part in value)
    return {key: _copied(part) for key, part in value.items()} if isinstance(value, dict) else value
