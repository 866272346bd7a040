"""What a check trains: a factory of models, its sizes, its data and its optimizers, checked before anything runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .._checks import one_of, positive_float, positive_int
from ._blocks import match
from ._parametrize import parametrize
from ._parametrized import Parametrized
from ._roles import Place, places
from ._schemes import OPTIMIZERS, SCHEMES

Batch = tuple[Any, Any]
Loss = Callable[[Any, Any], Tensor]
OwnOptimizer = Callable[[nn.Module], "torch.optim.Optimizer | Sequence[torch.optim.Optimizer]"]

_TORCH = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


class ModelSize(NamedTuple):
    """Width, and depth where depths are compared."""

    width: int
    depth: int | None = None

    def __str__(self) -> str:
        return f"width {self.width}" + ("" if self.depth is None else f", depth {self.depth}")


@dataclass(frozen=True)
class Study:
    """All that the trials of one check share; ``sizes[0]`` is the base."""

    make_model: Callable[..., nn.Module]
    sizes: tuple[ModelSize, ...]
    base: ModelSize
    batches: Callable[[int], Batch]
    loss: Loss
    scheme: str | None
    optimizers: dict[str, str | OwnOptimizer]
    lr: float
    weight_decay: float
    seeds: tuple[int, ...]
    options: dict[str, Any]

    def model(self, size: ModelSize, seed: int) -> nn.Module:
        """A fresh model as the user builds it; the seed is torch's."""
        torch.manual_seed(seed)
        return self.make_model(**({"width": size.width} | ({} if size.depth is None else {"depth": size.depth})))

    def trial(self, optimizer: str, size: ModelSize, seed: int, double: bool = False) -> tuple[nn.Module, list[Any]]:
        """A model under the scheme, with its optimizers."""
        model, chosen = self.model(size, seed), self.optimizers[optimizer]
        rules = None if self.scheme is None else self._rules(model, str(chosen), size, seed)
        if double:
            model = model.double()
        if callable(chosen):
            own = chosen(model)
            return model, list(own) if isinstance(own, Sequence) else [own]
        assert rules is not None  # a name needs a scheme: see `study`
        if chosen == "muon":
            muon, other = (rules.param_groups(self.lr, self.weight_decay, kind=k) for k in ("muon", "adamw"))
            return model, [torch.optim.Muon(muon), *([torch.optim.AdamW(other)] if other else [])]
        return model, [_TORCH[chosen](rules.param_groups(self.lr, self.weight_decay))]

    def plain(self) -> set[str]:
        """The optimizers whose steps are proportional to gradients."""
        with torch.random.fork_rng():
            made = {name: self.trial(name, self.sizes[0], self.seeds[0])[1] for name in self.optimizers}
        return {name for name, chosen in made.items() if all(isinstance(one, torch.optim.SGD) for one in chosen)}

    def roles(self, model: nn.Module, size: ModelSize) -> dict[str, Place]:
        """What each parameter is, judged by the widest and the narrowest model."""
        narrow, wide = (self.model(size._replace(width=pick(s[0] for s in self.sizes)), 0) for pick in (min, max))
        shapes = {name: tuple(value.shape) for name, value in wide.named_parameters(remove_duplicate=False)}
        found = places(match(model, narrow).pairs, (), shapes)
        return {pair.name: place for place in found for pair in place.pairs}

    def units(self, model: nn.Module, size: ModelSize) -> dict[str, float]:
        """√(fan_out / fan_in), dimensions that do not scale counted as one: the norm of a map of order one."""
        roles = self.roles(model, size)
        return {name: (place.fan_out.value / place.fan_in.value) ** 0.5 for name, place in roles.items()}

    def _rules(self, model: nn.Module, optimizer: str, size: ModelSize, seed: int) -> Parametrized:
        options = dict(self.options)
        if optimizer == "muon":  # the base does not show by itself which of its matrices are hidden
            widths = [s.width for s in self.sizes if s.width != self.base.width] + [2 * self.base.width]
            options["delta"] = self.model(self.base._replace(width=widths[0]), seed)
        # Another seed than the model's: the base lends its law, not its draw.
        return parametrize(model, self.model(self.base, seed + 7919), self.scheme or "", optimizer, **options)


