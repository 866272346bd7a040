"""Fits of finite-size errors and costs to planted numbers, plans made of them, and a plan carried out on networks."""

from __future__ import annotations

import numpy as np
import pytest

import neural_limits as nl
from neural_limits.advice._finite_size import Cost, FiniteSize, fit_cost, fit_finite_size
from neural_limits.advice._width import FINE, choose

TASK = nl.tasks.toy()


def planted(rng: np.random.Generator, widths: tuple[int, ...], seeds: int, bend: float = 0.0) -> list[np.ndarray]:
    """Values of networks with limit 1, bias 3/n (and bend/n²) and variance 0.5/n."""
    return [1 + 3 / n + bend / n**2 + (0.5 / n) ** 0.5 * rng.standard_normal(seeds) for n in widths]


def test_planted_biases_and_variances_are_found_with_honest_errors() -> None:
    rng, widths = np.random.default_rng(0), (100, 400, 1600)
    fits = [fit_finite_size(widths, planted(rng, widths, 6)) for _ in range(400)]
    for name, truth in (("limit", 1.0), ("bias", 3.0)):
        z = np.array([(getattr(f, name) - truth) / getattr(f, f"{name}_stderr") for f in fits])
        assert abs(z.mean()) < 4 / 20
        assert 0.85 < z.std() < 1.3  # Student's with 15 degrees of freedom: 1.07
    assert np.mean([f.variance for f in fits]) == pytest.approx(0.5, rel=0.04)


def test_widths_that_do_not_follow_are_left_out() -> None:
    rng, widths = np.random.default_rng(1), (10, 100, 400, 1600)
    bent = fit_finite_size(widths, planted(rng, widths, 30, bend=100.0))
    assert bent.least == 100
    assert abs(bent.limit - 1) < 4 * bent.limit_stderr
    assert fit_finite_size(widths, planted(rng, widths, 30)).least == 10


def test_the_error_is_that_of_a_mean() -> None:
    rng, size = np.random.default_rng(2), FiniteSize(1.0, 0.0, 3.0, 0.0, 0.5, 10**9, 100)
    means = np.array([planted(rng, (200,), 5)[0].mean() for _ in range(4000)])
    assert size.error(200, 5)[0] == pytest.approx(np.sqrt(np.mean((means - 1) ** 2)), rel=0.04)
    assert size.error(200, 5)[1] < 1e-3 * size.error(200, 5)[0]
    needed = size.seeds_for(0.02, 200)
    assert needed is not None
    assert size.error(200, needed)[0] <= 0.02 < size.error(200, needed - 1)[0]
    assert size.seeds_for(0.01, 200) is None  # the bias alone is 0.015
    unsure = size._replace(bias_stderr=4.0)
    assert unsure.error(200, 5)[0] > size.error(200, 5)[0]


def test_the_cheapest_width_is_that_of_a_search() -> None:
    size, cost = FiniteSize(1.0, 0.0, 3.0, 0.5, 0.5, 30, 100), Cost(0.1, 1e-6, 2)
    found = choose(size, cost, 0.01, 20_000)
    assert found is not None
    assert found.error <= 0.01
    every = [
        s * cost.seconds(n) for n in range(100, 20_001) for s in (size.seeds_for(0.01, n),) if s is not None
    ]  # fmt: skip
    assert min(every) <= found.seconds < min(every) * FINE**2
    alone = choose(size, cost, 0.01, 20_000, seeds=1)
    assert alone is not None
    assert (alone.seeds, alone.width) == (1, min(alone.width, 20_000))
    assert size.seeds_for(0.01, alone.width) == 1
    assert choose(size, cost, 1e-6, 20_000) is None


def test_costs_are_fitted_and_never_negative() -> None:
    assert fit_cost([100, 200, 400], [1.01, 1.04, 1.16], 2) == pytest.approx((1.0, 1e-6, 2))
    assert fit_cost([100, 200], [2.0, 1.0], 1).slope == 0


@pytest.mark.slow
def test_a_plan_carried_out_has_the_error_it_promised() -> None:
    """Networks of other seeds, against the mean of wide ones."""
    setting, steps = (nl.MLP(1), TASK, nl.MuP(gamma=4.0), nl.SGD(0.3)), 4
    advice = nl.advise_width(*setting, steps=steps, error=0.02, widths=(32, 64, 256), seeds=12, tolerance=0.05)
    assert advice.status == "completed", advice.message
    assert advice.error <= 0.02

    def losses(width: int, seeds: range, weights: str) -> np.ndarray:
        data, _ = nl.train_ensemble(*setting, width=width, steps=steps, seeds=seeds, weights=weights, tolerance=0.05)
        return data.loss.values[:, -1]

    wide = losses(8192, range(5000, 5004), "conditioned")
    trials, seeds = 40, advice.seeds
    found = losses(advice.width, range(9000, 9000 + trials * seeds), advice.weights).reshape(trials, seeds).mean(1)
    rms = np.sqrt(np.mean((found - wide.mean()) ** 2))
    doubt = float(advice.data.error_stderr.max()) + rms / (2 * trials) ** 0.5 + wide.std() / 2
    assert abs(rms - advice.error) < 3 * doubt
    assert abs(float(advice.data.limit) - wide.mean()) < 4 * np.hypot(advice.data.limit_stderr, wide.std() / 2)


def test_what_cannot_be_reached_or_measured_is_a_status() -> None:
    setting: dict[str, object] = {"steps": 2, "widths": (16, 32), "seeds": 2}
    far = nl.advise_width(nl.MLP(0), TASK, error=1e-9, largest=64, **setting)
    assert (far.status, far.width, far.weights) == ("unreachable", 0, "")
    assert np.isnan(far.data.width).all()
    gone = nl.advise_width(nl.MLP(0), TASK, optimizer=nl.SGD(1e9), error=0.1, **setting | {"steps": 4})
    assert gone.status == "diverged"
    assert "lower `lr`" in gone.message
    none = nl.advise_width(nl.MLP(0), TASK, error=0.1, quantity=lambda run: float("nan"), **setting)
    assert none.status == "no_value"


def test_dense_alone_where_the_optimizer_has_no_other_form() -> None:
    advice = nl.advise_width(
        nl.MLP(0), TASK, optimizer=nl.Adam(0.01), steps=2, error=0.05, widths=(16, 32), seeds=3, quantity="loss"
    )
    assert advice.weights == "dense"
    assert np.isnan(advice.data.width.sel(route=["one wide run", "many seeds"])).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": (64, 64)}, "`widths` must hold two or more"),
        ({"error": 0.0}, "`error` must be positive"),
        ({"seeds": 1}, "`seeds` must be at least 2"),
        ({"quantity": "losses"}, "Did you mean 'loss'"),
        ({"largest": 8}, "`largest` must be at least 16"),
        ({"steps": -1}, "`steps` must be at least 0"),
    ],
)
def test_bad_input_is_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nl.advise_width(nl.MLP(0), TASK, **{"steps": 1, "error": 0.1, "widths": (16, 32)} | options)
