"""What cannot be compared is refused in one line."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from neural_limits.torch import transfer_check


def fixed(width: int) -> nn.Module:
    return nn.Linear(16, 5)


def own(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.1)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"widths": (64,)}, "`widths` must hold at least two widths"),
        ({"widths": (64, 64)}, "`widths` must hold at least two widths"),
        ({"widths": (64, 0)}, "`widths` must be at least 1; got 0"),
        ({"depths": (2,)}, "`depths` must hold at least two depths"),
        ({"depths": (2, 4)}, r"`make_model` must be callable as make_model\(width=32, depth=2\)"),
        ({"make_model": lambda: nn.Linear(2, 2)}, r"`make_model` must be callable as make_model\(width=32\)"),
        ({"make_model": fixed}, "`make_model` must change parameters with size; width 32 and width 64"),
        ({"batches": []}, "`batches` must hold at least one"),
        ({"batches": [torch.ones(3, 16)]}, "`batches` must hold pairs"),
        ({"lr": 0.0}, "`lr` must be positive"),
        ({"lr": float("nan")}, "`lr` must be positive"),
        ({"weight_decay": -1.0}, "`weight_decay` must be zero or positive"),
        ({"steps": 0}, "`steps` must be at least 1"),
        ({"seeds": ()}, "`seeds` must hold at least one"),
        ({"tolerance": 0.0}, "`tolerance` must be positive"),
        ({"scheme": "mu"}, "`scheme` must be one of"),
        ({"optimizer": "adamax"}, "`optimizer` must be one of"),
        ({"scheme": None}, "`optimizer` must be a function of the model"),
        ({"optimizer": own}, "`optimizer` must be a name under a scheme"),
    ],
)
def test_errors(lab: SimpleNamespace, changed: dict[str, Any], message: str) -> None:
    arguments = {"make_model": lab.MLP, "widths": (32, 64), "batches": [lab.batch(lab.MLP())], "steps": 1, **changed}
    with pytest.raises(ValueError, match=message) as error:
        transfer_check(loss=nn.functional.cross_entropy, **arguments)
    assert "\n" not in str(error.value)
