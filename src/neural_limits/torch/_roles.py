"""Which dimensions of each parameter scale, and so its role."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import nn

from ._blocks import Pair
from ._schemes import Role, Size

_ONE = Size(1, 1)


@dataclass(frozen=True)
class Place:
    """A parameter with its role; a shared one has several pairs."""

    pairs: tuple[Pair, ...]
    role: Role
    fan_in: Size
    fan_out: Size

    @property
    def name(self) -> str:
        return self.pairs[0].name

    @property
    def readouts(self) -> list[nn.Module]:
        """The modules that use a tied weight as readout."""
        return [p.owner for p in self.pairs if not isinstance(p.owner, nn.Embedding)] if self.role == "tied" else []


def places(pairs: Sequence[Pair], readout: Sequence[str], delta: dict[str, tuple[int, ...]]) -> list[Place]:
    """Every parameter once, with its role; ValueError where shapes or sharing cannot be read.

    ``delta`` holds shapes at a third width, by the base's names: what differs there scales too.
    """
    shared: dict[int, list[Pair]] = {}
    for pair in pairs:
        shared.setdefault(id(pair.value), []).append(pair)
    return [_place(tuple(group), readout, delta) for group in shared.values()]


def _place(group: tuple[Pair, ...], readout: Sequence[str], delta: dict[str, tuple[int, ...]]) -> Place:
    found = [_role(pair, readout, delta) for pair in group]
    roles = {role for role, _, _ in found}
    if roles == {"input", "output"} and any(isinstance(pair.owner, nn.Embedding) for pair in group):
        width = next(fan_out for role, _, fan_out in found if role == "input")
        return Place(group, "tied", _ONE, width)
    if len(roles) > 1:
        names = ", ".join(f"{pair.name} ({role})" for pair, (role, _, _) in zip(group, found, strict=True))
        raise ValueError(
            f"`model` must share parameters only between layers of one role, or an embedding and a readout; got "
            f"{names}."
        )
    return Place(group, *found[0])


def _role(pair: Pair, readout: Sequence[str], delta: dict[str, tuple[int, ...]]) -> tuple[Role, Size, Size]:
    shape, base_shape = tuple(pair.value.shape), tuple(pair.base_value.shape)
    if len(shape) != len(base_shape):
        raise ValueError(
            f"`base` must have {pair.name} with {len(shape)} dimensions; got shape {base_shape}, not {shape}."
        )
    sizes = [Size(*both) for both in zip(shape, base_shape, strict=True)]
    third = delta.get(pair.base_name, base_shape)
    moving = [i for i, size in enumerate(sizes) if size.value != size.base or third[i] != size.base]
    if isinstance(pair.owner, nn.Embedding | nn.EmbeddingBag):
        if 0 in moving:
            raise ValueError(
                f"`base` must have as many rows in the table {pair.name} as the model; got {base_shape[0]} and "
                f"{shape[0]}."
            )
        return ("input" if moving else "fixed"), _ONE, sizes[1]
    named_readout = any(fnmatchcase(pair.name, p) or fnmatchcase(pair.name.rpartition(".")[0], p) for p in readout)
    if len(shape) <= 1:
        size = sizes[0] if sizes else _ONE
        if named_readout and moving:
            return "output", size, _ONE
        return ("vector" if moving else "fixed"), _ONE, size
    return _matrix(pair, sizes, moving, named_readout)


def _matrix(pair: Pair, sizes: list[Size], moving: list[int], named_readout: bool) -> tuple[Role, Size, Size]:
    if len(moving) > 2:
        raise ValueError(f"`base` must differ from the model in at most two dimensions of {pair.name}; got {sizes}.")
    out, into = orientation(pair)
    if out is None or into is None:  # a bare parameter: an embedding if one dimension scales, else (out, in)
        if len(moving) == 2:
            return "hidden", sizes[moving[1]], sizes[moving[0]]
        size = sizes[moving[0]] if moving else _ONE
        if named_readout and moving:
            return "output", size, _ONE
        return ("input" if moving else "fixed"), _ONE, size
    if set(moving) - {out, into}:
        raise ValueError(
            f"`base` must have the kernel size and groups of the model; {pair.name} has shape "
            f"{tuple(s.base for s in sizes)} there, {tuple(s.value for s in sizes)} in the model."
        )
    roles: tuple[Role, ...] = ("fixed", "input" if out in moving else "output", "hidden")
    return roles[len(moving)], sizes[into], sizes[out]


def orientation(pair: Pair) -> tuple[int, int] | tuple[None, None]:
    """Which dimensions of a matrix count outputs and inputs."""
    owner = pair.owner
    transposed = isinstance(owner, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d)
    if transposed or type(owner).__name__ == "Conv1D":  # the latter is a Linear of the GPT-2 in transformers
        return 1, 0
    kinds = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.RNNBase | nn.RNNCellBase
    if isinstance(owner, kinds) or (isinstance(owner, nn.MultiheadAttention) and pair.leaf.endswith("weight")):
        return 0, 1
    return None, None
