"""From tables to trials: grids, ranges, samples, halving, Optuna; and what is refused."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neural_limits.sweeps import Configuration, Request
from neural_limits.sweeps._configuration import name_of


def names(trials: Sequence[Configuration]) -> list[str]:
    return [name_of(trial.canonical()) for trial in trials]


def test_a_grid_is_every_combination(tmp_path: Path) -> None:
    file = tmp_path / "grid.toml"
    file.write_text(
        '[base]\ntask = "digits"\nclasses = [0, 1]\n[grid]\nlr = [0.1, 1]\nwidth = [8, 16]\nseed = [0, 1, 2]'
    )
    request = Request.read(file)
    trials = request.required({})
    assert {(t.lr, t.width, t.seed) for t in trials} == {
        (a, b, c) for a in (0.1, 1.0) for b in (8, 16) for c in range(3)
    }
    assert {t.classes for t in trials} == {(0, 1)}
    assert request.fields == ("lr", "width", "seed")
    assert not request.is_adaptive
    assert Request.of(request.tables()) == request


def test_ranges_are_round_numbers() -> None:
    values = Request.of({"grid": {"lr": {"from": 1e-3, "to": 1.0, "count": 4, "scale": "log"}}}).grid["lr"]
    assert values == [0.001, 0.01, 0.1, 1.0]
    assert Request.of({"grid": {"width": {"from": 16, "to": 128, "count": 4, "scale": "log"}}}).grid["width"] == [
        16, 32, 64, 128,
    ]  # fmt: skip


def random(count: int, **more: Any) -> Request:
    fields = {
        "lr": {"distribution": "log-uniform", "low": 1e-3, "high": 1.0},
        "width": {"distribution": "choice", "values": [8, 16]},
        "hidden": {"distribution": "integers", "low": 1, "high": 3},
    }
    return Request.of({"random": fields | {"count": count, "seed": 5} | more, "grid": {"seed": [0, 1]}})


def test_samples_stay_where_more_are_drawn() -> None:
    few, many = random(10).required({}), random(200).required({})
    assert len(many) == 400
    assert set(names(few)) < set(names(many))
    assert names(random(10, seed=6).required({})) != names(few)
    logs = np.log10([t.lr for t in many if t.seed == 0])
    assert np.all((logs > -3) & (logs < 0))
    assert abs(logs.mean() + 1.5) < 4 * 3 / np.sqrt(12 * 200)  # uniform in the logarithm
    assert {t.hidden for t in many} == {1, 2, 3}
    assert abs(np.mean([t.width == 8 for t in many if t.seed == 0]) - 0.5) < 4 * 0.5 / np.sqrt(200)


def ended(trials: Sequence[Configuration], losses: dict[str, float]) -> dict[str, float]:
    """A loss that is least at lr = 0.1, lower for longer runs."""
    new = {name_of(t.canonical()): abs(np.log10(t.lr) + 1) + 1 / t.steps + 0.01 * t.seed for t in trials}
    return new | losses


@pytest.mark.parametrize("over", ["steps", "seed"])
def test_halving_keeps_the_better_ones(over: str) -> None:
    rates = [10.0**k for k in (-4, -3, -2, -1, 0, 1, 2, 3, 4)]
    request = Request.of({"grid": {"lr": rates}, "halving": {"over": over, "ladder": [1, 3, 9]}})
    assert request.is_adaptive
    first = request.required({})
    assert len(first) == 9
    losses = ended(first, {})
    some = dict(list(losses.items())[:8])
    assert names(request.required(some)) == names(first)  # a rung is decided as a whole
    second = request.required(losses)
    assert {t.lr for t in second if getattr(t, over) > (over == "steps")} >= {0.1}
    losses = ended(second, losses)
    third = request.required(losses)
    assert names(request.required(ended(third, losses))) == names(third)
    if over == "steps":
        assert [(t.lr, t.steps) for t in third if t.steps > 1] == [(0.01, 3), (0.1, 3), (1.0, 3), (0.1, 9)]
    else:
        assert {t.lr for t in third if t.seed >= 3} == {0.1}
        assert len(third) == 9 + 3 * 2 + 6


def test_diverged_trials_lose_and_seeds_stand_together() -> None:
    request = Request.of({"grid": {"lr": [0.1, 1.0], "seed": [0, 1]}, "halving": {"over": "steps", "ladder": [2, 4]}})
    first = request.required({})
    losses = dict(zip(names(first), [0.5, 0.5, 0.1, float("inf")], strict=True))  # one seed at lr = 1 diverged
    assert {(t.lr, t.seed) for t in request.required(losses) if t.steps == 4} == {(0.1, 0), (0.1, 1)}


def test_optuna_proposes_the_same_from_the_same_results() -> None:
    pytest.importorskip("optuna")
    spec = {"lr": {"distribution": "log-uniform", "low": 1e-4, "high": 1e2}}
    request = Request.of({"random": spec | {"sampler": "optuna", "count": 30}})
    losses: dict[str, float] = {}
    assert len(request.required(losses)) == 4
    while set(losses) != set(names(request.required(losses))):
        losses = ended(request.required(losses), losses)
    trials = request.required(losses)
    assert len(trials) == 30
    assert names(request.required(losses)) == names(trials)
    late = [abs(np.log10(t.lr) + 1) for t in trials[15:]]
    assert np.median(late) < 1  # of independent draws from six decades: 1.5


@pytest.mark.parametrize(
    ("tables", "word"),
    [
        ({"grids": {}}, "Did you mean 'grid'"),
        ({"grid": {"lrs": [1]}}, "Did you mean 'lr'"),
        ({"grid": {"lr": 0.1}}, "must be a list"),
        ({"grid": {"lr": []}}, "must be a list"),
        ({"grid": {"width": [8, 8.5]}}, "`width` must be a whole number"),
        ({"grid": {"lr": {"from": 0, "to": 1, "count": 3, "scale": "log"}}}, "`from` must be positive"),
        ({"base": {"task": "toys"}}, "Did you mean 'toy'"),
        ({"random": {"lr": {"distribution": "uniform", "low": 0, "high": 1}}}, "`count`"),
        ({"random": {"count": 3}}, "must name a field"),
        ({"random": {"count": 3, "lr": {"distribution": "uniform", "low": 2, "high": 1}}}, "low below high"),
        ({"random": {"count": 3, "lr": {"distribution": "normal", "low": 2, "high": 1}}}, "distribution of lr"),
        ({"halving": {"over": "width", "ladder": [1, 2]}}, "`over`"),
        ({"halving": {"over": "steps", "ladder": [2, 1]}}, "must grow"),
        ({"halving": {"over": "seed", "ladder": [1, 2]}, "grid": {"seed": [0]}}, "`seed` must stand in one of"),
    ],
)
def test_what_makes_no_sense_is_refused(tables: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Request.of(tables)
