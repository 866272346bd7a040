"""Handwritten digits, 8 x 8: scikit-learn's copy, so there is nothing to fetch."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ._images import Choice, Images, image_task
from ._task import Task

TRAINING = 1400  # of the 1797 images; the other 397 are the test data


def digits(
    classes: Iterable[int] | None = None,
    samples: int | None = None,
    seed: int = 0,
    loss: str | None = None,
) -> Task:
    """Scikit-learn's digits: 1797 images of 8 x 8, 1400 for training and 397 for testing, d = 64.

    x = (pixel − mean)/std, by pixel over the training images of the chosen classes; pixels that never vary
    are 0.

    ``classes``: labels in 0..9 in the order of the outputs, None for all ten. ``samples``: the first so many
    training images of these classes, None for all. ``seed``: the order, and with it the split. ``loss``:
    None means "mse" with y = ∓1 (P, 1) for two classes (+1 the second) and "softmax", one-hot (P, C), for
    more; "mse" with more classes gives ∓1 in one column per class. ValueError for unknown, repeated or fewer
    than two classes and for more samples than there are. Cost: under 0.1 s, the first
    time with scikit-learn's import (1 s).

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI (1998).

    >>> task = digits(classes=(0, 1), samples=100)
    >>> task.x.shape, task.y.shape, task.loss, task.x_test.shape
    ((100, 64), (100, 1), 'mse', (82, 64))
    """
    from sklearn.datasets import load_digits  # takes a second: only those pay who use it

    choice = Choice.checked(classes, samples, seed, loss)
    bunch = load_digits()
    images = Images(bunch.data.astype(np.uint8), bunch.target.astype(np.int64)).shuffled(choice.seed)
    train, test = images.take(slice(TRAINING)), images.take(slice(TRAINING, None))
    return image_task("digits", train, test, choice)
