"""Muon's outliers at small size, and verdicts that follow from what was planted."""

import numpy as np
import pytest

from neural_limits import _fits
from neural_limits.experiments._muon_figures import time_figure, widths_figure
from neural_limits.experiments._muon_runs import (
    MODES,
    MUON_LR,
    OPTIMIZERS,
    STEPS,
    Found,
    Look,
    Plan,
    Watched,
    find_marks,
    run_all,
)  # fmt: skip
from neural_limits.experiments._muon_verdicts import verdicts
from neural_limits.experiments.muon_outliers import dataset

PLAN = Plan({256: 3, 1024: 3, 4096: 3}, {256: 3, 1024: 3}, {4: 3, 8: 3, 16: 3}, 1024)
MARKS = {name: {"half": 10, "tenth": 20, "end": STEPS} for name in OPTIMIZERS}


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(_fits, "RESAMPLES", 30)


def planted(name, width, seed, *, count=0.0, growth=0.0, share=0.9, alone=1.1, fall=1.0, samples=4):
    """A run whose learned part, outliers and bulk are what the theory says, or off by what is given."""
    muon, wobble = name == "muon", 1 + 1e-4 * seed
    looks = {}
    for step in {0, 10, 20, STEPS} | set(range(2, STEPS, 2)):
        norm = wobble * width**growth * (share * MUON_LR * step if muon else 0.1 * step)
        modes = 2.0 * samples * step / STEPS if muon else 2.0
        learned = norm * np.where(np.arange(MODES) < modes, 1.0, 0.01)
        largest = 2 + norm
        looks[step] = [
            Look(
                largest, 2 + count + (0.75 * samples * (step - 16) / 4 if muon and step > 16 else 0.0),
                alone * largest, 20.0, learned, 2 * modes * wobble, 1 + (step > 0) * wobble / width**fall,
            )
        ] * 2  # fmt: skip
    return Watched(np.geomspace(1, 0.01, STEPS + 1), looks)


def found(**options):
    def of(sizes):
        return {(o, n, s): planted(o, n, s, **options) for o in OPTIMIZERS for n, k in sizes.items() for s in range(k)}

    samples = {
        (o, p, s): planted(o, 1024, s, **options, samples=p) for o in OPTIMIZERS for p in PLAN.samples for s in range(3)
    }
    return Found(PLAN, MARKS, of(PLAN.conditioned), of(PLAN.dense), samples)


def ending(rows, part):
    return {row.verdict for row in rows if part in row.claim}


def test_verdicts_follow_from_what_was_planted():
    rows = verdicts(found())
    fails = [row.claim for row in rows if row.verdict != "holds"]
    assert fails == [f"{name}: independent spikes (BBP) predict the largest outlier" for name in ("SGD", "Muon")]


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"count": 2.0}, "SGD: as many outliers as outputs"),
        ({"growth": 0.1}, "the largest outlier does not depend on the width"),
        ({"share": 0.5}, "the norm of the learned part is lr times the updates"),
        ({"share": 1.1}, "the norm of Muon's learned part is smaller than SGD's"),
        ({"fall": 0.0}, "the bulk is left"),
    ],
)
def test_what_is_wrong_fails(options, part):
    assert "holds" not in ending(verdicts(found(**options)), part)


def test_the_baseline_may_hold():
    assert ending(verdicts(found(alone=1.0)), "independent spikes") == {"holds"}


def test_marks_are_the_first_steps_below():
    assert find_marks(np.array([1.0, 0.4, 0.6, 0.09, 0.2])) == {"half": 1, "tenth": 3, "end": 4}
    with pytest.raises(IndexError):
        find_marks(np.array([1.0, 0.4]))


def test_data_and_figures():
    all_ = found()
    data = dataset(all_)
    assert dict(data.conditioned_count.sizes) == {
        "optimizer": 2, "width": 3, "conditioned_seed": 3, "mark": 3, "layer": 2
    }  # fmt: skip
    assert float(data.conditioned_count.sel(optimizer="sgd", width=1024, mark="end").mean()) == 2
    assert data.dense_learned.dims[-1] == "mode"
    assert data.samples_count.dims == ("optimizer", "samples", "samples_seed", "layer")
    assert data.mark.values.tolist() == ["half", "tenth", "end"]
    assert int(data.mark_step.sel(optimizer="muon", mark="tenth")) == 20
    for draw in (widths_figure, time_figure):
        assert draw(all_).axes


@pytest.mark.slow
def test_the_experiment_at_small_size():
    """Four samples, two outputs: SGD learns along two directions of a hidden weight, Muon along many, in both forms."""
    all_ = run_all(Plan({128: 2, 256: 2}, {128: 2, 256: 2}, {4: 2, 8: 2}, 256), lambda text: None)
    for form in ("conditioned", "dense"):
        end = {name: getattr(all_, form)[name, 256, 0].looks[STEPS][1] for name in OPTIMIZERS}
        assert end["sgd"].count == 2
        assert end["muon"].count > 6
        assert end["muon"].stable_rank > 3 * end["sgd"].stable_rank
        assert 0.7 < end["muon"].learned[0] / (MUON_LR * STEPS) < 1.2
        assert 1.5 < end["sgd"].stable_rank < 2.2
        assert np.isnan(end["sgd"].middle) == (form == "conditioned")
    rows = verdicts(all_)
    assert len(rows) == 21
    for part in ("SGD: as many outliers as outputs", "more directions", "lr times the updates"):
        assert ending(rows, part) == {"holds"}
