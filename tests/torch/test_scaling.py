"""Coordinate checks: how activations change over five steps, at growing width and depth."""

from __future__ import annotations

import warnings
from functools import partial

import numpy as np
import pytest
import torch

from neural_limits.torch import parametrize


def exponents(lab, make, sizes, base, scheme, optimizer, lr, seeds=3):
    """Exponent in the size of every module's change, mean over seeds."""
    series = {}
    for size in sizes:
        runs = []
        for seed in range(seeds):
            torch.manual_seed(1000 * seed + size)
            model = make(size)
            p = parametrize(model, make(base), scheme, optimizer, delta=make(2 * base) if optimizer == "muon" else None)
            runs.append(lab.changes(model, lab.optimizers(p, lr)))
        for name in runs[0]:
            series.setdefault(name, []).append(np.mean([run[name] for run in runs]))
    return {name: lab.slope(sizes, values) for name, values in series.items() if len(values) == len(sizes)}


WIDTHS = (64, 256, 1024)
RATES = {"sgd": 0.05, "adam": 3e-3, "adamw": 3e-3, "muon": 0.02}


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_an_mlp_learns_alike_at_any_width(lab, optimizer):
    mup = exponents(lab, lab.MLP, WIDTHS, 64, "mup", optimizer, RATES[optimizer])
    assert max(map(abs, mup.values())) < 0.1, mup
    standard = exponents(lab, lab.MLP, WIDTHS, 64, "standard", optimizer, RATES[optimizer] / 10)
    assert standard["last"] > 0.4, standard


@pytest.mark.slow
def test_an_mlp_learns_alike_under_muon(lab):
    found = exponents(lab, lab.MLP, (64, 128, 256, 512), 64, "mup", "muon", RATES["muon"])
    assert max(map(abs, found.values())) < 0.1, found


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_residual_network_of_convolutions_learns_alike_at_any_width(lab, optimizer):
    mup = exponents(lab, lab.ConvNet, (32, 64, 128, 256), 32, "mup", optimizer, RATES[optimizer] / 2)
    assert max(map(abs, mup.values())) < 0.15, mup
    assert abs(mup[""]) < 0.1
    standard = exponents(lab, lab.ConvNet, (32, 64, 128, 256), 32, "standard", optimizer, RATES[optimizer] / 20)
    assert standard["head"] > 0.4, standard


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("tied", [True, False])
def test_a_transformer_learns_alike_at_any_width(lab, optimizer, tied):
    make = partial(lab.GPT, packed=False, tied=tied)
    widths = (64, 128, 256) if optimizer == "muon" else (64, 128, 256, 512)
    mup = exponents(lab, make, widths, 64, "mup", optimizer, RATES[optimizer])
    for name, value in mup.items():
        fold = 0.5 if name.endswith("q_proj") else 0.0  # the factor of the logits is in these weights
        assert abs(value + fold) < 0.15, (name, mup)
    assert abs(mup[""]) < 0.1
    standard = exponents(lab, make, widths, 64, "standard", optimizer, RATES[optimizer])
    assert standard[""] > 0.4, standard


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "muon"])
def test_depth(lab, optimizer):
    """The size of the stream, its change and the output's are the same at depths 4 to 32; under mup they grow."""
    sizes, seeds = (4, 8, 16, 32), 2  # complete-p nears its limit as 1/depth

    def slopes(scheme):
        found = {"stream": [], "stream changes": [], "output changes": []}
        for depth in sizes:
            for seed in range(seeds):
                torch.manual_seed(100 * seed + depth)
                model = lab.ResNet(64, depth)
                delta = lab.ResNet(128, 2) if optimizer == "muon" else None
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # under mup: nothing to do
                    p = parametrize(model, lab.ResNet(64, 2), scheme, optimizer, delta=delta)
                last = f"blocks.{depth - 1}"
                found["stream"].append(float(lab.activations(model, lab.batch(model))[last].square().mean()))
                changes = lab.changes(model, lab.optimizers(p, RATES[optimizer] / 4))
                found["stream changes"].append(changes[last])
                found["output changes"].append(changes[""])
        return {name: lab.slope(np.repeat(sizes, seeds), values) for name, values in found.items()}

    for scheme in ("depth-mup", "complete-p"):
        assert max(map(abs, slopes(scheme).values())) < 0.12, scheme
    assert slopes("mup")["stream changes"] > 0.4
