"""Oracles: the un-parametrized model at base size, tables of the papers in closed form, and exact invariances."""

from __future__ import annotations

import copy
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from neural_limits.torch import parametrize

SCHEMES = ("mup", "depth-mup", "complete-p", "ntk", "standard")


def seeded(make, seed=0):
    torch.manual_seed(seed)
    return make()


def rows(parametrized) -> pd.DataFrame:
    return parametrized.table.set_index("parameter")


def rms(value) -> float:
    return float(value.detach().double().square().mean().sqrt())


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "muon"])
def test_at_base_size_weights_and_training_are_unchanged_to_the_last_bit(lab, scheme, optimizer):
    plain = seeded(lambda: lab.GPT(32, tied=True))
    model = copy.deepcopy(plain)
    p = parametrize(model, seeded(lambda: lab.GPT(32, tied=True), 1), scheme, optimizer, delta=lab.GPT(64, tied=True))
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    decay = 0.0 if optimizer == "adam" else 0.1
    if optimizer == "muon":
        matrices = [v for k, v in plain.named_parameters() if v.ndim == 2 and k not in ("tokens.weight", "positions")]
        others = [v for v in plain.parameters() if not any(v is m for m in matrices)]
        chosen = [
            torch.optim.Muon(matrices, lr=0.02, weight_decay=decay),
            torch.optim.AdamW(others, lr=0.01, weight_decay=decay),
        ]
    else:
        kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[optimizer]
        chosen = [kind(plain.parameters(), lr=0.02, weight_decay=decay)]
    ours = lab.train(model, lab.optimizers(p, 0.02, weight_decay=decay))
    assert ours == lab.train(plain, chosen)
    for mine, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    assert (p.table[["multiplier", "rate", "decay", "eps"]] == 1).all(axis=None)


# Tensor Programs V, Table 3, with everything folded into the weights; width ratio 4.
TABLE = {
    ("mup", "sgd"): {"first.weight": (1, 4), "hidden.weight": (0.5, 1), "last.weight": (0.25, 0.25)},
    ("mup", "adamw"): {"first.weight": (1, 1), "hidden.weight": (0.5, 0.25), "last.weight": (0.25, 0.25)},
    ("mup", "muon"): {"first.weight": (1, 1), "hidden.weight": (0.5, 1), "last.weight": (0.25, 0.25)},
    ("ntk", "sgd"): {"first.weight": (1, 1), "hidden.weight": (0.5, 0.25), "last.weight": (0.5, 0.25)},
    ("ntk", "adam"): {"first.weight": (1, 1), "hidden.weight": (0.5, 0.5), "last.weight": (0.5, 0.5)},
    ("standard", "sgd"): {"first.weight": (1, 1), "hidden.weight": (0.5, 1), "last.weight": (0.5, 1)},
}


@pytest.mark.parametrize(("scheme", "optimizer"), TABLE)
def test_factors_are_those_of_the_papers(lab, scheme, optimizer):
    model, base = seeded(lambda: lab.MLP(256)), seeded(lambda: lab.MLP(64), 1)
    table = rows(parametrize(model, base, scheme, optimizer))
    for name, (init, rate) in TABLE[scheme, optimizer].items():
        before = rms(base.get_parameter(name))
        assert table.rate[name] == pytest.approx(rate, rel=1e-12)
        assert table.decay[name] == pytest.approx(1 / rate, rel=1e-12)
        assert rms(model.get_parameter(name)) == pytest.approx(before * init, rel=0.1)  # two draws of a few hundred
        assert table.init[name] == pytest.approx(rms(model.get_parameter(name)), rel=1e-6)
    bias = {"mup": 4.0 if optimizer == "sgd" else 1.0}.get(scheme, 1.0)
    assert table.rate["hidden.bias"] == bias
    assert table.rate["last.bias"] == 1.0


