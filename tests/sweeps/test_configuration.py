"""What names a trial: the meaning of its configuration, not how it was written."""

from pathlib import Path

import pytest

from neural_limits.sweeps import Configuration
from neural_limits.sweeps._configuration import name_of


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
    assert shape(width=8) != shape()