def study(
    make_model: Callable[..., nn.Module],
    widths: Sequence[int],
    depths: Sequence[int] | None,
    batches: Any,
    loss: Loss,
    scheme: str | None,
    optimizer: str | OwnOptimizer | Sequence[str | OwnOptimizer],
    lr: float,
    weight_decay: float,
    seeds: int | Iterable[int],
    base_width: int | None,
    base_depth: int | None,
    options: dict[str, Any],
) -> Study:
    """The arguments, checked; ValueError in one line for what cannot be compared."""
    if scheme is not None:
        one_of("scheme", scheme, SCHEMES)
    sizes, base = _sizes(widths, depths, base_width, base_depth)
    _accepts(make_model, sizes[0])
    seeds = tuple(range(positive_int("seeds", seeds)) if isinstance(seeds, int) else seeds)
    if not seeds:
        raise ValueError("`seeds` must hold at least one seed; got none.")
    made = Study(
        make_model, sizes, base, _batch_at(batches), loss, scheme, _optimizers(optimizer, scheme),
        positive_float("lr", lr), positive_float("weight_decay", weight_decay, zero=True), seeds, options,
    )  # fmt: skip
    _must_scale(made)
    return made


def _sizes(
    widths: Sequence[int], depths: Sequence[int] | None, base_width: int | None, base_depth: int | None
) -> tuple[tuple[ModelSize, ...], ModelSize]:
    """Widths at the base's depth and depths at the base's width: two ladders that share the base."""
    wide = sorted({positive_int("widths", width) for width in widths})
    deep = sorted({positive_int("depths", depth) for depth in depths or ()})
    if not wide or (len(wide) < 2 and len(deep) < 2):
        raise ValueError(f"`widths` must hold at least two widths (three for an error from one seed); got {widths!r}.")
    if depths is not None and len(deep) < 2:
        raise ValueError(f"`depths` must hold at least two depths; got {depths!r}.")
    width = positive_int("base_width", wide[0] if base_width is None else base_width)
    if not deep:
        return tuple(ModelSize(n) for n in wide), ModelSize(width)
    depth = positive_int("base_depth", deep[0] if base_depth is None else base_depth)
    ladder = [ModelSize(n, deep[0]) for n in wide] + [ModelSize(wide[0], d) for d in deep[1:]]
    return tuple(ladder), ModelSize(width, depth)


def _accepts(make_model: Callable[..., nn.Module], size: ModelSize) -> None:
    wanted = {"width": size.width} | ({} if size.depth is None else {"depth": size.depth})
    call = ", ".join(f"{name}={value}" for name, value in wanted.items())
    try:
        inspect.signature(make_model).bind(**wanted)
    except (TypeError, ValueError):
        raise ValueError(f"`make_model` must be callable as make_model({call}); {make_model!r} is not.") from None


def _batch_at(batches: Any) -> Callable[[int], Batch]:
    if not callable(batches):
        held = list(batches)
        if not held:
            raise ValueError("`batches` must hold at least one (inputs, targets); got none.")
        batches = lambda step: held[step % len(held)]  # noqa: E731
    first = batches(0)
    if not isinstance(first, tuple | list) or len(first) != 2:
        raise ValueError(f"`batches` must hold pairs (inputs, targets); got {type(first).__name__}.")
    return batches


def _optimizers(chosen: Any, scheme: str | None) -> dict[str, str | OwnOptimizer]:
    several = list(chosen) if isinstance(chosen, list | tuple) else [chosen]
    found: dict[str, str | OwnOptimizer] = {}
    for one in several:
        if callable(one):
            found[getattr(one, "__name__", type(one).__name__)] = one
        elif scheme is None:
            raise ValueError(
                f"`optimizer` must be a function of the model, returning its torch optimizer, under scheme=None; "
                f"got {one!r}."
            )
        else:
            found[one_of("optimizer", one, OPTIMIZERS)] = one
    if scheme is not None and any(callable(one) for one in found.values()):
        raise ValueError("`optimizer` must be a name under a scheme; pass scheme=None for a model with its own rules.")
    return found


def _must_scale(made: Study) -> None:
    with torch.random.fork_rng():
        shapes = {s: [tuple(p.shape) for p in made.model(s, made.seeds[0]).parameters()] for s in made.sizes}
    for n, size in enumerate(made.sizes):
        same = next((other for other in made.sizes[:n] if shapes[other] == shapes[size]), None)
        if same is not None:
            raise ValueError(f"`make_model` must change parameters with size; {same} and {size} have the same shapes.")
