"""A small Transformer whose muP is right, or wrong in one of five ways that people get wrong."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neural_limits.torch import Parametrized, parametrize

TOKENS, LENGTH, BASE_WIDTH, BASE_DEPTH = 32, 8, 32, 2
NAMED = {
    "none": None,
    "readout multiplier": "readout multiplier or rate",
    "embedding rate": "embedding rate",
    "attention scale": "attention scale",
    "weight decay": "weight decay",
    "residual depth factor": "residual depth factor",
}
"""Each mistake, and the rule that a check should name."""


class Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.n_head = 4
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        split = [p(x).unflatten(-1, (self.n_head, -1)).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj)]
        mixed = F.scaled_dot_product_attention(*split, is_causal=True)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn, self.fc1, self.fc2 = Attention(width), nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class Transformer(nn.Module):
    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(TOKENS, width), nn.Embedding(LENGTH, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, TOKENS, bias=False)
        self.rules: Parametrized | None = None

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.tokens(tokens) + self.positions(torch.arange(LENGTH))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def maker(mistake: str = "none"):
    """``make_model(width, depth)`` under CompleteP with one mistake."""

    def make_model(width: int, depth: int = BASE_DEPTH) -> Transformer:
        model, base = Transformer(width, depth), Transformer(BASE_WIDTH, BASE_DEPTH)
        without = {"queries": ()} if mistake == "attention scale" else {}
        rules = parametrize(model, base, scheme="complete-p", optimizer="adamw", **without)
        n, d = width / BASE_WIDTH, depth / BASE_DEPTH
        if mistake == "readout multiplier":
            rules = multiplied(rules, ("head.",), n)
        elif mistake == "embedding rate":
            rules = multiplied(rules, ("tokens.", "positions."), 1 / n, init=1.0)
        elif mistake == "residual depth factor":
            rules = multiplied(rules, ("attn.out_proj.", "fc2."), d)
        elif mistake == "weight decay":
            rules = replace(rules, rules=tuple(replace(rule, decay=1.0) for rule in rules.rules))
        model.rules = rules
        return model

    return make_model


def multiplied(rules: Parametrized, parts: tuple[str, ...], factor: float, init: float | None = None) -> Parametrized:
    """A multiplier forgotten: initial values and rates of these parameters are ``factor`` too large, and no decay."""
    values = dict(rules.model.named_parameters())
    changed = []
    for rule in rules.rules:
        if any(part in rule.parameter for part in parts):
            with torch.no_grad():
                values[rule.parameter].mul_(factor if init is None else init)
            rule = replace(rule, rate=rule.rate * factor, decay=rule.decay / factor, eps=rule.eps / factor)
        changed.append(rule)
    return replace(rules, rules=tuple(changed))


def adamw(model: Transformer) -> torch.optim.Optimizer:
    assert model.rules is not None
    return torch.optim.AdamW(model.rules.param_groups(lr=1e-2, weight_decay=0.1))


def batches(count: int = 2) -> list[tuple[Tensor, Tensor]]:
    draw = torch.Generator().manual_seed(0)
    drawn = torch.randint(TOKENS, (count, 2, 8, LENGTH), generator=draw)
    return [(tokens, targets) for tokens, targets in drawn]


def loss(logits: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())
