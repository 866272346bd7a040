"""Planted mistakes are found and named; what is right passes, however it is written."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neural_limits.torch import TransferCheck, transfer_check
from neural_limits.torch._verdicts import verdicts


@pytest.fixture(scope="module")
def planted() -> ModuleType:
    """The Transformer with mistakes that benchmarks/transfer_check.py counts."""
    path = Path(__file__).parents[2] / "benchmarks" / "_planted.py"
    spec = importlib.util.spec_from_file_location("planted", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MISTAKES = ("none", "readout multiplier", "embedding rate", "attention scale", "weight decay")


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_in_width(planted: ModuleType, mistake: str) -> None:
    make = planted.maker(mistake)
    check = transfer_check(
        lambda width: make(width, 1), (32, 64, 128), batches=planted.batches(), loss=planted.loss, scheme=None,
        optimizer=planted.adamw, steps=1, seeds=2,
    )  # fmt: skip
    assert check.passed == (mistake == "none")
    assert check.rules == ([] if mistake == "none" else [planted.NAMED[mistake]])


@pytest.mark.slow
@pytest.mark.parametrize("mistake", [*MISTAKES, "residual depth factor"])
def test_mistakes_over_five_seeds(planted: ModuleType, mistake: str) -> None:
    deep = mistake in ("none", "residual depth factor")
    for number in range(5):
        check = transfer_check(
            planted.maker(mistake), (32, 64, 128), depths=(2, 4, 8) if deep else None, batches=planted.batches(),
            loss=planted.loss, scheme=None, optimizer=planted.adamw, steps=4, seeds=(2 * number, 2 * number + 1),
        )  # fmt: skip
        assert check.passed == (mistake == "none")
        assert check.rules == ([] if mistake == "none" else [planted.NAMED[mistake]])


@pytest.mark.parametrize(("scheme", "optimizer"), [("mup", "sgd"), ("mup", "muon"), ("depth-mup", "adam")])
def test_schemes_pass_where_they_should(lab: SimpleNamespace, scheme: str, optimizer: str) -> None:
    deep = scheme == "depth-mup"
    make, depths = (lab.ResNet, (2, 4, 8)) if deep else (lambda width: lab.ResNet(width), None)
    check = transfer_check(
        make, (32, 64, 128), depths=depths, batches=[lab.batch(lab.ResNet())], loss=F.cross_entropy, scheme=scheme,
        optimizer=optimizer, steps=2,
        lr=0.1 if optimizer == "sgd" else 1e-2, seeds=2,
    )  # fmt: skip
    assert check.passed
    assert {"own_change", "size", "change"} <= set(check.verdict.quantity)
    assert set(check.verdict.axis) == ({"width", "depth"} if deep else {"width"})


def test_standard_parametrization_is_named_rule_by_rule(lab: SimpleNamespace) -> None:
    check = transfer_check(
        lab.MLP, (64, 128, 256), batches=[lab.batch(lab.MLP())], loss=F.cross_entropy, scheme="standard", lr=1e-3,
        steps=4, seeds=2,
    )  # fmt: skip
    assert check.rules == ["hidden rate", "readout multiplier or rate"]
    mode = check.verdict[check.verdict.quantity == "leading_mode"].iloc[0]
    assert (mode.verdict, mode.likely_rule) == ("inconsistent", "follows from the other rows")
    assert mode.slope > 0.3  # a kernel that grows as n at one rate, under Adam's scatter


def test_a_wider_model_that_does_worse_is_inconsistent_by_itself(lab: SimpleNamespace) -> None:
    check = transfer_check(
        lab.MLP, (64, 128, 256), batches=[lab.batch(lab.MLP())], loss=F.cross_entropy, steps=4, seeds=2
    )
    assert check.passed
    worse = check.data.assign(loss=check.data.loss * (check.data.width / 64) ** 0.1)
    rows = verdicts(worse, {}, set(), tolerance=0.25)
    assert rows[rows.verdict == "inconsistent"].quantity.tolist() == ["loss"]
    assert rows[rows.quantity == "loss"].likely_rule.tolist() == ["the rates as a whole"]
    stretched = check.data.assign(largest=check.data.largest * (check.data.width / 64) ** 0.5)
    rows = verdicts(stretched, {}, set(), tolerance=0.25)
    assert set(rows[rows.verdict == "inconsistent"].quantity) == {"largest"}


class Multiplied(nn.Module):
    """muP by hand, the readout's multiplier in the forward pass."""

    def __init__(self, width: int, power: float) -> None:
        super().__init__()
        self.first, self.hidden = nn.Linear(16, width), nn.Linear(width, width)
        self.last = nn.Linear(width, 5, bias=False)
        nn.init.normal_(self.last.weight, std=0.1)
        self.factor = (64 / width) ** power

    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.relu(self.hidden(F.relu(self.first(x))))) * self.factor


