"""The modules that write to the residual stream, and the residual blocks they belong to.

They are named by the user, or found: by the names in use (`NAMES`), as the last layer of a Sequential, or as the only
layer of a block. Where a part of a block holds neither, the answer is an error, not a guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

CONTAINERS = (nn.ModuleList, nn.Sequential)
LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, *CONTAINERS)

NAMES = ("out_proj", "c_proj", "o_proj", "proj", "fc2", "down_proj", "linear2", "w2", "wo", "output.dense")
"""Last layers of attention and of feed-forward blocks in torch, GPT-2, LLaMA, timm, T5 and BERT."""


def branches(model: nn.Module, stretched: Sequence[str], named: Sequence[str] | None) -> list[str]:
    """Names of the modules that end a residual branch: as named, else those of all blocks of the kinds whose number
    changes.

    ValueError where a block has a part whose last layer is not known, or no branch was named.
    """
    children = [(c, key, b) for c in stretched for key, b in model.get_submodule(c).named_children() if _matrices(b)]
    if named is not None:
        found = matching(model, named, "branches")
        for container, key, _ in children:
            block = f"{container}.{key}".lstrip(".")
            if not any(name == block or name.startswith(block + ".") for name in found):
                raise ValueError(f"`branches` must name the last layer of each residual branch; got none in {block!r}.")
        return found
    kinds = tuple({type(block) for _, _, block in children})
    blocks = {f"{container}.{key}".lstrip("."): block for container, key, block in children}
    for name, module in model.named_modules():  # stages of a convolutional network that keep their number of blocks
        parent = model.get_submodule(name.rpartition(".")[0])
        if isinstance(module, kinds) and isinstance(parent, CONTAINERS) and not isinstance(module, LAYERS):
            blocks.setdefault(name, module)
    return [name for block_name, block in blocks.items() for name in _in_block(block, block_name)]


def matching(model: nn.Module, patterns: Sequence[str], argument: str) -> list[str]:
    """Names of the modules that any pattern matches; ValueError for a pattern without a match."""
    modules = dict(model.named_modules())
    patterns = [patterns] if isinstance(patterns, str) else list(patterns)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in modules):
            raise ValueError(f"`{argument}` must name modules of the model; got {pattern!r}, which matches none.")
    return [name for name in modules if any(fnmatchcase(name, pattern) for pattern in patterns)]


def block_of(name: str, stretched: Sequence[str], model: nn.Module) -> str:
    """The residual block around a branch: a child of a container whose length changes, else of the outermost one."""
    parts = name.split(".")
    containers = list(stretched)
    for end in range(len(parts)):
        outer = ".".join(parts[:end])
        if isinstance(model.get_submodule(outer), nn.ModuleList | nn.Sequential):
            containers.append(outer)
    for outer in containers:
        depth = len(outer.split(".")) if outer else 0
        if parts[:depth] == (outer.split(".") if outer else []) and len(parts) > depth:
            return ".".join(parts[: depth + 1])
    raise ValueError(f"`branches` must lie in a ModuleList or Sequential of residual blocks; got {name!r}.")


def _in_block(block: nn.Module, name: str) -> list[str]:
    matrices = _matrices(block)
    if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in block.modules()):
        raise ValueError(
            f"`branches` must be given for {name!r}: a batch normalization undoes the scale of the layer before it, so "
            "name the last normalization of each branch."
        )
    if len(matrices) == 1:
        return [f"{name}.{matrices[0]}".rstrip(".")]
    if isinstance(block, nn.Sequential):
        return [f"{name}.{matrices[-1]}"]
    found = [f"{name}.{m}" for m in matrices if "." not in m and _is_known(m)]
    for key, part in block.named_children():
        inner = _matrices(part)
        if not inner or inner == [""]:
            continue
        known = [m for m in inner if _is_known(f"{key}.{m}")]
        if not known and isinstance(part, nn.Sequential):
            known = inner[-1:]
        if not known:
            raise _unknown(f"{name}.{key}")
        found += [f"{name}.{key}.{m}" for m in known]
    if not found:
        raise _unknown(name)
    return found


def _unknown(name: str) -> ValueError:
    return ValueError(
        f"`branches` must name the last layer of each residual branch, as in ('*.attn.proj', '*.mlp.fc2'); none "
        f"is known in {name!r}."
    )


def _is_known(name: str) -> bool:
    return any(name == known or name.endswith("." + known) for known in NAMES)


def _matrices(module: nn.Module) -> list[str]:
    """Names of the layers with a weight of two or more dimensions."""
    weights = {name: getattr(layer, "weight", None) for name, layer in module.named_modules()}
    return [name for name, weight in weights.items() if isinstance(weight, nn.Parameter) and weight.ndim > 1]
