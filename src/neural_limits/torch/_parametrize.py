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
from ._branches import block_of, branches
from ._hooks import scale_input
from ._initial import finite_rms, own_ratio
from ._parametrized import ParameterRule, Parametrized, plain_names
from ._roles import Place, places
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
) -> Parametrized:
    """Rescale the initial weights of ``model`` in place and give rates under which it trains as ``base`` does.

    Every parameter W is compared with its namesake in ``base``, the same model at a width (and depth) where rates were
    tuned: the dimensions that differ scale. With in and out the ratios of its dimensions, muP under Adam is

        hidden: std ∝ 1/√in, rate 1/in;   output: std and rate ∝ 1/in;   others: as in the base;   logits q·k / d

    and the other schemes and optimizers as tabulated in ``neural_limits.torch._schemes``. All multipliers are folded into
    initial values and rates, which is exact; only a readout tied to the embedding gets a forward pre-hook. ``model`` keeps
    the shape of its own initialisation, rescaled to the base's size times the scheme's factor; zeros stay zeros. At the
    base's size nothing is changed, to the last bit.

    - ``scheme``: "mup", "depth-mup", "complete-p" (the last two also over depth), "ntk", "standard" (changes nothing).
    - ``optimizer``: "sgd", "adam", "adamw", "muon" (hidden matrices; all others by AdamW).
    - ``branches``: patterns of the modules that end residual branches ("*.attn.proj"); found by common names otherwise.
    - ``queries``: patterns of query (or packed query-key-value) projections; () if the model divides by d itself.
    - ``head_dim``: (model's, base's), where the attention modules do not say.
    - ``readout``: patterns of bare parameters (not of a Linear) that are readouts.

    Call it once, before compiling or wrapping, and before loading a checkpoint. Errors: ValueError if the two models differ
    in more than size, a structure is not understood (the message says what to pass), or a weight is not finite. Cost: a few
    passes over the weights. Sources: see ``neural_limits.torch._schemes``.

    >>> import torch
    >>> def make(n):
    ...     return torch.nn.Sequential(torch.nn.Linear(8, n), torch.nn.ReLU(), torch.nn.Linear(n, n), torch.nn.Linear(n, 2))
    >>> p = parametrize(make(256), base=make(64), scheme="mup", optimizer="adamw")
    >>> p.table[["parameter", "role", "rate", "decay"]].iloc[[0, 2, 4]].to_string(index=False, header=False).split()
    ['0.weight', 'input', '1.00', '1.0', '2.weight', 'hidden', '0.25', '4.0', '3.weight', 'output', '0.25', '4.0']
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
    found = places(matching.pairs, readout)
    same = not matching.stretched and all(p.pairs[0].value.shape == p.pairs[0].base_value.shape for p in found)
    _warn_of_depth(scheme, matching, found)
    folds: dict[str, float] = {}
    if scales_attention(scheme) and not same:
        folds = query_folds(model, base, matching.modules, queries, head_dim)
    blocks, depth = _residual(model, base, scheme, matching, branches, folds)
    rules = [_rule(place, scheme, optimizer, matching, folds, blocks, depth, same) for place in found]
    for place, rule in zip(found, rules, strict=True):
        _apply(place, rule)
    return Parametrized(model, scheme, optimizer, depth.ratio, tuple(rules))