@pytest.mark.parametrize("law", ["kaiming", "constant", "xavier", "fan_out", "orthogonal"])
def test_the_size_of_weights_does_not_depend_on_the_users_own_law(lab, law):
    def make(width):
        model = lab.MLP(width)
        for layer in (model.first, model.hidden, model.last):
            {
                "kaiming": lambda w: w,
                "constant": lambda w: nn.init.normal_(w, std=0.02),
                "xavier": nn.init.xavier_normal_,
                "fan_out": lambda w: nn.init.kaiming_normal_(w, mode="fan_out"),
                "orthogonal": nn.init.orthogonal_,
            }[law](layer.weight)
        return model

    for width in (256, 512):
        model, base = seeded(partial(make, width)), seeded(partial(make, 64), 1)
        parametrize(model, base)
        for layer, exponent in (("first", 0), ("hidden", -0.5), ("last", -1)):
            ratio = rms(model.get_parameter(f"{layer}.weight")) / rms(base.get_parameter(f"{layer}.weight"))
            assert ratio == pytest.approx((width / 64) ** exponent, rel=0.12)


def test_the_initial_factor_is_a_power_of_the_width_whatever_the_draw(lab):
    factors = set()
    for seed in range(20):
        model, base = seeded(lambda: lab.MLP(256), seed), seeded(lambda: lab.MLP(64), 100 + seed)
        before = model.last.weight.detach().clone()
        parametrize(model, base)
        factors.add(round(float((model.last.weight.detach() / before).mean()), 5))
    assert factors == {0.5}  # PyTorch's own 1/√fan_in, to 1/fan_in


def test_zeros_stay_zeros_and_gains_ones(lab):
    def make(width):
        model = lab.GPT(width)
        nn.init.zeros_(model.head.weight)
        return model

    model = make(128)
    parametrize(model, make(32))
    assert not model.head.weight.any()
    assert torch.equal(model.norm.weight, torch.ones(128))


def test_a_second_call_changes_nothing_more(lab):
    model, base = seeded(lambda: lab.GPT(128, tied=True)), seeded(lambda: lab.GPT(32, tied=True), 1)
    first = parametrize(model, base).table
    values = copy.deepcopy(model.state_dict())
    second = parametrize(model, base).table
    pd.testing.assert_frame_equal(first, second, rtol=0.05)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, values[name], rtol=0.1, atol=0)
    assert len(model.head._forward_pre_hooks) == 1


@pytest.mark.parametrize("packed", [True, False])
def test_logits_are_divided_by_the_head_dimension_exactly(lab, packed):
    """Against the same attention with its factor written in the forward pass."""
    model, base = seeded(lambda: lab.GPT(128, packed=packed)), seeded(lambda: lab.GPT(32, packed=packed), 1)
    parametrize(model, base)
    plain = seeded(lambda: lab.GPT(128, packed=packed))
    parametrize(plain, base, queries=())
    x = torch.randn(2, 8, 128)
    inside, outside = model.blocks[0].attn, plain.blocks[0].attn

    def logits(attention):
        parts = attention.c_attn(x).chunk(3, -1) if packed else (attention.q_proj(x), attention.k_proj(x))
        q, k = (part.unflatten(-1, (4, -1)).transpose(1, 2) for part in parts[:2])
        return q @ k.transpose(2, 3) / 32**0.5

    torch.testing.assert_close(logits(inside), logits(outside) * (8 / 32) ** 0.5, rtol=1e-4, atol=1e-6)
    if packed:  # values come out as they were
        v = x @ outside.c_attn.weight[256:].T + outside.c_attn.bias[256:]
        mine = x @ inside.c_attn.weight[256:].T + inside.c_attn.bias[256:]
        torch.testing.assert_close(mine @ inside.c_proj.weight.T, v @ outside.c_proj.weight.T, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_folding_into_packed_projections_is_exact_over_training(lab, optimizer):
    """Packed q, k, v with its factor folded evenly trains as three matrices with a factor in the forward pass."""

    class Scaled(lab.Attention):
        def forward(self, x):
            q, k, v = (part.unflatten(-1, (4, -1)).transpose(1, 2) for part in self.c_attn(x).chunk(3, -1))
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=8**0.5 / 32)
            return self.c_proj(mixed.transpose(1, 2).flatten(2))

    base = seeded(lambda: lab.GPT(32), 1).double()
    folded, plain = (seeded(lambda: lab.GPT(128)).double() for _ in range(2))
    for block in plain.blocks:
        block.attn.__class__ = Scaled
    one, two = parametrize(folded, base, "mup", optimizer), parametrize(plain, base, "mup", optimizer, queries=())
    options = {} if optimizer == "sgd" else {"eps": 1e-20, "weight_decay": 0.1}
    ours = lab.train(folded, lab.optimizers(one, 0.02, **options))
    theirs = lab.train(plain, lab.optimizers(two, 0.02, **options))
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_torchs_own_transformer_layer(lab):
    def make(width, depth=2):
        layer = nn.TransformerEncoderLayer(width, 4, 4 * width, dropout=0.0, batch_first=True, norm_first=True)
        return nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)

    table = rows(parametrize(make(128, 4), make(32), "complete-p", "adamw"))
    s = (8 / 32) ** 0.5
    assert table.rate["layers.3.self_attn.in_proj_weight"] == pytest.approx(0.25 * s**0.5)
    assert table.rate["layers.3.self_attn.out_proj.weight"] == pytest.approx(0.25 * s**-0.5 * 0.5)
    assert table.rate["layers.0.linear1.weight"] == 0.25
    assert table.rate["layers.0.linear2.weight"] == 0.125
    assert table.rate["layers.0.linear2.bias"] == 0.5