def by_hand(model: Multiplied) -> torch.optim.Optimizer:
    width = len(model.hidden.weight)
    hidden = {"params": [model.hidden.weight], "lr": 1e-2 * 64 / width}
    others = [value for name, value in model.named_parameters() if name != "hidden.weight"]
    return torch.optim.Adam([hidden, {"params": others, "lr": 1e-2}])


@pytest.mark.parametrize("power", [1.0, 0.5])
def test_multipliers_in_the_forward_pass(lab: SimpleNamespace, power: float) -> None:
    check = transfer_check(
        lambda width: Multiplied(width, power), (64, 128, 256), batches=[lab.batch(lab.MLP())], loss=F.cross_entropy,
        scheme=None, optimizer=by_hand, steps=2, seeds=3,
    )  # fmt: skip
    assert check.rules == ([] if power == 1.0 else ["readout multiplier or rate"])


def test_a_tied_weight_is_judged_as_embedding_and_as_readout(lab: SimpleNamespace) -> None:
    def check(scheme: str) -> TransferCheck:
        return transfer_check(
            lambda width: lab.GPT(width, depth=1, tied=True), (32, 64, 128), batches=[lab.batch(lab.GPT())],
            loss=lambda logits, targets: F.cross_entropy(logits.flatten(0, 1), targets.flatten()), steps=1, seeds=2,
            scheme=scheme,
        )  # fmt: skip

    right, wrong = check("mup"), check("standard")
    assert right.passed
    rows = wrong.verdict.set_index(["layer", "quantity"]).verdict
    assert rows["tokens", "own_change"] == "consistent"  # rate one is right for an embedding
    assert rows["head", "own_change"] == "inconsistent"


def test_a_model_that_diverges_is_reported(lab: SimpleNamespace) -> None:
    def wild(model: nn.Module) -> torch.optim.Optimizer:
        wide = model.hidden.weight.shape[0] == 128
        return torch.optim.SGD(model.parameters(), lr=1e30 if wide else 1e-2)

    check = transfer_check(
        lab.MLP, (32, 64, 128), batches=[lab.batch(lab.MLP())], loss=F.cross_entropy, scheme=None, optimizer=wild,
        steps=4, seeds=2,
    )  # fmt: skip
    assert not check.passed
    assert check.data.status.values[0].tolist() == [["completed"] * 2] * 2 + [["diverged"] * 2]
    first = check.verdict.iloc[0]
    assert (first.verdict, first.likely_rule[:21]) == ("diverged", "diverged at width 128")
    assert np.isfinite(check.verdict.slope.iloc[1:]).all()


def test_trajectories_and_figure(lab: SimpleNamespace) -> None:
    calls = []

    def batch(step: int) -> tuple[Tensor, Tensor]:
        calls.append(step)
        return lab.batch(lab.GPT(), seed=step)

    check = transfer_check(
        lambda width: lab.GPT(width, depth=1), (32, 64), batches=batch, steps=5, seeds=1, weight_decay=0.1,
        loss=lambda logits, targets: F.cross_entropy(logits.flatten(0, 1), targets.flatten()),
    )  # fmt: skip
    data = check.data.isel(optimizer=0, seed=0)
    assert set(calls) == {0, 1, 2, 3, 4}
    assert data.step.values.tolist() == [1, 2, 4, 5]
    assert np.isfinite(data.loss).all()
    np.testing.assert_allclose(data.decay.sel(parameter="head.weight"), 1e-3, rtol=1e-9)  # lr · decay at every width
    assert (data.weight_change.sel(parameter="head.weight").diff("step") > 0).any()
    assert data.outliers.sel(parameter="blocks.0.mlp.0.weight").notnull().all()
    assert (data.leading_mode.sel(step=slice(2, None)) > 0).all()
    assert len(check.plot().axes) == 5
    assert replace(check, verdict=check.verdict.assign(verdict="inconsistent")).passed is False
