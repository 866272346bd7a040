"""Changes of weights in the unit in which they act, outliers, and what decay takes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from neural_limits.torch import _weight_changes
from neural_limits.torch._weight_changes import WeightProbe, operator_norm, shrinkage


def test_operator_norm_is_the_largest_singular_value_by_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = torch.randn(20, 3, 4, generator=torch.Generator().manual_seed(0))
    weight[0] *= 5  # a gap, without which power iteration takes long
    exact = np.linalg.svd(weight.flatten(1).numpy(), compute_uv=False)[0]
    assert operator_norm(weight) == pytest.approx(exact, rel=1e-6)
    monkeypatch.setattr(_weight_changes, "LARGE", 4)
    assert operator_norm(weight) == pytest.approx(exact, rel=1e-5)
    assert operator_norm(torch.zeros(20, 20)) == 0.0
    assert operator_norm(torch.tensor([3.0, 4.0])) == 5.0


def test_changes_updates_and_outliers() -> None:
    torch.manual_seed(0)
    model = nn.Linear(100, 50, bias=False)
    nn.init.normal_(model.weight, std=0.1)
    probe = WeightProbe(model, {"weight": 0.5})
    counts, largest = probe.outliers()
    assert counts == {"weight": 0.0}
    assert 0.8 < largest["weight"] < 1.0
    spike = torch.zeros(50, 100)
    spike[3, 7] = 8.0
    probe.before_step()
    size = operator_norm(model.weight.detach())
    with torch.no_grad():
        model.weight += spike
    assert probe.changes()["weight"] == pytest.approx(16.0, rel=1e-6)
    assert probe.updates()["weight"] == pytest.approx(8.0 / size, rel=1e-6)
    counts, largest = probe.outliers()
    assert counts == {"weight": 1.0}
    exact = np.linalg.svd(model.weight.detach().numpy(), compute_uv=False)[0]
    assert largest["weight"] * (0.1 * (10 + 50**0.5)) == pytest.approx(exact, rel=0.15)  # the edge holds a margin


@pytest.mark.parametrize(
    ("kind", "options"),
    [(torch.optim.AdamW, {}), (torch.optim.SGD, {"momentum": 0.9}), (torch.optim.Muon, {}), (torch.optim.AdamW, None)],
)
def test_shrinkage_is_rate_times_decay(kind: type[torch.optim.Optimizer], options: dict[str, float] | None) -> None:
    model = nn.Sequential(nn.Linear(6, 5, bias=False), nn.Linear(5, 4, bias=False)).double()
    decays = (0.0, 0.0) if options is None else (1e-3, 0.2)
    groups = [{"params": m.parameters(), "lr": lr, "weight_decay": d} for m, lr, d in zip(model, (1e-4, 0.1), decays)]  # noqa: B905
    found = shrinkage(model, [kind(groups, **(options or {}))])
    assert found["0.weight"] == pytest.approx(1e-4 * decays[0], rel=1e-6)
    assert found["1.weight"] == pytest.approx(0.1 * decays[1], rel=1e-6)
