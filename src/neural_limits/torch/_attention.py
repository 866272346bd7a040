"""Logits q·k / d instead of q·k / √d, folded into weights: nothing is added to the forward pass.

With s = √(base head dimension / head dimension), a separate query projection is multiplied by s. A projection that
holds queries, keys and values in one parameter is multiplied by √s, so that q·k has its factor s, and the output
projection by 1/√s, which returns the values to their size: exact, because attention is linear in the values. Where
queries are normalized, the gain of the normalization is multiplied instead.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from ._branches import matching

SEPARATE = ("q_proj", "query", "to_q", "wq", "q_lin", "query_proj")
PACKED = ("c_attn", "qkv", "qkv_proj", "Wqkv", "to_qkv", "query_key_value")
OUTPUTS = ("out_proj", "c_proj", "o_proj", "proj", "to_out", "to_out.0", "wo", "dense")
NORMS = ("q_norm", "query_norm", "q_layernorm", "q_ln")
_DIMENSION = ("head_dim", "head_size", "attention_head_size", "d_head", "dim_head")
_COUNT = ("num_heads", "n_head", "n_heads", "heads", "num_attention_heads", "nhead")


def query_folds(
    model: nn.Module,
    base: nn.Module,
    base_names: dict[str, str],
    named: Sequence[str] | None,
    head_dim: tuple[int, int] | None,
) -> dict[str, float]:
    """Factor of each parameter (by name) that attention folds into it; ValueError where the structure is not known."""
    folds: dict[str, float] = {}
    queries = _found(model) if named is None else matching(model, named, "queries")
    for name in queries:
        dimensions = head_dim or (_head_dim(model, name), _head_dim(base, base_names[name]))
        s = (dimensions[1] / dimensions[0]) ** 0.5
        if s != 1.0:
            for parameter, factor in _fold(model, name, s).items():
                folds[parameter] = folds.get(parameter, 1.0) * factor
    return folds


def _found(model: nn.Module) -> list[str]:
    modules = dict(model.named_modules())
    parents = {name.rpartition(".")[0] for name in modules if name.rpartition(".")[2] in NORMS}
    found = []
    for name, module in modules.items():
        parent, _, leaf = name.rpartition(".")
        normed = parent in parents
        if isinstance(module, nn.MultiheadAttention) or leaf in (NORMS if normed else SEPARATE + PACKED):
            found.append(name)
    for name, module in modules.items():
        kind = type(module).__name__.lower()
        known = any(_within(query, name) or _within(name, query) for query in found)
        if ("attention" in kind or "attn" in kind) and not known and next(module.parameters(), None) is not None:
            raise ValueError(
                "`queries` must name the query projections, as in ('*.attn.wq',), or be () if logits are divided by "
                f"the head dimension already; none is known in {name or 'the model'!r} ({type(module).__name__})."
            )
    return found


def _within(name: str, outer: str) -> bool:
    return not outer or name == outer or name.startswith(outer + ".")


def _fold(model: nn.Module, name: str, s: float) -> dict[str, float]:
    module = model.get_submodule(name)
    own = [f"{name}.{key}" for key, value in module.named_parameters(recurse=False) if value is not None]
    if not own:
        raise ValueError(f"`queries` must name modules with weights; got {name!r}, which has none.")
    if not _is_packed(module, name.rpartition(".")[2]):
        return dict.fromkeys(own, s)
    output = f"{name}.out_proj" if isinstance(module, nn.MultiheadAttention) else _output(model, name)
    return {**dict.fromkeys(own, s**0.5), f"{output}.weight": s**-0.5}


def _is_packed(module: nn.Module, leaf: str) -> bool:
    if isinstance(module, nn.MultiheadAttention) or leaf in PACKED:
        return True
    return isinstance(module, nn.Linear) and module.out_features == 3 * module.in_features


def _output(model: nn.Module, name: str) -> str:
    """The output projection beside a packed one."""
    parent = name.rpartition(".")[0]
    for leaf in OUTPUTS:
        try:
            module = model.get_submodule(f"{parent}.{leaf}".lstrip("."))
        except AttributeError:
            continue
        if isinstance(getattr(module, "weight", None), nn.Parameter):
            return f"{parent}.{leaf}".lstrip(".")
    raise ValueError(
        f"`queries` must have the output projection of {name!r} beside it, named one of {', '.join(OUTPUTS)}; divide "
        "the logits by the head dimension in the model itself and pass queries=()."
    )


def _head_dim(model: nn.Module, name: str) -> int:
    module = model.get_submodule(name)
    features = getattr(module, "out_features", getattr(module, "nf", None))
    if features is not None and _is_packed(module, name.rpartition(".")[2]):
        features = features // 3
    places = [module]
    while name:
        name = name.rpartition(".")[0]
        places.append(model.get_submodule(name))
    for place in places[:3]:
        for key in _DIMENSION:
            if isinstance(value := getattr(place, key, None), int) and value > 0:
                return value
        for key in _COUNT:
            if isinstance(value := getattr(place, key, None), int) and value > 0 and features:
                return features // value
    raise ValueError(
        "`head_dim` must be given as (model's, base's), since the attention module has neither "
        f"{', '.join(_DIMENSION[:2])} nor {', '.join(_COUNT[:2])}."
    )
