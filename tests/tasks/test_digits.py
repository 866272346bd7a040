"""Digits, and with them what all image sets share: split, classes, standardisation, labels by loss."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from neural_limits.tasks import digits


def test_split_and_standardisation_against_scikit_learn() -> None:
    from sklearn.preprocessing import StandardScaler

    data, target = load_digits(return_X_y=True)
    order = np.random.default_rng(5).permutation(1797)
    train = [i for i in order[:1400] if target[i] in (3, 8)]
    test = [i for i in order[1400:] if target[i] in (3, 8)]
    scaler = StandardScaler().fit(data[train])  # it too leaves constant features at zero
    task = digits(classes=(3, 8), seed=5)
    np.testing.assert_allclose(task.x, scaler.transform(data[train]), atol=1e-12)
    np.testing.assert_array_equal(task.y[:, 0], np.where(target[train] == 8, 1.0, -1.0))
    constant = data[train].std(axis=0) == 0
    assert constant.any()
    assert task.x_test is not None
    np.testing.assert_allclose(task.x_test[:, ~constant], scaler.transform(data[test])[:, ~constant], atol=1e-12)
    np.testing.assert_array_equal(task.x_test[:, constant], 0.0)


def test_all_ten_classes() -> None:
    task = digits()
    assert (task.samples, task.inputs, task.outputs, task.loss, task.name) == (
        1400,
        64,
        10,
        "softmax",
        "digits",
    )
    assert task.x_test is not None
    assert len(task.x_test) == 397
    np.testing.assert_allclose(task.x.mean(axis=0), 0.0, atol=1e-12)
    spread = task.x.std(axis=0)
    assert np.all((np.abs(spread - 1) < 1e-12) | (spread == 0))


def test_samples_are_the_first_and_do_not_change_the_standardisation() -> None:
    whole, part = digits(classes=(0, 1)), digits(classes=(0, 1), samples=20)
    np.testing.assert_array_equal(part.x, whole.x[:20])
    np.testing.assert_array_equal(part.y, whole.y[:20])
    np.testing.assert_array_equal(part.x, whole.subset(20).x)
    assert not np.array_equal(part.x, digits(classes=(0, 1), samples=20, seed=1).x)


def test_labels_follow_the_loss_and_the_order_of_classes() -> None:
    pair, reverse = digits(classes=(4, 7)), digits(classes=(7, 4))
    np.testing.assert_array_equal(pair.y, -reverse.y)
    hot = digits(classes=(4, 7), loss="softmax")
    np.testing.assert_array_equal(hot.y[:, 1:], (pair.y + 1) / 2)
    signs = digits(classes=(4, 7, 9), loss="mse")
    np.testing.assert_array_equal(signs.y, 2 * digits(classes=(4, 7, 9)).y - 1)
    assert signs.is_classification
    assert set(np.unique(signs.y.sum(axis=1))) == {-1.0}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": (0, 10)}, r"`classes` must lie in 0\.\.9; got 10"),
        ({"classes": (0, -1)}, "`classes` must be at least 0; got -1"),
        ({"classes": (0, 1, 0)}, "`classes` names 0 twice"),
        ({"classes": (3,)}, r"`classes` must name at least 2 classes; got \(3,\)"),
        ({"classes": 3}, "`classes` must be a sequence such as"),
        ({"classes": "01"}, "`classes` must be a sequence such as"),
        ({"classes": (0.5, 1)}, "`classes` must be a whole number"),
        ({"samples": 0}, "`samples` must be at least 1; got 0"),
        ({"samples": 1401}, "`samples` must be at most 1400, all training images of these classes; got 1401"),
        ({"loss": "hinge"}, "`loss` must be one of 'mse', 'softmax'"),
        ({"seed": -1}, "`seed` must be at least 0"),
    ],
)
def test_refusals(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        digits(**arguments)
