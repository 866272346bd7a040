"""Sizes and changes over width under muP and standard parametrization."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F

from neural_limits.torch import coordinate_check
from neural_limits.torch._coordinate_check import default_loss


def verdict(check: object, layer: str, quantity: str) -> str:
    rows = check.verdict.query("layer == @layer and quantity == @quantity")
    assert len(rows) == 1
    return rows.verdict.item()


def test_mup_is_stable_and_standard_grows(lab: SimpleNamespace) -> None:
    options = {"widths": (64, 128, 256, 512), "batches": [lab.batch(lab.MLP())], "lr": 1e-3, "seeds": 3}
    right = coordinate_check(lab.MLP, scheme="mup", **options)
    wrong = coordinate_check(lab.MLP, scheme="standard", **options)
    for layer in ("first", "hidden", "last"):
        assert verdict(right, layer, "change") == "stable"
    assert [verdict(wrong, layer, "change") for layer in ("first", "hidden", "last")] == ["stable", "grows", "grows"]
    assert verdict(right, "hidden", "size") == verdict(wrong, "hidden", "size") == "stable"
    assert right.data.change.dims == ("optimizer", "size", "seed", "layer", "step")
    assert right.data.step.values.tolist() == [1, 2, 3]
    slope = wrong.data.change_width_slope.sel(optimizer="adamw", layer="(output)", step=1)
    error = wrong.data.change_width_slope_stderr.sel(optimizer="adamw", layer="(output)", step=1)
    assert slope > 1.0 - 4 * float(error)  # Adam's first step on the readout adds lr Σ|h|, which is ∝ n


def test_several_optimizers_depths_and_a_figure(lab: SimpleNamespace) -> None:
    data = [lab.batch(lab.ResNet())]
    check = coordinate_check(
        lab.ResNet, (32, 64), depths=(2, 4), batches=data, scheme="depth-mup", optimizer=["adam", "muon"], seeds=2
    )
    assert check.data.optimizer.values.tolist() == ["adam", "muon"]
    assert check.data.width.values.tolist() == [32, 64, 32]
    assert check.data.depth.values.tolist() == [2, 2, 4]
    assert "blocks.*.fc2" in check.data.layer
    assert np.isfinite(check.data.change).all()
    assert set(check.verdict.axis) == {"width", "depth"}
    assert len(check.plot().axes) == 8


def test_default_loss() -> None:
    outputs, classes = torch.randn(3, 4, 5), torch.randint(5, (3, 4))
    expected = F.cross_entropy(outputs.reshape(12, 5), classes.reshape(12))
    torch.testing.assert_close(default_loss((outputs, None), classes), expected)
    torch.testing.assert_close(default_loss(outputs, outputs + 2), torch.tensor(4.0))
