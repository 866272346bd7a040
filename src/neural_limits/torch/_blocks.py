"""Which parameter of the base model each parameter of the model answers to, when their depths differ.

Modules are matched by name. Where a ModuleList or Sequential holds another number of modules than its counterpart, its
i-th module of one kind (same class, same parameter names) answers to the base's min(i, L_base - 1)-th of that kind.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from torch import nn


@dataclass(frozen=True)
class Pair:
    """A parameter under one of its names, with its owner, in the model and in the base."""

    name: str
    base_name: str
    owner: nn.Module
    base_owner: nn.Module

    @property
    def leaf(self) -> str:
        return self.name.rpartition(".")[2]

    @property
    def value(self) -> nn.Parameter:
        return getattr(self.owner, self.leaf)

    @property
    def base_value(self) -> nn.Parameter:
        return getattr(self.base_owner, self.leaf)


@dataclass
class Matching:
    """All pairs, and the containers whose number of modules differs (their names)."""

    pairs: list[Pair] = field(default_factory=list)
    modules: dict[str, str] = field(default_factory=dict)  # the base's name of each module
    stretched: list[str] = field(default_factory=list)


def match(model: nn.Module, base: nn.Module) -> Matching:
    """Match every parameter; ValueError naming what has no counterpart."""
    found = Matching()
    _walk(model, base, "", "", found, inside=False)
    return found


def _walk(model: nn.Module, base: nn.Module, name: str, base_name: str, found: Matching, inside: bool) -> None:
    found.modules[name] = base_name
    ours = [key for key, value in model._parameters.items() if value is not None]
    theirs = [key for key, value in base._parameters.items() if value is not None]
    _same_names(ours, theirs, name, base_name)
    found.pairs += [Pair(_join(name, key), _join(base_name, key), model, base) for key in ours]
    for child, key, base_child, base_key in _children(model, base, name, found, inside):
        block = not _is_container(child) and _is_container(model) and _repeats(child, model, base)
        _walk(child, base_child, _join(name, key), _join(base_name, base_key), found, inside or block)


def _is_container(module: nn.Module) -> bool:
    return isinstance(module, nn.ModuleList | nn.Sequential)


def _repeats(child: nn.Module, model: nn.Module, base: nn.Module) -> bool:
    return any(sum(type(other) is type(child) for other in parent.children()) > 1 for parent in (model, base))


def _children(
    model: nn.Module, base: nn.Module, name: str, found: Matching, inside: bool
) -> Iterator[tuple[nn.Module, str, nn.Module, str]]:
    ours, theirs = _with_parameters(model), _with_parameters(base)
    if not (_is_container(model) and len(ours) != len(theirs)):
        _same_names(list(ours), list(theirs), name, name)
        for key, child in ours.items():
            yield child, key, theirs[key], key
        return
    if inside:
        raise ValueError(
            f"`base` must have as many modules in {name!r} as the model, because it is part of a repeated block; "
            f"got {len(theirs)} and {len(ours)}: let width grow in the size of layers, not in their number."
        )
    found.stretched.append(name)
    kinds, base_kinds = _kinds(ours, name), _kinds(theirs, name)
    place = {key: (kind, i) for kind, keys in kinds.items() for i, key in enumerate(keys)}
    for key, child in ours.items():
        kind, i = place[key]
        if kind not in base_kinds:
            raise ValueError(
                f"`base` must have in {name!r} a block built as the model's {key!r}; got {len(theirs)} blocks, "
                f"none with its class ({type(child).__name__}) and parameter names."
            )
        base_key = base_kinds[kind][min(i, len(base_kinds[kind]) - 1)]
        yield child, key, theirs[base_key], base_key


def _with_parameters(module: nn.Module) -> dict[str, nn.Module]:
    return {key: child for key, child in module.named_children() if next(child.parameters(), None) is not None}


def _kinds(children: dict[str, nn.Module], name: str) -> dict[tuple[object, ...], list[str]]:
    kinds: dict[tuple[object, ...], list[str]] = defaultdict(list)
    shapes: dict[tuple[object, ...], list[tuple[int, ...]]] = {}
    for key, child in children.items():
        kind = (type(child), tuple(key for key, _ in child.named_parameters(remove_duplicate=False)))
        here = [tuple(value.shape) for value in child.parameters()]
        if shapes.setdefault(kind, here) != here:
            raise ValueError(
                f"`model` and `base` must repeat equal blocks where their depths differ; the modules of "
                f"{name!r} have the same parameters in different shapes ({kinds[kind][0]} and {key}): keep first and "
                "last layers outside."
            )
        kinds[kind].append(key)
    return kinds


def _same_names(ours: list[str], theirs: list[str], name: str, base_name: str) -> None:
    if set(ours) != set(theirs):
        extra = sorted(_join(name, key) for key in set(ours) - set(theirs))
        missing = sorted(_join(base_name, key) for key in set(theirs) - set(ours))
        raise ValueError(
            f"`base` must be the same model at another width or depth; only the model has {extra}, only "
            f"the base has {missing}."
        )


def _join(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key
