"""What parametrize reads from a model's structure, and what it refuses to guess."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

from neural_limits.torch import parametrize


def roles(model, base, **options):
    table = parametrize(model, base, **options).table
    return dict(zip(table.parameter, table.role, strict=True))


class Zoo(nn.Module):
    """One of each layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.temperature = nn.Parameter(torch.ones(()))
        self.patches = nn.Conv2d(3, width, 4)
        self.depthwise = nn.Conv2d(width, width, 3, groups=width)
        self.up = nn.ConvTranspose1d(width, 2, 3)
        self.table = nn.Embedding(7, width)
        self.norm = nn.RMSNorm(width)
        self.batch = nn.BatchNorm1d(width)
        self.lstm = nn.LSTM(5, width)
        self.fixed = nn.Linear(4, 6)
        self.head = nn.Linear(width, 6)
        self.bare = nn.Parameter(torch.randn(6, width))


def test_roles_come_from_shapes():
    found = roles(Zoo(32), Zoo(8), readout=("bare",))
    assert found == {
        "token": "input",
        "temperature": "fixed",
        "bare": "output",
        "patches.weight": "input",
        "patches.bias": "vector",
        "depthwise.weight": "input",
        "depthwise.bias": "vector",
        "up.weight": "output",
        "up.bias": "fixed",
        "table.weight": "input",
        "norm.weight": "vector",
        "batch.weight": "vector",
        "batch.bias": "vector",
        "lstm.weight_ih_l0": "input",
        "lstm.weight_hh_l0": "hidden",
        "lstm.bias_ih_l0": "vector",
        "lstm.bias_hh_l0": "vector",
        "fixed.weight": "fixed",
        "fixed.bias": "fixed",
        "head.weight": "output",
        "head.bias": "fixed",
    }
    assert roles(Zoo(32), Zoo(8))["bare"] == "input"
    assert set(roles(Zoo(8), Zoo(8)).values()) == {"fixed"}
    assert roles(Zoo(8), Zoo(8), delta=Zoo(32), readout=("bare",)) == found


def test_a_narrower_model_than_the_base_scales_the_other_way():
    table = parametrize(Zoo(8), Zoo(32)).table.set_index("parameter")
    assert table.rate["lstm.weight_hh_l0"] == 4.0
    assert table.decay["head.weight"] == 0.25


def test_blocks_of_several_kinds_are_matched_by_kind():
    def make(width, depth):
        def block(i):
            wide = nn.Sequential(nn.Linear(width, 2 * width), nn.Linear(2 * width, width))
            return wide if i % 2 else nn.Linear(width, width)

        return nn.ModuleDict({"first": nn.Linear(3, width), "blocks": nn.ModuleList(block(i) for i in range(depth))})

    p = parametrize(make(16, 6), make(8, 2), "complete-p", "sgd")
    table = p.table.set_index("parameter")
    assert p.depth_ratio == 3
    assert table.rate["blocks.4.weight"] == pytest.approx(3 / 9)  # the only layer of its branch
    assert table.rate["blocks.5.0.weight"] == pytest.approx(3)
    assert table.rate["blocks.5.1.weight"] == pytest.approx(3 / 9)
    assert table.rate["first.weight"] == 2


def test_stages_that_keep_their_number_of_blocks_count_for_the_depth(lab):
    class Stages(nn.Module):
        def __init__(self, depths):
            super().__init__()
            self.stages = nn.Sequential(*(nn.Sequential(*(lab.ConvBlock(8) for _ in range(d))) for d in depths))

    p = parametrize(Stages((2, 6)), Stages((2, 2)), "depth-mup", branches=("*.conv2",))
    assert p.depth_ratio == 2
    rates = p.table.set_index("parameter").rate
    assert rates["stages.0.1.conv1.weight"] == pytest.approx(2**-0.5)
    assert rates["stages.1.5.conv2.weight"] == pytest.approx(2**-0.5 * 2**-0.5)


