"""Small PyTorch models whose width and depth can be chosen, and what training does to their activations."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

torch.set_num_threads(1)  # matrices are small, and workers share the cores


class MLP(nn.Module):
    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.first = nn.Linear(16, width)
        self.hidden = nn.Linear(width, width)
        self.last = nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.relu(self.hidden(F.relu(self.first(x)))))


class ConvBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu(self.conv1(x)))


class ConvNet(nn.Module):
    """A residual network of convolutions."""

    def __init__(self, width: int = 16, depth: int = 2) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, width, 3, padding=1)
        self.blocks = nn.Sequential(*(ConvBlock(width) for _ in range(depth)))
        self.head = nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


class ResidualBlock(nn.Module):
    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, width) if layers == 2 else None
        self.fc2 = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        inner = x if self.fc1 is None else self.fc1(x)
        return x + self.fc2(F.relu(inner))


class ResNet(nn.Module):
    """Fully connected residual blocks of one or two layers."""

    def __init__(self, width: int = 64, depth: int = 2, layers: int = 2) -> None:
        super().__init__()
        self.first = nn.Linear(16, width)
        self.blocks = nn.ModuleList(ResidualBlock(width, layers) for _ in range(depth))
        self.last = nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        return self.last(x)


class Attention(nn.Module):
    """Causal attention with four heads; packed projections or three separate ones."""

    def __init__(self, width: int, packed: bool) -> None:
        super().__init__()
        self.n_head = 4
        if packed:
            self.c_attn = nn.Linear(width, 3 * width)
        else:
            self.q_proj, self.k_proj, self.v_proj = (nn.Linear(width, width) for _ in range(3))
        self.packed = packed
        self.c_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.c_attn(x).chunk(3, -1) if self.packed else (self.q_proj(x), self.k_proj(x), self.v_proj(x))
        q, k, v = (part.unflatten(-1, (self.n_head, -1)).transpose(1, 2) for part in parts)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.c_proj(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, width: int, packed: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = Attention(width, packed)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    def __init__(self, width: int = 64, depth: int = 2, packed: bool = True, tied: bool = False) -> None:
        super().__init__()
        self.tokens = nn.Embedding(32, width)
        self.positions = nn.Parameter(torch.randn(8, width))
        self.blocks = nn.ModuleList(Block(width, packed) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 32, bias=False)
        if tied:
            nn.init.normal_(self.tokens.weight, std=0.1)  # at one, a token's logit for itself would be its width
            self.head.weight = self.tokens.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.tokens(tokens) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def batch(model: nn.Module, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Inputs and labels the model can take, the same at any size."""
    draw = torch.Generator().manual_seed(seed)
    if isinstance(model, GPT):
        tokens = torch.randint(32, (4, 8), generator=draw)
        return tokens, torch.randint(32, (4, 8), generator=draw)
    shape = (8, 2, 4, 4) if isinstance(model, ConvNet) else (16, 16)
    return torch.randn(shape, generator=draw), torch.randint(5, shape[:1], generator=draw)


def loss(model: nn.Module, data: tuple[Tensor, Tensor]) -> Tensor:
    return F.cross_entropy(model(data[0]).flatten(0, -2), data[1].flatten())


def optimizers(parametrized: Any, lr: float, **options: Any) -> list[torch.optim.Optimizer]:
    """Those of torch that the rules are for."""
    name = parametrized.optimizer
    if name == "muon":
        matrices = parametrized.param_groups(lr, kind="muon", **options)  # none in a network of convolutions
        others = torch.optim.AdamW(parametrized.param_groups(lr / 2, kind="adamw", **options))
        return [*([torch.optim.Muon(matrices)] if matrices else []), others]
    kinds = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    return [kinds[name](parametrized.param_groups(lr, **options))]


def train(model: nn.Module, chosen: list[torch.optim.Optimizer], steps: int = 5) -> list[float]:
    losses = []
    for _ in range(steps):
        value = loss(model, batch(model))
        for optimizer in chosen:
            optimizer.zero_grad()
        value.backward()
        for optimizer in chosen:
            optimizer.step()
        losses.append(float(value.detach()))
    return losses


def activations(model: nn.Module, data: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    """Outputs of every module on the batch."""
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        return lambda module, args, output: seen.__setitem__(name, output.detach().clone())

    handles = [m.register_forward_hook(keep(name)) for name, m in model.named_modules() if name]
    with torch.no_grad():
        seen[""] = model(data[0]).detach()
    for handle in handles:
        handle.remove()
    return seen


def changes(model: nn.Module, chosen: list[torch.optim.Optimizer], steps: int = 5) -> dict[str, float]:
    """Root mean square change of every module's output over a few steps."""
    before = activations(model, batch(model))
    train(model, chosen, steps)
    after = activations(model, batch(model))
    return {name: float((after[name] - before[name]).double().square().mean().sqrt()) for name in before}


def slope(sizes: Any, values: Any) -> float:
    """Exponent of a power law."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


@pytest.fixture(scope="session")
def lab() -> SimpleNamespace:
    """The models and measurements above."""
    return SimpleNamespace(
        MLP=MLP,
        ConvBlock=ConvBlock,
        ConvNet=ConvNet,
        ResNet=ResNet,
        GPT=GPT,
        Attention=Attention,
        batch=batch,
        loss=loss,
        optimizers=optimizers,
        train=train,
        activations=activations,
        changes=changes,
        slope=slope,
    )
