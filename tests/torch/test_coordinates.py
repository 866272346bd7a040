"""What a probe reads off a model, against the same computed by hand."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neural_limits.torch._coordinates import Probe, rms
from neural_limits.torch._hooks import scale_input


def explicit(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax(q @ k.transpose(-1, -2) / 4, -1) @ v


def fused(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, scale=0.25)


class Attention(nn.Module):
    def __init__(self, mix: Callable[..., Tensor]) -> None:
        super().__init__()
        self.q, self.k, self.mix = nn.Linear(10, 12), nn.Linear(10, 12), mix

    def split(self, layer: nn.Module, x: Tensor) -> Tensor:
        return layer(x).unflatten(-1, (2, 6)).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        q, k = self.split(self.q, x), self.split(self.k, x)
        return self.mix(q, k, k)


@pytest.mark.parametrize("mix", [explicit, fused])
def test_attention_logits_however_they_are_computed(mix: Callable[..., Tensor]) -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(Attention(mix)), torch.randn(3, 5, 10)
    probe = Probe(model, x)
    layer = model[0]
    logits = layer.split(layer.q, x) @ layer.split(layer.k, x).transpose(-1, -2) / 4
    torch.testing.assert_close(probe.first["0:logits"], logits)
    assert probe.head_dims == {"0:logits": 6}
    assert list(probe.first) == ["0.q", "0.k", "0:logits", "0", "(output)"]


def test_attention_logits_of_torch_itself_and_masks_left_out() -> None:
    torch.manual_seed(0)
    model = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    mask = nn.Transformer.generate_square_subsequent_mask(4)
    probe = Probe(model, {"src": torch.randn(3, 4, 8), "src_mask": mask})
    assert probe.first["self_attn:logits"].shape[-2:] == (4, 4)
    assert probe.head_dims == {"self_attn:logits": 4}
    assert torch.isfinite(probe.first["self_attn:logits"]).all()


def test_changes_are_those_seen_by_hooks(lab: SimpleNamespace) -> None:
    torch.manual_seed(0)
    model = lab.GPT(32, packed=False)
    expected = lab.activations(model, lab.batch(model))
    probe = Probe(model, lab.batch(model)[0])
    for name, value in probe.sizes().items():
        if not name.endswith(":logits"):
            assert value == pytest.approx(rms(expected["" if name == "(output)" else name]), rel=1e-5)
    with torch.no_grad():
        model.head.weight *= 2
        model.blocks[1].mlp[0].bias += 0.5
    changes, own = probe.changes(), probe.own_changes()
    assert changes["blocks.0"] == own["blocks.0.attn.q_proj"] == 0.0
    assert own["blocks.1.mlp.0"] == pytest.approx(0.5, rel=1e-5)
    assert changes["norm"] > 0
    assert own["norm"] == 0.0  # its inputs have changed, not its parameters
    assert own["head"] == pytest.approx(probe.sizes()["head"], rel=1e-5)


def test_own_changes_count_hooks_once_and_dropout_not_at_all() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 50), nn.Dropout(0.5), nn.Linear(50, 3))
    scale_input(model[2], 0.1)
    x = torch.randn(6, 4)
    before = torch.random.get_rng_state()
    probe = Probe(model, x)
    assert set(probe.changes().values()) == {0.0}
    with torch.no_grad():
        model[2].weight *= 3
        model[2].bias *= 3
    assert probe.own_changes()["2"] == pytest.approx(2 * probe.sizes()["2"], rel=1e-5)
    assert torch.equal(before, torch.random.get_rng_state())
    assert not any(m._forward_hooks for m in model)
