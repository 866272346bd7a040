"""Schedules against their formulas and PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest

import neural_limits as nl


@pytest.mark.parametrize("shape", ["constant", "linear", "cosine", "inverse-sqrt"])
def test_warm_up_then_decay(shape: str) -> None:
    factors = nl.Schedule(warmup=4, shape=shape, final=0.1).factors(24)
    assert len(factors) == 25
    np.testing.assert_allclose(factors[:4], [0.25, 0.5, 0.75, 1.0])
    assert factors[4] == 1
    assert (np.diff(factors[4:]) <= 0).all()
    expected = {"constant": 1.0, "linear": 0.1, "cosine": 0.1, "inverse-sqrt": (4 / 24) ** 0.5}
    assert factors[-1] == pytest.approx(expected[shape])


def test_cosine_is_that_of_torch() -> None:
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10, eta_min=0.2)
    seen = []
    for _ in range(11):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    np.testing.assert_allclose(nl.Schedule(shape="cosine", final=0.2).factors(10), seen)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"warmup": -1}, "`warmup` must be at least 0"),
        ({"shape": "cosin"}, "Did you mean 'cosine'"),
        ({"final": 2.0}, "`final` must be at most 1"),
    ],
)
def test_bad_arguments(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nl.Schedule(**arguments)


def test_a_short_run_ends_within_the_warm_up() -> None:
    assert nl.Schedule(warmup=4, shape="linear").factors(2).tolist() == [0.25, 0.5, 0.75]
