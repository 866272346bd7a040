"""The leading mode of a trained model against a dense matrix."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from neural_limits.torch._leading_mode import ModeProbe


def test_the_mode_of_a_linear_model_is_that_of_its_inputs() -> None:
    torch.manual_seed(0)
    model, x = torch.nn.Linear(6, 3, bias=False), torch.randn(20, 6)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    probe = ModeProbe(model, (x, torch.zeros(20, 3)), F.mse_loss, [optimizer])
    expected = 0.3 * 2 / 60 * torch.linalg.eigvalsh(x.T @ x)[-1]  # the mean is over 20 · 3 numbers
    assert probe.value() == pytest.approx(float(expected), rel=1e-5)


def test_no_mode_where_no_single_number_has_that_meaning(lab: SimpleNamespace) -> None:
    model = lab.MLP(32)
    batch = lab.batch(model)
    one, other = (torch.optim.SGD(part.parameters(), lr=0.1) for part in (model.hidden, model.last))
    assert math.isnan(ModeProbe(model, batch, F.cross_entropy, [one, other]).value())
    own = torch.optim.Adagrad(model.parameters())
    assert math.isnan(ModeProbe(model, batch, F.cross_entropy, [own]).value())
    named = ({"x": batch[0]}, batch[1])
    assert math.isnan(ModeProbe(model, named, F.cross_entropy, [torch.optim.SGD(model.parameters())]).value())
