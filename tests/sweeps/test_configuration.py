"""What names a trial: the meaning of its configuration, not how it was written."""

from pathlib import Path

import pytest

import neural_limits as nl
from neural_limits.sweeps import Configuration
from neural_limits.sweeps._configuration import name_of
from neural_limits.sweeps._prepare import make_optimizer


def name(**fields: object) -> str:
    return name_of(Configuration.of(fields).canonical())


def test_the_name_does_not_depend_on_how_it_is_written() -> None:
    assert name(lr=0.1, width=64) == name(width=64, lr=0.1)
    assert name(lr=1) == name(lr=1.0)
    assert name() == name(gamma=4.0, samples=4, hidden=3, tolerance=0.01, inputs=8, outputs=1, record=[])
    assert name(task="digits", classes=[0, 1]) == name(task="digits", classes=(0, 1), samples=20, gamma=1)
    assert name(memory=2.0, task="cifar10", data_folder="a") == name(task="cifar10", data_folder=Path("b"))


def test_it_differs_where_the_run_does() -> None:
    names = [
        name(),
        name(seed=1),
        name(lr=0.30000000000000004),
        name(width=64),
        name(gamma=1.0),
        name(network="resnet"),
    ]
    names += [name(network="resnet", depth=4), name(batch=4), name(dtype="float64"), name(record=[3])]
    assert len(set(names)) == len(names)


def test_the_name_stays_from_version_to_version() -> None:
    # a change here orphans every folder that users have: raise FORMAT only where fields change their meaning
    assert name(lr=0.1, width=64, weights="dense") == "538c15cc74b905ea8b82"
    assert name(momentum=0.9) == "8b3ecb50294c5e541d0b"
    assert name(optimizer="adam", weights="dense") == "93d3d43494f9c5444aba"


def test_fields_that_came_later_name_a_trial_only_where_they_change_it() -> None:
    assert name() == name(nesterov=False, schedule="constant", warmup=0, momentum=0)
    assert name(optimizer="muon") == name(optimizer="muon", momentum=0.95, nesterov=True, tolerance=1e-3)
    later = [{"momentum": 0.9, "nesterov": True}, {"schedule": "cosine"}, {"warmup": 3}, {"optimizer": "muon"}]
    later += [{"optimizer": "muon", "nesterov": False}]
    assert len({name(), *(name(**fields) for fields in later)}) == 1 + len(later)
    for fields in later:  # what a trial's folder holds reads back as the same trial
        canonical = Configuration.of(fields).canonical()
        assert Configuration.of(canonical).canonical() == canonical


@pytest.mark.parametrize(
    ("fields", "optimizer"),
    [
        ({}, nl.SGD(0.3)),
        ({"momentum": 0.9, "nesterov": True}, nl.SGD(0.3, 0.9, nesterov=True)),
        ({"optimizer": "muon", "lr": 0.1}, nl.Muon(0.1)),
        ({"optimizer": "muon", "momentum": 0.5, "nesterov": False}, nl.Muon(0.3, 0.5, nesterov=False)),
        ({"warmup": 2}, nl.SGD(0.3, schedule=nl.Schedule(2))),
        (
            {"optimizer": "adam", "weights": "dense", "schedule": "linear"},
            nl.Adam(0.3, schedule=nl.Schedule(shape="linear")),
        ),
    ],
)
def test_the_optimizer_meant(fields: dict[str, object], optimizer: nl.training.Optimizer) -> None:
    assert make_optimizer(Configuration.of(fields)) == optimizer


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"nesterov": True}, "`momentum` must be positive with nesterov=True"),
        ({"optimizer": "adam", "weights": "dense", "nesterov": True}, "`nesterov` belongs to sgd and muon"),
        ({"optimizer": "adam", "weights": "dense", "momentum": 0.9}, "`momentum` belongs to sgd and muon"),
        ({"optimizer": "muon", "hidden": 0}, "`optimizer` muon steps hidden weights"),
        ({"optimizer": "adam"}, "add --weights dense"),
        ({"warmup": 6, "steps": 5}, "`warmup` must not exceed `steps` = 5; got 6"),
        ({"warmup": -1}, "`warmup` must be at least 0"),
    ],
)
def test_fields_that_do_not_fit_each_other(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_optimizer(Configuration.of(fields))


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"lrs": 0.1}, "Did you mean 'lr'"),
        ({"width": 64.0}, "`width` must be a whole number"),
        ({"width": True}, "`width` must be a whole number"),
        ({"lr": "high"}, "`lr` must be a number"),
        ({"task": "tyo"}, "Did you mean 'toy'"),
        ({"classes": 3}, "`classes` must be a list of whole numbers"),
        ({"dense_width": 8}, "must be one of"),
        ({"nesterov": 1}, "`nesterov` must be true or false"),
        ({"schedule": "cosin"}, "Did you mean 'cosine'"),
    ],
)
def test_what_is_no_field_is_refused(fields: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Configuration.of(fields)


def test_shapes_group_what_compiles_once() -> None:
    def shape(**fields: object) -> str:
        return Configuration.of(fields).shape()

    assert shape(lr=0.1, seed=1, gamma=2.0, parametrization="ntk") == shape()
    assert shape(momentum=0.9) == shape(momentum=0.5) != shape()
    assert shape(warmup=3) == shape(schedule="cosine") != shape()
    assert shape(momentum=0.9, nesterov=True) != shape(momentum=0.9)
    assert shape(width=8) != shape()
