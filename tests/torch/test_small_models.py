"""The small models: shapes, causality, initial sizes, and that `parametrize` reads them."""

import numpy as np
import pytest
import torch
from torch import nn

from neural_limits.torch import parametrize
from neural_limits.torch._real_training import fit, optimizers_for
from neural_limits.torch._small_models import GPT, MLP, next_symbol_loss

SYMBOLS, TOKENS = 30, 12


def gpt(width=64, seed=0, blocks=2):
    torch.manual_seed(seed)
    return GPT(width, blocks, SYMBOLS, TOKENS)


def test_a_later_symbol_does_not_change_an_earlier_logit():
    model = gpt()
    symbols = torch.randint(SYMBOLS, (3, TOKENS), generator=torch.Generator().manual_seed(1))
    before = model(symbols)
    assert before.shape == (3, TOKENS, SYMBOLS)
    for place in range(TOKENS):
        changed = symbols.clone()
        changed[:, place] = (changed[:, place] + 1) % SYMBOLS
        moved = (model(changed) - before).abs().amax(dim=(0, 2))
        assert (moved[:place] == 0).all()
        assert (moved[place:] > 1e-6).all()  # and every later one sees it


def test_places_matter_and_windows_may_be_shorter():
    model = gpt()
    same = model(torch.zeros(1, 5, dtype=torch.long))
    assert same.shape == (1, 5, SYMBOLS)
    assert (same[0, 1:] - same[0, :1]).abs().amax() > 1e-3


def test_initial_values():
    model = gpt(width=256, blocks=3)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            assert (parameter == (1.0 if "norm" in name and name.endswith("weight") else 0.0)).all(), name
            continue
        fan_in, branches = parameter.shape[1], 6 if "out_proj" in name or "fc2" in name else 1
        expected = 0.1 if name in ("embed.weight", "place.weight") else (branches * fan_in) ** -0.5
        error = expected / (2 * parameter.numel()) ** 0.5
        assert abs(float(parameter.detach().std()) - expected) < 4 * error, name
    assert model.blocks[0].attn.head_dim == gpt(64).blocks[0].attn.head_dim == 32


def test_loss_is_that_of_the_next_symbol():
    windows = torch.tensor([[0, 1, 2], [3, 1, 0]])

    def knows(symbols):  # certain of the next symbol, in the first window right, in the second wrong
        return 50.0 * nn.functional.one_hot((symbols + 1) % 4, 4).float()

    assert float(next_symbol_loss(knows, windows)) == pytest.approx(50 * 2 / 4, rel=1e-6)


@pytest.mark.parametrize("scheme", ["mup", "standard"])
def test_parametrize_reads_the_gpt(scheme):
    table = parametrize(gpt(128), gpt(64), scheme=scheme, optimizer="adamw").table.set_index("parameter")
    roles = table.role
    assert {roles["embed.weight"], roles["place.weight"]} == {"input"}
    assert {roles[f"blocks.1.{n}.weight"] for n in ("attn.qkv", "attn.out_proj", "fc1", "fc2")} == {"hidden"}
    assert roles["readout.weight"] == "output"
    rate = 0.5 if scheme == "mup" else 1.0
    assert (table.rate[["blocks.0.fc1.weight", "readout.weight"]] == rate).all()
    # The standard scheme leaves the readout at 1/√128; muP makes it half the base's 1/√64.
    assert table.init["readout.weight"] == pytest.approx(64**-0.5 / 2 if scheme == "mup" else 128**-0.5, rel=0.1)


def test_mlp_starts_at_zero_with_features_of_one_size_at_all_widths():
    torch.manual_seed(0)
    model = MLP(50, 400, 3, 7)
    x = torch.randn(200, 50)
    assert (model(x) == 0).all()
    size = 1.0
    for layer in model.layers:
        x, size = layer(x), size / 4
        assert float(x.detach().square().mean()) == pytest.approx(size, rel=0.2)
        x, size = x.relu(), size / 2


def test_wrong_sizes():
    with pytest.raises(ValueError, match=r"`width` must be a multiple of `head_dim` = 32; got 65"):
        GPT(65, 2, 5, 5)
    with pytest.raises(ValueError, match="`blocks` must be at least 1"):
        GPT(64, 0, 5, 5)
    with pytest.raises(ValueError, match="`hidden` must be at least 1"):
        MLP(4, 4, 0, 2)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "muon"])
def test_fit_learns_and_divergence_is_a_status(optimizer):
    windows = [torch.arange(TOKENS + 1)[None, :].repeat(4, 1) % SYMBOLS] * 30

    def trained(lr, warmup=5):
        model = gpt(64)
        rules = parametrize(model, gpt(32), optimizer=optimizer)
        return fit(model, optimizers_for(rules, lr), windows, next_symbol_loss, steps=30, warmup=warmup)

    good = trained(0.1 if optimizer == "sgd" else 1e-2)
    assert good.status == "completed"
    assert good.last(0.1) < 0.5 * good.losses[0]
    bad = trained(1e6, warmup=0)
    assert bad.status == "diverged"
    assert bad.last(0.1) == np.inf


def test_warm_up_scales_the_first_steps():
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.zero_()
    seen = []

    def loss(one, batch):
        seen.append(float(one.weight.detach()))
        return one(batch).sum()  # gradient 1 everywhere

    sgd = torch.optim.SGD(model.parameters(), lr=1.0)
    fit(model, [sgd], [torch.ones(1, 1)] * 6, lambda m, b: 10 - loss(m, b), steps=6, warmup=4)
    np.testing.assert_allclose(np.diff(seen), [0.25, 0.5, 0.75, 1.0, 1.0])