def test_branches_and_rates_over_depth(lab):
    """CompleteP's Table 1 and depth-muP, folded; depth ratio 4, width ratio 2."""
    for scheme, optimizer, inner, last in (
        ("complete-p", "adamw", 1 / 2, 1 / 8),
        ("depth-mup", "adamw", 1 / 4, 1 / 8),
        ("depth-mup", "sgd", 1.0, 1 / 4),
        ("complete-p", "sgd", 4.0, 1 / 4),
        ("depth-mup", "muon", 1 / 2, 1 / 4),
        ("mup", "adamw", 1 / 2, 1 / 2),
    ):
        model, base = seeded(lambda: lab.ResNet(128, 8)), seeded(lambda: lab.ResNet(64, 2), 1)
        before = model.blocks[7].fc2.weight.detach().clone()
        p = parametrize(model, base, scheme, optimizer)
        assert p.depth_ratio == 4
        table = rows(p)
        assert table.rate["blocks.5.fc1.weight"] == pytest.approx(inner)
        assert table.rate["blocks.7.fc2.weight"] == pytest.approx(last)
        branch = {"complete-p": 0.25, "depth-mup": 0.5, "mup": 1.0}[scheme]
        torch.testing.assert_close(model.blocks[7].fc2.weight, before * branch)


def test_depth_in_the_users_own_initialisation_is_not_counted_twice(lab):
    def make(depth):
        model = seeded(lambda: lab.ResNet(64, depth))
        for block in model.blocks:
            nn.init.normal_(block.fc2.weight, std=0.1 / (2 * depth) ** 0.5)
        return model

    for scheme, std in (("depth-mup", 0.05 / 2), ("complete-p", 0.05 / 4), ("mup", 0.1 / 16**0.5)):
        model = make(8)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parametrize(model, make(2), scheme)
        assert rms(model.blocks[7].fc2.weight) == pytest.approx(std, rel=0.03)


def test_a_tied_readout_is_divided_in_the_forward_pass(lab):
    model, base = seeded(lambda: lab.GPT(128, tied=True)), seeded(lambda: lab.GPT(32, tied=True), 1)
    tokens = model.tokens.weight.detach().clone()
    p = parametrize(model, base)
    assert rows(p).role["tokens.weight"] == "tied"
    assert rows(p).multiplier["tokens.weight"] == 0.25
    assert torch.equal(model.tokens.weight, tokens)
    assert model.head.weight is model.tokens.weight
    x = torch.randn(3, 128)
    torch.testing.assert_close(model.head(x), F.linear(x, tokens) / 4)
    torch.testing.assert_close(model.head(input=x), F.linear(x, tokens) / 4)


