"""CIFAR-10, read from the archive its authors publish."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ._cifar_files import find, read_splits
from ._download import fetch
from ._folders import candidates, first_holding, missing
from ._images import Choice, image_task
from ._task import Task

NAME = "cifar-10"
ADDRESS = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
MD5 = "c58f30108f718f92721af3d95e74349a"
WAYS = (
    "put cifar-10-python.tar.gz or cifar-10-binary.tar.gz (packed or unpacked) in a folder and pass folder=, "
    "or in the folder that NEURAL_LIMITS_DATA names, or pass download=True with one of the two (170 MB)"
)


def cifar10(
    classes: Iterable[int] | None = None,
    samples: int | None = None,
    seed: int = 0,
    loss: str | None = None,
    folder: str | os.PathLike[str] | None = None,
    download: bool = False,
    test_samples: int | None = None,
) -> Task:
    """CIFAR-10: 50000 training and 10000 test images of 32 x 32 in three colours, d = 3072.

    x = (pixel − mean)/std, by pixel and colour over the training images of the chosen classes.

    ``classes``, ``samples``, ``loss`` as in ``digits``; ``seed`` orders the training images, the test images
    keep theirs; ``test_samples`` keeps the first so many of the latter. Files come from ``folder``, else from
    NEURAL_LIMITS_DATA: the binary or the python version, as an archive or unpacked. ``download=True`` fetches
    the python archive there (170 MB, checksum verified) where there is none. Nothing is unpickled: the python
    version is read as tokens. FileNotFoundError naming the ways to get the files; ValueError for a damaged
    file, naming it; ConnectionError without a network. Cost: a few seconds, and 8 bytes a value kept (1.5 GB
    for all: choose ``samples`` and ``test_samples``).

    Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images (2009).

    >>> cifar10(folder="no-such-folder")
    Traceback (most recent call last):
    FileNotFoundError: CIFAR-10 was not found (looked in no-such-folder); put cifar-10-python.tar.gz ...
    """
    choice = Choice.checked(classes, samples, seed, loss, test_samples)
    folders = candidates(folder, NAME, ())
    place = first_holding(folders, _holds)
    if place is None:
        if not (download and folders):
            raise missing("CIFAR-10", folders, WAYS)
        place = fetch(ADDRESS, folders[0] / "cifar-10-python.tar.gz", MD5).parent
    found = find(place)
    if found is None:
        raise missing("CIFAR-10", [place], WAYS)
    train, test = read_splits(*found)
    return image_task(NAME, train.shuffled(choice.seed), test, choice)


def locate() -> Path | None:
    """The folder the files would be read from without an argument, None where there are none."""
    return first_holding(candidates(None, NAME, ()), _holds)


def _holds(folder: Path) -> bool:
    return find(folder) is not None
