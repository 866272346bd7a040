"""From labelled images to a task, for all image sets: order, classes, standardisation, labels by loss."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
from jaxtyping import Float, Int, UInt8

from .._checks import one_of, positive_int
from ._task import LOSSES, Loss, Task

CLASSES = 10  # of every image set here
CHUNK = 4096  # images squared at a time: the sums stay exact in int64 and memory small


class Images(NamedTuple):
    """Images as flat rows of bytes (N, d), and their labels (N,) in 0..9."""

    pixels: UInt8[np.ndarray, "N d"]
    labels: Int[np.ndarray, " N"]

    def take(self, rows: Int[np.ndarray, " k"] | slice) -> Images:
        return Images(self.pixels[rows], self.labels[rows])

    def shuffled(self, seed: int) -> Images:
        """The same images in an order that depends on the seed only."""
        rng = np.random.default_rng(seed)
        return self.take(rng.permutation(len(self.labels)))

    def of(self, classes: tuple[int, ...]) -> Images:
        return self.take(np.flatnonzero(np.isin(self.labels, classes)))


@dataclass(frozen=True)
class Choice:
    """What the caller asked for, checked: classes in their order, sample counts, seed, loss."""

    classes: tuple[int, ...]
    samples: int | None
    seed: int
    loss: Loss
    test_samples: int | None

    @classmethod
    def checked(
        cls,
        classes: Iterable[int] | None,
        samples: int | None,
        seed: int,
        loss: str | None,
        test_samples: int | None = None,
    ) -> Choice:
        """The choice with defaults filled in: all classes; "mse" for two classes, "softmax" for more."""
        chosen = _chosen_classes(classes)
        if loss is None:
            loss = "mse" if len(chosen) == 2 else "softmax"
        one_of("loss", loss, LOSSES)
        if samples is not None:
            samples = positive_int("samples", samples)
        if test_samples is not None:
            test_samples = positive_int("test_samples", test_samples)
        return cls(chosen, samples, positive_int("seed", seed, least=0), cast(Loss, loss), test_samples)


def image_task(name: str, train: Images, test: Images, choice: Choice) -> Task:
    """The task of telling the chosen classes apart.

    x = (pixel − mean)/std by pixel, mean and std over all training images of the chosen classes; a pixel
    that never varies there is 0. y is -1/+1 (second class +1), or one column per class in the order chosen:
    one-hot for "softmax", -1/+1 for "mse". ValueError where more images are asked for than there are.
    Cost: O(N d) time; memory of the images kept, in float64.
    """
    train, test = train.of(choice.classes), test.of(choice.classes)
    kept = _first("samples", train, choice.samples, "training")
    kept_test = _first("test_samples", test, choice.test_samples, "test")
    mean, inverse = _standardisation(train.pixels)
    return Task(
        x=_standardised(kept.pixels, mean, inverse),
        y=_targets(kept.labels, choice),
        loss=choice.loss,
        name=name,
        x_test=_standardised(kept_test.pixels, mean, inverse),
        y_test=_targets(kept_test.labels, choice),
    )


def _chosen_classes(classes: Iterable[int] | None) -> tuple[int, ...]:
    if classes is None:
        return tuple(range(CLASSES))
    if isinstance(classes, str | bytes) or not isinstance(classes, Iterable):
        raise ValueError(f"`classes` must be a sequence such as (0, 1), or None for all; got {classes!r}.")
    chosen = tuple(positive_int("classes", label, least=0) for label in classes)
    for position, label in enumerate(chosen):
        if label >= CLASSES:
            raise ValueError(f"`classes` must lie in 0..{CLASSES - 1}; got {label}.")
        if label in chosen[:position]:
            raise ValueError(f"`classes` names {label} twice; name every class once.")
    if len(chosen) < 2:
        raise ValueError(f"`classes` must name at least 2 classes; got {chosen}.")
    return chosen


def _first(argument: str, images: Images, samples: int | None, split: str) -> Images:
    """The first images, or all of them."""
    there = len(images.labels)
    if samples is not None and samples > there:
        raise ValueError(f"`{argument}` must be at most {there}, all {split} images of these classes; got {samples}.")
    return images.take(slice(samples))


def _standardisation(
    pixels: UInt8[np.ndarray, "N d"],
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, " d"]]:
    """Mean and 1/std of every pixel from exact integer sums; 0 for 1/std where a pixel never varies."""
    total = np.zeros(pixels.shape[1], dtype=np.int64)
    squares = np.zeros_like(total)
    for start in range(0, len(pixels), CHUNK):
        chunk = pixels[start : start + CHUNK].astype(np.int64)
        total += chunk.sum(axis=0)
        squares += (chunk * chunk).sum(axis=0)
    count = max(len(pixels), 1)
    spread = np.sqrt((count * squares - total * total).astype(np.float64)) / count
    inverse = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)
    return total / count, inverse


def _standardised(
    pixels: UInt8[np.ndarray, "k d"], mean: Float[np.ndarray, " d"], inverse: Float[np.ndarray, " d"]
) -> Float[np.ndarray, "k d"]:
    x = pixels.astype(np.float64)
    x -= mean
    x *= inverse
    x.setflags(write=False)
    return x


def _targets(labels: Int[np.ndarray, " k"], choice: Choice) -> Float[np.ndarray, "k C"]:
    """Targets of shape (k, 1) for two classes under "mse", else (k, classes)."""
    hot = (labels[:, None] == np.array(choice.classes)).astype(np.float64)
    if choice.loss == "softmax":
        return hot
    return 2 * (hot[:, 1:] if len(choice.classes) == 2 else hot) - 1
