"""The call: initialise a PyTorch model so that its training does not depend on its width (and depth)."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import torch
from torch import nn

from .._checks import one_of, positive_int
from ._attention import query_folds
from ._blocks import Matching, match
from ._branches import block_of
from ._branches import branches as branch_ends
from ._hooks import scale_input
from ._initial import finite_rms, own_ratio
from ._parametrized import ParameterRule, Parametrized, plain_name
from ._roles import Place, orientation, places
from ._schemes import (
    OPTIMIZERS,
    SCHEMES,
    Factors,
    Size,
    branch_factor,
    factors,
    readout_multiplier,
    scales_attention,
    scales_depth,
)


def parametrize(
    model: nn.Module,
    base: nn.Module,
    scheme: str = "mup",
    optimizer: str = "adamw",
    *,
    branches: Sequence[str] | None = None,
    queries: Sequence[str] | None = None,
    head_dim: tuple[int, int] | None = None,
    readout: Sequence[str] = (),
    delta: nn.Module | None = None,
) -> Parametrized:
    """Rescale the initial weights of ``model`` in place and give rates under which it trains as ``base`` does.

    Every parameter W is compared with its namesake in ``base``, the same model at a width (and depth) where rates were
    tuned: the dimensions that differ scale. With in and out the ratios of its dimensions, muP under Adam is

        hidden: std ∝ 1/√in, rate 1/in;   output: std and rate ∝ 1/in;   others: as in the base;   logits q·k / d

    and the other schemes and optimizers as tabulated in ``neural_limits.torch._schemes``. All multipliers are folded
    into initial values and rates, which is exact; only a readout tied to the embedding gets a forward pre-hook.
    ``model`` keeps the shape of its own initialisation, rescaled to the base's size times the scheme's factor; zeros
    stay zeros. At the base's size nothing is changed, to the last bit.

    - ``scheme``: "mup", "depth-mup", "complete-p" (the last two also over depth), "ntk", "standard" (changes nothing).
    - ``optimizer``: "sgd", "adam", "adamw", "muon" (hidden matrices; all others by AdamW).
    - ``branches``: patterns of the modules that end residual branches ("*.attn.proj"); found by common names otherwise.
    - ``queries``: patterns of query (or packed query-key-value) projections; () if the model divides by d itself.
    - ``head_dim``: (model's, base's), where the attention modules do not say.
    - ``readout``: patterns of bare parameters (not of a Linear) that are readouts.
    - ``delta``: the model at a third width, which shows what scales where ``model`` and ``base`` have the same width;
      only "muon" needs to know.

    Call it once, before compiling or wrapping, and before loading a checkpoint. Errors: ValueError if the two models
    differ in more than size, a structure is not understood (the message says what to pass), or a weight is not
    finite. Cost: a few passes over the weights. Sources: see ``neural_limits.torch._schemes``.

    >>> from torch.nn import Linear, ReLU, Sequential
    >>> def make(n):
    ...     return Sequential(Linear(8, n), ReLU(), Linear(n, n), ReLU(), Linear(n, 2))
    >>> p = parametrize(make(256), base=make(64), scheme="mup", optimizer="adamw")
    >>> p.table[["role", "rate", "decay"]].iloc[[0, 2, 4]].values.tolist()
    [['input', 1.0, 1.0], ['hidden', 0.25, 4.0], ['output', 0.25, 4.0]]
    >>> optimizer = torch.optim.AdamW(p.param_groups(lr=1e-2, weight_decay=0.1))
    """
    one_of("scheme", scheme, SCHEMES)
    one_of("optimizer", optimizer, OPTIMIZERS)
    if head_dim is not None:
        head_dim = (positive_int("head_dim", head_dim[0]), positive_int("head_dim", head_dim[1]))
    if model is base:
        raise ValueError("`base` must be another model than the one to parametrize; got the same object.")
    matching = match(model, base)
    if not matching.pairs:
        raise ValueError("`model` must have parameters; got none.")
    found = places(matching.pairs, readout, _third_shapes(base, delta))
    if optimizer == "muon" and not any(place.role == "hidden" for place in found):
        raise ValueError(
            "`delta` must be given under optimizer='muon' where `model` has the width of `base`: the model at another "
            "width, which shows the hidden matrices."
        )
    same = not matching.stretched and all(p.pairs[0].value.shape == p.pairs[0].base_value.shape for p in found)
    _warn_of_depth(scheme, matching, found)
    folds: dict[str, float] = {}
    if scales_attention(scheme) and not same:
        folds = query_folds(model, base, matching.modules, queries, head_dim)
    blocks, depth = _residual(model, base, scheme, matching, branches, folds)
    rules = [_rule(place, scheme, optimizer, folds, blocks, depth, same) for place in found]
    for place, (rule, init) in zip(found, rules, strict=True):
        _apply(place, rule, init)
    return Parametrized(model, scheme, optimizer, depth.ratio, tuple(rule for rule, _ in rules))


def _third_shapes(base: nn.Module, delta: nn.Module | None) -> dict[str, tuple[int, ...]]:
    if delta is None:
        return {}
    return {pair.name: tuple(pair.base_value.shape) for pair in match(base, delta).pairs}


def _warn_of_depth(scheme: str, matching: Matching, found: list[Place]) -> None:
    if matching.stretched and not scales_depth(scheme) and all(p.fan_in.ratio == p.fan_out.ratio == 1 for p in found):
        warnings.warn(
            f"`scheme` {scheme!r} scales the width, which is that of `base`; only the depth differs, and nothing is "
            "changed: 'depth-mup' and 'complete-p' scale the depth.",
            stacklevel=3,
        )


def _residual(
    model: nn.Module,
    base: nn.Module,
    scheme: str,
    matching: Matching,
    named: Sequence[str] | None,
    folds: dict[str, float],
) -> tuple[set[str], Size]:
    """Residual blocks and the depth; the factor of each branch goes into ``folds``."""
    ours = [child for name in matching.stretched for child in model.get_submodule(name).children()]
    counterparts = [matching.modules[name] for name in matching.stretched]
    theirs = [child for name in counterparts for child in base.get_submodule(name).children()]
    if not (scales_depth(scheme) and ours):
        return set(), Size(len(ours) or 1, len(theirs) or 1)
    ends = branch_ends(model, matching.stretched, named)
    depth = Size(len(ends), len(branch_ends(base, counterparts, named)))
    for end in ends:
        for key, _ in model.get_submodule(end).named_parameters(prefix=end):
            folds[key] = folds.get(key, 1.0) * branch_factor(scheme, depth)
    return {block_of(end, matching.stretched, model) for end in ends}, depth


def _rule(
    place: Place,
    scheme: str,
    optimizer: str,
    folds: dict[str, float],
    blocks: set[str],
    depth: Size,
    same: bool,
) -> tuple[ParameterRule, float]:
    """The row of one parameter, and what its initial values are to be multiplied by."""
    pair = place.pairs[0]
    value, base_value = pair.value, pair.base_value
    rms = finite_rms(pair.name, value, "model"), finite_rms(pair.base_name, base_value, "base")
    used = ("muon" if place.role == "hidden" and value.ndim == 2 else "adamw") if optimizer == "muon" else optimizer
    inside = any(pair.name.startswith(block + ".") for block in blocks)
    fold = math.prod({folds[p.name] for p in place.pairs if p.name in folds})
    got = factors(scheme, used, place.role, place.fan_in, place.fan_out, depth if inside else None, fold)
    init = 1.0
    if not same and scheme != "standard":
        init = _initial_factor(place, got, fold, rms, depth.ratio, scales_depth(scheme))
    rule = ParameterRule(
        parameter=plain_name(pair.name),
        role=place.role,
        shape=tuple(value.shape),
        multiplier=readout_multiplier(scheme, place.fan_out) if place.role == "tied" else 1.0,
        init=rms[0] * init,
        rate=got.rate,
        decay=got.decay,
        eps=got.eps,
        optimizer=used,
        muon_adjustment=_adjustment(value, base_value, "original") if used == "muon" else 1.0,
        muon_adjustment_rms=_adjustment(value, base_value, "match_rms_adamw") if used == "muon" else 1.0,
    )
    return rule, init


def _initial_factor(
    place: Place, wanted: Factors, fold: float, rms: tuple[float, float], depth: float, over_depth: bool
) -> float:
    """From the model's own initial size to the scheme's: base size · factor, over own size."""
    pair = place.pairs[0]
    value = pair.value.detach()
    if rms[0] == 0.0:
        return 1.0
    if value.ndim < 2 and bool((value == value.flatten()[0]).all()):  # gains of normalizations: one number at any width
        return fold
    if rms[1] == 0.0:
        raise ValueError(
            f"`base` must be initialised as the model is; {pair.base_name} is zero there, not in the model."
        )
    fan_in, fan_out = _fans(place)
    own = own_ratio(value, pair.base_value, rms, fan_in, fan_out, depth)
    return wanted.init * (1.0 if over_depth else own.depth) / own.whole


def _fans(place: Place) -> tuple[Size, Size]:
    """Inputs and outputs of the layer, for the law of its initial values; a bias takes its weight's."""
    pair = place.pairs[0]
    weight, base_weight = getattr(pair.owner, "weight", None), getattr(pair.base_owner, "weight", None)
    if place.role in ("vector", "fixed") and isinstance(weight, nn.Parameter) and weight.ndim > 1:
        out, into = orientation(pair)
        if out is not None and into is not None and isinstance(base_weight, nn.Parameter):
            return Size(weight.shape[into], base_weight.shape[into]), Size(weight.shape[out], base_weight.shape[out])
    return place.fan_in, place.fan_out


def _adjustment(value: nn.Parameter, base: nn.Parameter, rule: str) -> float:
    """How torch.optim.Muon's factor of the shape differs from its value in the base."""

    def factor(rows: int, columns: int) -> float:
        return max(1.0, rows / columns) ** 0.5 if rule == "original" else max(rows, columns) ** 0.5

    return factor(*value.shape) / factor(*base.shape)


def _apply(place: Place, rule: ParameterRule, init: float) -> None:
    if init != 1.0:
        with torch.no_grad():
            place.pairs[0].value.mul_(init)
    for readout in place.readouts:
        scale_input(readout, rule.multiplier)
