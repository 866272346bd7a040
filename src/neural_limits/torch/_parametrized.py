"""What `parametrize` returns: the rule of every parameter, as a table and as groups for an optimizer."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import pandas as pd
from torch import nn

from .._checks import one_of, positive_float

_EPS = {"adam": 1e-8, "adamw": 1e-8, "muon": 1e-7}  # the defaults of torch.optim
_WRAPPERS = ("module", "_orig_mod", "_checkpoint_wrapped_module", "_fsdp_wrapped_module")


@dataclass(frozen=True)
class ParameterRule:
    """One row of the table: factors against the base model, except ``init``, a root mean square."""

    parameter: str
    role: str
    shape: tuple[int, ...]
    multiplier: float
    init: float
    rate: float
    decay: float
    eps: float
    optimizer: str
    muon_adjustment: float = 1.0  # of torch.optim.Muon's own factor, by "original"; see `param_groups`
    muon_adjustment_rms: float = 1.0  # the same by "match_rms_adamw"


@dataclass(frozen=True)
class Parametrized:
    """The rules of a parametrized model; made by `parametrize`."""

    model: nn.Module
    scheme: str
    optimizer: str
    depth_ratio: float
    rules: tuple[ParameterRule, ...]

    @property
    def table(self) -> pd.DataFrame:
        """One row a parameter: role; multiplier of the forward pass (all others are folded); init, the root mean
        square of its initial values; rate, decay and eps, factors on the numbers given to `param_groups`; its
        optimizer."""
        columns = [f.name for f in fields(ParameterRule) if not f.name.startswith("muon")]
        return pd.DataFrame([[getattr(rule, c) for c in columns] for rule in self.rules], columns=columns)

    def param_groups(
        self,
        lr: float,
        weight_decay: float = 0.0,
        *,
        kind: str | None = None,
        eps: float | None = None,
        decay_vectors: bool = True,
        adjust_lr_fn: str = "original",
        model: nn.Module | None = None,
    ) -> list[dict[str, Any]]:
        """Parameter groups with their own ``lr``, ``weight_decay`` (and ``eps``), for the optimizer named to
        `parametrize`.

        ``lr_group = lr · rate``, ``weight_decay_group = weight_decay · decay``: lr · weight_decay is one number for
        all. A group also holds its ``rate``, for schedules that set rates themselves: ``group["lr"] = lr *
        group["rate"]``.

        ``kind`` = "muon" | "adamw" picks the part for each of the two optimizers of ``optimizer="muon"``;
        ``adjust_lr_fn`` is torch.optim.Muon's. ``eps`` is Adam's or Muon's (default: torch's).
        ``decay_vectors=False`` decays matrices only. ``model``: a copy or a wrapped version (DDP, FSDP2, compiled)
        whose parameters to use, by name; parameters are looked up when this is called, so call it after
        `fully_shard`, which replaces them.

        ValueError if lr is not positive, for coupled weight decay under Adam (it does not transfer; use AdamW), for a
        missing kind, or if ``model`` has other parameters.
        """
        lr = positive_float("lr", lr)
        weight_decay = positive_float("weight_decay", weight_decay, zero=True)
        used = self._optimizer_used(kind)
        if used == "adam" and weight_decay:
            raise ValueError(
                "`weight_decay` must be 0 under optimizer='adam', where it passes through Adam's normalization and "
                f"does not transfer; got {weight_decay}: use optimizer='adamw'."
            )
        one_of("adjust_lr_fn", adjust_lr_fn, ("original", "match_rms_adamw"))
        parameters = self._parameters(self.model if model is None else model)
        groups: dict[tuple[float, ...], dict[str, Any]] = {}
        for rule in self.rules:
            if self.optimizer == "muon" and rule.optimizer != used:
                continue
            value = parameters[rule.parameter]
            group: dict[str, Any] = {"lr": lr * rule.rate, "weight_decay": weight_decay * rule.decay, "rate": rule.rate}
            if value.ndim < 2 and not decay_vectors:
                group["weight_decay"] = 0.0
            if used == "muon":
                _to_muon(group, rule, adjust_lr_fn)
            if used in _EPS:
                group["eps"] = (_EPS[used] if eps is None else positive_float("eps", eps)) * rule.eps
            key = tuple(group[name] for name in ("lr", "weight_decay", "eps") if name in group)
            groups.setdefault(key, {"params": [], **group})["params"].append(value)
        return list(groups.values())

    def _optimizer_used(self, kind: str | None) -> str:
        if self.optimizer == "muon":
            if kind is None:
                raise ValueError(
                    "`kind` must be 'muon' (hidden matrices, for torch.optim.Muon) or 'adamw' (all others, for "
                    "torch.optim.AdamW), since optimizer='muon' needs both; got None."
                )
            return one_of("kind", kind, ("muon", "adamw"))
        if kind is not None:
            raise ValueError(f"`kind` must be None unless optimizer='muon'; got {kind!r}.")
        return self.optimizer

    def _parameters(self, model: nn.Module) -> dict[str, nn.Parameter]:
        found = {plain_name(name): value for name, value in model.named_parameters()}
        missing = [rule.parameter for rule in self.rules if rule.parameter not in found]
        extra = sorted(set(found) - {rule.parameter for rule in self.rules})
        if missing or extra:
            raise ValueError(
                f"`model` must have the parametrized model's parameters; missing {missing}, unknown {extra}."
            )
        return found


def plain_name(name: str) -> str:
    """A parameter's name without what DDP, torch.compile and checkpointing put into it."""
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def _to_muon(group: dict[str, Any], rule: ParameterRule, adjust_lr_fn: str) -> None:
    """torch.optim.Muon multiplies its step (not its decay) by a factor of the shape: take out how that has changed."""
    change = rule.muon_adjustment if adjust_lr_fn == "original" else rule.muon_adjustment_rms
    for name, factor in (("lr", 1 / change), ("rate", 1 / change), ("weight_decay", change)):
        group[name] *= factor
    group["adjust_lr_fn"] = adjust_lr_fn