@pytest.mark.parametrize("adjust", ["original", "match_rms_adamw"])
def test_muons_own_factor_of_the_shape_is_taken_into_account(adjust):
    """Steps of spectral norm √(out/in) times the same number at any width and shape."""

    def make(width, inner):
        return nn.Sequential(nn.Linear(8, width), nn.Linear(width, inner), nn.Linear(inner, width), nn.Linear(width, 2))

    base, model = make(32, 32), make(128, 512)
    delta = make(64, 64)
    sizes = []
    for net in (base, model):
        p = parametrize(net, copy.deepcopy(base), "mup", "muon", delta=delta)
        for value in net.parameters():
            value.grad = torch.randn_like(value)
        before = [net[i].weight.detach().clone() for i in (1, 2)]
        groups = p.param_groups(0.1, kind="muon", adjust_lr_fn=adjust)
        torch.optim.Muon(groups, ns_steps=30, ns_coefficients=(1.5, -0.5, 0.0)).step()
        for old, layer in zip(before, (net[1], net[2]), strict=True):
            step = torch.linalg.matrix_norm((layer.weight - old).double(), 2)
            sizes.append(float(step.detach()) / (old.shape[0] / old.shape[1]) ** 0.5)
    np.testing.assert_allclose(sizes[2:], sizes[:2], rtol=0.02)  # bfloat16 inside


@pytest.mark.parametrize("scheme", ["mup", "depth-mup", "complete-p", "ntk"])
def test_decoupled_decay_shrinks_every_weight_alike_at_any_size(lab, scheme):
    for width, depth in ((32, 2), (128, 4)):
        model = lab.GPT(width, depth)
        p = parametrize(model, lab.GPT(32, 2), scheme)
        before = {name: value.detach().clone() for name, value in model.named_parameters()}
        for value in model.parameters():
            value.grad = torch.zeros_like(value)
        torch.optim.AdamW(p.param_groups(lr=0.1, weight_decay=0.2)).step()
        for name, value in model.named_parameters():
            torch.testing.assert_close(value.detach(), before[name] * 0.98, rtol=1e-5, atol=1e-8)


def test_groups(lab):
    model = lab.GPT(128)
    p = parametrize(model, lab.GPT(32))
    groups = p.param_groups(lr=0.01, weight_decay=0.1, decay_vectors=False)
    for group in groups:
        assert group["lr"] == pytest.approx(0.01 * group["rate"])
        if group["params"][0].ndim < 2:
            assert group["weight_decay"] == 0
        else:
            assert group["lr"] * group["weight_decay"] == pytest.approx(0.001)
    listed = [id(value) for group in groups for value in group["params"]]
    assert sorted(listed) == sorted(id(value) for value in model.parameters())


def test_adams_epsilon_follows_the_size_of_gradients(lab):
    """With epsilon far above the gradients Adam is SGD with momentum, and steps still have the right size."""
    sizes = {}
    for width in (64, 1024):
        model = seeded(partial(lab.MLP, width))
        p = parametrize(model, seeded(lambda: lab.MLP(64), 1))
        sizes[width] = lab.changes(model, [torch.optim.AdamW(p.param_groups(1e-2, eps=1.0))], steps=1)
    for name, value in sizes[64].items():
        assert sizes[1024][name] == pytest.approx(value, rel=0.5), name  # sixteen times apart if epsilon were fixed


def test_the_example_of_the_docs_runs_and_prints_its_table(capsys):
    page = (Path(__file__).parents[2] / "docs" / "torch.md").read_text()
    names: dict = {}
    exec(page.split("```python\n")[1].split("```")[0], names)
    printed = names["p"].table.set_index("parameter")
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith(("| 0.", "| 1.7", "| 2."))]
    assert len(rows) == 8
    for name, role, init, rate, decay in rows:
        row = printed.loc[name]
        assert (row.role, row.rate, row.decay) == (role, float(rate), float(decay))
        assert row.init == pytest.approx(float(init), abs=6e-5)
