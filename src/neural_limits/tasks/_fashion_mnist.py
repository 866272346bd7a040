"""Fashion-MNIST, read from its four IDX files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ._folders import candidates, first_holding, missing
from ._idx import read_idx
from ._images import CLASSES, Choice, Images, image_task
from ._task import Task

NAME = "fashion-mnist"
SYSTEM = (Path("/usr/share/datasets/fashion-mnist"),)  # Debian's package dataset-fashion-mnist
TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
WAYS = (
    "install Debian's package dataset-fashion-mnist, or put the four IDX files (train-images-idx3-ubyte, "
    "train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte, plain or .gz) in a folder and "
    "pass folder=, or in the subfolder fashion-mnist of the folder that NEURAL_LIMITS_DATA names"
)


def fashion_mnist(
    classes: Iterable[int] | None = None,
    samples: int | None = None,
    seed: int = 0,
    loss: str | None = None,
    folder: str | os.PathLike[str] | None = None,
    test_samples: int | None = None,
) -> Task:
    """Fashion-MNIST: 60000 training and 10000 test images of 28 x 28, d = 784.

    x = (pixel − mean)/std, by pixel over the training images of the chosen classes; pixels that never vary
    are 0.

    ``classes``, ``samples``, ``loss`` as in ``digits``; ``seed`` orders the training images, the test images
    keep theirs; ``test_samples`` keeps the first so many of the latter. Files come from ``folder``, else from
    NEURAL_LIMITS_DATA, else from Debian's package. FileNotFoundError naming the ways to get them; ValueError
    for a damaged file, naming it. Cost: about 1 s, and 8 bytes a pixel kept (376 MB for all).

    Source: Xiao, Rasul and Vollgraf (2017).

    >>> fashion_mnist(folder="no-such-folder")
    Traceback (most recent call last):
    FileNotFoundError: Fashion-MNIST was not found (looked in no-such-folder); install Debian's package ...
    """
    choice = Choice.checked(classes, samples, seed, loss, test_samples)
    folders = candidates(folder, NAME, SYSTEM)
    place = first_holding(folders, _holds)
    if place is None:
        raise missing("Fashion-MNIST", folders, WAYS)
    train = _images(place, *TRAIN).shuffled(choice.seed)
    return image_task(NAME, train, _images(place, *TEST), choice)


def locate() -> Path | None:
    """The folder the files would be read from without an argument, None where there are none."""
    return first_holding(candidates(None, NAME, SYSTEM), _holds)


def _holds(folder: Path) -> bool:
    return any(_path(folder, name) is not None for name in TRAIN + TEST)


def _path(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _images(folder: Path, images: str, labels: str) -> Images:
    """One split, its two files checked against one another."""
    arrays = []
    for name, dimensions in ((images, 3), (labels, 1)):
        path = _path(folder, name)
        if path is None:
            raise FileNotFoundError(f"{folder} has no {name} or {name}.gz; {WAYS}.")
        arrays.append(read_idx(path, dimensions))
    pixels, targets = arrays
    if len(pixels) != len(targets):
        raise ValueError(
            f"{folder}: {images} has {len(pixels)} images, {labels} {len(targets)} labels; fetch both again."
        )
    if pixels.shape[1:] != (28, 28):
        raise ValueError(f"{folder}: {images} must hold images of 28 x 28; got {pixels.shape[1:]}.")
    if targets.size and targets.max() >= CLASSES:
        raise ValueError(f"{folder}: {labels} must hold labels in 0..9; got {targets.max()}.")
    return Images(pixels.reshape(len(pixels), -1), targets.astype(np.int64))
