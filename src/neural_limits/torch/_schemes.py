"""What each scheme asks of each role: factors against the base model, from the tables of `parametrizations`.

A table row says ``multiplier · W x``, W of deviation ``std``, step ``rate``. Multiplying W by s, dividing the
multiplier by s and its rate by s² (SGD; by s for steps of a size of their own: Adam, Muon) changes nothing in the
function computed or in its training, so the multiplier is folded into the weight: initial deviation ``multiplier ·
std``, rate ``multiplier² · rate`` or ``multiplier · rate``. All is relative to the base model, whose factors are
exactly one:

    |                  | mup: init, SGD, Adam, Muon              | ntk: init, SGD, Adam, Muon           |
    |------------------|-----------------------------------------|--------------------------------------|
    | vector, input    | 1,       out,     1,     -              | 1,      1,    1,      -              |
    | hidden           | 1/√in,   out/in,  1/in,  √(out/in)      | 1/√in,  1/in, 1/√in,  1/√in          |
    | output           | 1/in,    1/in,    1/in,  -              | 1/√in,  1/in, 1/√in,  -              |

with in = fan_in / base fan_in, out = fan_out / base fan_out. The depth d = branches / base branches adds, in residual
blocks, a factor d^-b on each branch and d^(2b-1) (SGD) or d^(b-1) (Adam, Muon) on the rates: b = 1/2 in depth-mup, 1 in
complete-p. Sources: Yang et al. 2022 (Tensor Programs V, Tables 3 and 8), Yang et al. 2023 (Tensor Programs VI),
Bordelon et al. 2023, Dey et al. 2025 (CompleteP, Table 1), Yang, Simon & Bernstein 2023 (spectral norms, for Muon).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from ..parametrizations import NTK, DepthMuP, LayerRule, MuP, Parametrization, Rules, Standard

SCHEMES: dict[str, Parametrization] = {
    "mup": MuP(),
    "depth-mup": DepthMuP(),
    "complete-p": DepthMuP(branch_exponent=1.0),
    "ntk": NTK(),
    "standard": Standard(),
}
OPTIMIZERS = ("sgd", "adam", "adamw", "muon")

Role = Literal["fixed", "vector", "input", "hidden", "output", "tied"]


class Size(NamedTuple):
    """A dimension in the model and in its base."""

    value: int
    base: int

    @property
    def ratio(self) -> float:
        return self.value / self.base


class Factors(NamedTuple):
    """What a parameter's numbers are multiplied by, against the same parameter of the base model."""

    init: float = 1.0
    rate: float = 1.0
    decay: float = 1.0
    eps: float = 1.0


def scales_attention(scheme: str) -> bool:
    """Whether logits are divided by the head dimension (muP), not by its root."""
    return isinstance(SCHEMES[scheme], MuP)


def scales_depth(scheme: str) -> bool:
    return isinstance(SCHEMES[scheme], DepthMuP)


def branch_factor(scheme: str, depth: Size) -> float:
    """Factor of every residual branch: d^-b."""
    new, old = _both(scheme, Size(1, 1), depth)
    return new.branch / old.branch


def readout_multiplier(scheme: str, fan_in: Size) -> float:
    """What a readout that shares its weight with the embedding divides its input by, which cannot be folded."""
    if scheme == "standard":
        return 1.0
    new, old = _both(scheme, fan_in)
    return new.output.operator_std / old.output.operator_std


def factors(
    scheme: str,
    optimizer: str,
    role: Role,
    fan_in: Size,
    fan_out: Size,
    depth: Size | None = None,
    fold: float = 1.0,
) -> Factors:
    """Factors of one parameter; ``depth`` if it is part of a residual block, ``fold`` what else is folded into it."""
    if scheme == "standard":
        return Factors()
    row = {"hidden": "hidden", "output": "output"}.get(role, "input")
    width = Size(1, 1) if role == "fixed" else fan_out if row == "input" else fan_in
    new, old = (getattr(rules, row) for rules in _both(scheme, width))
    init = new.operator_std / old.operator_std
    rate = _operator_rate(new, optimizer) / _operator_rate(old, optimizer)
    if row == "hidden" and isinstance(SCHEMES[scheme], MuP):  # the table has one width; a matrix may have two
        rate *= {"sgd": fan_out.ratio / fan_in.ratio, "muon": (fan_out.ratio / fan_in.ratio) ** 0.5}.get(optimizer, 1.0)
    eps = 1.0 if role in ("fixed", "output") else readout_multiplier(scheme, fan_out)  # size of the gradient's entries
    if optimizer == "muon":
        eps *= (fan_in.ratio * fan_out.ratio) ** 0.5  # of its Frobenius norm
    if depth is not None:
        deep, shallow = _both(scheme, Size(1, 1), depth)
        rate *= _operator_rate(deep.hidden, optimizer) / _operator_rate(shallow.hidden, optimizer)
        eps *= deep.branch / shallow.branch
    rate *= fold**2 if optimizer == "sgd" else fold
    return Factors(init * fold, rate, 1 / rate, eps / fold)


def _both(scheme: str, width: Size, depth: Size | None = None) -> tuple[Rules, Rules]:
    depth = depth or Size(1, 1)
    table = SCHEMES[scheme]
    return table.rules(width.value, 1, depth.value), table.rules(width.base, 1, depth.base)


def _operator_rate(rule: LayerRule, optimizer: str) -> float:
    if optimizer == "sgd":
        return rule.operator_rate
    return rule.multiplier * (rule.rate_muon if optimizer == "muon" else rule.rate_adam)