def test_normalized_queries_carry_the_factor_in_their_gain():
    class Attention(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.head_dim = width // 2
            self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.q_norm, self.k_norm = nn.LayerNorm(width // 2), nn.LayerNorm(width // 2)

    model = Attention(32)
    parametrize(model, Attention(8))
    torch.testing.assert_close(model.q_norm.weight.detach(), torch.full((16,), 0.5))
    assert torch.equal(model.k_norm.weight, torch.ones(16))


class Unknown(nn.Module):
    """Attention whose names say nothing."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Linear(width, width) for _ in range(3))


class SelfAttention(Unknown):
    pass


class Mixer(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = Unknown(width)


def stack(width, depth, kind=Mixer):
    return nn.ModuleDict({"blocks": nn.ModuleList(kind(width) for _ in range(depth))})


class Heads(nn.Module):
    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(width, 4) for _ in range(count))


class Normalized(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(width, width, 3), nn.BatchNorm2d(width)


def shared(width):
    model = nn.ModuleDict({"a": nn.Linear(width, width, bias=False), "b": nn.Linear(width, width, bias=False)})
    model["c"] = nn.Linear(width, 8, bias=False)
    if width == 8:
        model["a"].weight = model["b"].weight = model["c"].weight
    return model


def with_nan(width):
    model = nn.Linear(4, width)
    with torch.no_grad():
        model.weight[0, 0] = torch.nan
    return model


def mlp(width, depth):
    middle = [layer for _ in range(depth) for layer in (nn.Linear(width, width), nn.ReLU())]
    return nn.Sequential(nn.Linear(3, width), nn.ReLU(), *middle, nn.Linear(width, 2))


CASES = {
    "scheme": (lambda: parametrize(nn.Linear(4, 8), nn.Linear(4, 4), "mu"), "`scheme` must be one of 'mup'"),
    "optimizer": (
        lambda: parametrize(nn.Linear(4, 8), nn.Linear(4, 4), "mup", "AdamW"),
        "must be one of 'sgd', 'adam', 'adamw', 'muon'",
    ),
    "names": (
        lambda: parametrize(nn.Linear(4, 8), nn.Linear(4, 4, bias=False)),
        r"`base` must be the same model .* only the model has \['bias'\], only the base has \[\]",
    ),
    "no parameters": (lambda: parametrize(nn.ReLU(), nn.ReLU()), "`model` must have parameters"),
    "dimensions": (lambda: parametrize(nn.Conv1d(4, 8, 1), nn.Conv2d(4, 4, 1)), "with 3 dimensions"),
    "kernel": (lambda: parametrize(nn.Conv1d(4, 8, 3), nn.Conv1d(4, 4, 5)), "kernel size and groups"),
    "vocabulary": (lambda: parametrize(nn.Embedding(9, 8), nn.Embedding(5, 4)), "as many rows in the table weight"),
    "nan": (lambda: parametrize(with_nan(8), nn.Linear(4, 4)), "`model` must have finite weights; weight has a NaN"),
    "nan in base": (lambda: parametrize(nn.Linear(4, 8), with_nan(4)), "`base` must have finite weights"),
    "meta": (
        lambda: parametrize(nn.Linear(4, 8), nn.Linear(4, 4, device="meta")),
        "`base` must hold its initial values",
    ),
    "queries": (lambda: parametrize(SelfAttention(8), SelfAttention(4)), "`queries` must name .* .SelfAttention"),
    "pattern": (
        lambda: parametrize(nn.Linear(4, 8), nn.Linear(4, 4), queries=("*.wq",)),
        r"'\*.wq', which matches none",
    ),
    "head_dim": (
        lambda: parametrize(SelfAttention(8), SelfAttention(4), queries=("a",)),
        r"`head_dim` must be given as \(model's, base's\)",
    ),
    "branches": (
        lambda: parametrize(stack(8, 4), stack(4, 2), "depth-mup"),
        "`branches` must name the last layer .* 'blocks.0.inner'",
    ),
    "some branches": (
        lambda: parametrize(stack(8, 4), stack(4, 2), "depth-mup", branches=("blocks.0.inner.c",)),
        "got none in 'blocks.1'",
    ),
    "batch norm": (
        lambda: parametrize(stack(8, 4, Normalized), stack(4, 2, Normalized), "depth-mup"),
        "batch normalization",
    ),
    "heads": (
        lambda: parametrize(
            stack(16, 2, lambda width: Heads(width, width // 4)), stack(8, 2, lambda width: Heads(width, width // 4))
        ),
        "as many modules in 'blocks.0.heads'",
    ),
    "plain depth": (lambda: parametrize(mlp(8, 3), mlp(4, 1)), "must repeat equal blocks"),
    "sharing": (lambda: parametrize(shared(8), shared(4)), r"a.weight \(hidden\), .* c.weight \(output\)"),
    "lr": (lambda: parametrize(nn.Linear(4, 8), nn.Linear(4, 4)).param_groups(lr=0.0), "`lr` must be positive"),
    "adam decay": (
        lambda: parametrize(nn.Linear(4, 8), nn.Linear(4, 4), "mup", "adam").param_groups(0.1, 0.1),
        "use optimizer='adamw'",
    ),
    "kind": (
        lambda: parametrize(mlp(8, 1), mlp(4, 1), "mup", "muon").param_groups(0.1),
        "`kind` must be 'muon'",
    ),
    "no kind": (
        lambda: parametrize(nn.Linear(4, 8), nn.Linear(4, 4)).param_groups(0.1, kind="muon"),
        "`kind` must be None",
    ),
    "delta": (lambda: parametrize(mlp(8, 1), mlp(8, 1), "mup", "muon"), "`delta` must be given"),
    "other model": (
        lambda: parametrize(nn.Linear(4, 8), nn.Linear(4, 4)).param_groups(0.1, model=mlp(8, 1)),
        "`model` must have the parametrized model's parameters",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_errors_are_one_line_that_says_what_to_do(case):
    call, message = CASES[case]
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


def test_the_same_object_is_no_base():
    model = nn.Linear(4, 8)
    with pytest.raises(ValueError, match="`base` must be another model"):
        parametrize(model, model)


def test_an_initialisation_that_is_zero_in_the_base_only_is_refused():
    base = nn.Linear(4, 4)
    nn.init.zeros_(base.weight)
    with pytest.raises(ValueError, match="`base` must be initialised as the model is; weight is zero there"):
        parametrize(nn.Linear(4, 8), base)


def test_a_refused_model_keeps_its_weights():
    model = mlp(8, 1)
    with torch.no_grad():
        model[4].bias[0] = torch.inf
    before = [value.detach().clone() for value in model.parameters()]
    with pytest.raises(ValueError, match="finite"):
        parametrize(model, mlp(4, 1))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), before, strict=True))


def test_depth_alone_under_a_scheme_of_width_is_said():
    with pytest.warns(UserWarning, match="only the depth differs"):
        parametrize(stack(4, 4), stack(4, 2), "mup")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parametrize(stack(8, 4), stack(4, 2), "mup")
        parametrize(stack(4, 2), stack(4, 2), "mup")
