"""Two small models to try things on: a GPT that predicts the next symbol of a text, and a fully connected network."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from jaxtyping import Float, Int
from torch import Tensor, nn

from .._checks import positive_int

HEAD = 32  # dimension of a head at every width, so that heads become more and not larger
EMBEDDING = 0.1  # small beside what blocks add, so that contexts count early; Adam grows it within tens of updates
START = 0.5  # of the MLP: at √2 nothing that 300 updates teach the second weight leaves its bulk


class Attention(nn.Module):
    """Causal self-attention; its packed projection and its head dimension are named as `parametrize` knows them."""

    def __init__(self, width: int, head_dim: int) -> None:
        super().__init__()
        self.head_dim = head_dim
        self.qkv, self.out_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "b t n"]) -> Float[Tensor, "b t n"]:
        q, k, v = self.qkv(x).unflatten(-1, (3, -1, self.head_dim)).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """x + attention(norm x), then x + MLP(norm x)."""

    def __init__(self, width: int, head_dim: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = Attention(width, head_dim)
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Float[Tensor, "b t n"]) -> Float[Tensor, "b t n"]:
        x = x + self.attn(self.norm1(x))
        return x + self.fc2(nn.functional.gelu(self.fc1(self.norm2(x))))


class GPT(nn.Module):
    """Logits of the next symbol at every place, from the symbols up to it: (b, t) to (b, t, symbols).

    Learned positions, blocks with LayerNorm in front, GELU, an untied readout without bias. Initial values as
    nanoGPT's but for their scale: normal, hidden matrices and readout of deviation 1/√fan_in, the last matrix of
    each branch of that over √(2 blocks), embeddings of `EMBEDDING`; biases zero. (nanoGPT's 0.02 for all is
    0.55/√width at its width 768, and would start a width of 64 at a sixth of 1/√width.)

    ValueError if ``head_dim`` does not divide ``width``, or a size is below one.

    >>> import torch
    >>> GPT(width=64, blocks=2, symbols=50, tokens=16)(torch.zeros(3, 16, dtype=torch.long)).shape
    torch.Size([3, 16, 50])
    """

    def __init__(self, width: int, blocks: int, symbols: int, tokens: int, head_dim: int = HEAD) -> None:
        super().__init__()
        for name, value in (("blocks", blocks), ("symbols", symbols), ("tokens", tokens), ("head_dim", head_dim)):
            positive_int(name, value)
        if positive_int("width", width) % head_dim:
            raise ValueError(f"`width` must be a multiple of `head_dim` = {head_dim}; got {width}.")
        self.embed, self.place = nn.Embedding(symbols, width), nn.Embedding(tokens, width)
        self.blocks = nn.ModuleList(Block(width, head_dim) for _ in range(blocks))
        self.norm, self.readout = nn.LayerNorm(width), nn.Linear(width, symbols, bias=False)
        self._initialise()

    def _initialise(self) -> None:
        for name, module in self.named_modules():
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=EMBEDDING)
            elif isinstance(module, nn.Linear):
                branches = 2 * len(self.blocks) if name.endswith(("out_proj", "fc2")) else 1
                nn.init.normal_(module.weight, std=(branches * module.in_features) ** -0.5)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, symbols: Int[Tensor, "b t"]) -> Float[Tensor, "b t c"]:
        x = self.embed(symbols) + self.place.weight[: symbols.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.readout(self.norm(x))


class MLP(nn.Module):
    """Fully connected: inputs, ``hidden`` layers of one width, outputs; (b, inputs) to (b, outputs), no biases.

    ReLU. Initial values normal, of deviation `START`/√fan_in; the readout's zero: f = 0 at first at every width.

    >>> import torch
    >>> MLP(784, width=32, hidden=2, outputs=10)(torch.zeros(5, 784)).shape
    torch.Size([5, 10])
    """

    def __init__(self, inputs: int, width: int, hidden: int, outputs: int) -> None:
        super().__init__()
        sizes = [positive_int("inputs", inputs), *[positive_int("width", width)] * positive_int("hidden", hidden)]
        layers = [nn.Linear(a, b, bias=False) for a, b in pairwise(sizes)]
        for layer in layers:
            nn.init.normal_(layer.weight, std=START / layer.in_features**0.5)
        self.layers = nn.ModuleList(layers)
        self.readout = nn.Linear(width, positive_int("outputs", outputs), bias=False)
        nn.init.zeros_(self.readout.weight)

    def forward(self, x: Float[Tensor, "b d"]) -> Float[Tensor, "b c"]:
        for layer in self.layers:
            x = nn.functional.relu(layer(x))
        return self.readout(x)


def next_symbol_loss(model: Callable[[Tensor], Tensor], windows: Int[Tensor, "b t1"]) -> Float[Tensor, ""]:
    """Mean cross entropy (nats a symbol) of every symbol given those before it in its window."""
    logits = model(windows[:, :-1])
    return nn.functional.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())
