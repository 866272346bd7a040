"""The contract of a task, and what its constructor refuses."""

import numpy as np
import pytest

from neural_limits.tasks import Task, toy

X = np.arange(12.0).reshape(4, 3)
Y = np.array([[1.0], [-1.0], [1.0], [1.0]])


def test_attributes_and_read_only_copies() -> None:
    x = X.copy()
    task = Task(x=x, y=Y.astype(np.float32), loss="mse", x_test=X[:2], y_test=Y[:2])
    assert (task.samples, task.inputs, task.outputs, task.name) == (4, 3, 1, "custom")
    x[0, 0] = 99.0
    assert task.x[0, 0] == 0.0
    for array in (task.x, task.y, task.x_test, task.y_test):
        assert array is not None
        assert array.dtype == np.float64
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1.0


def test_views_of_read_only_arrays_are_copied() -> None:
    base = X.copy()
    view = base[:2]
    view.setflags(write=False)
    task = Task(x=view, y=Y[:2], loss="mse")
    base[0, 0] = 99.0
    assert task.x[0, 0] == 0.0


def test_identity_equality_and_subset() -> None:
    task = Task(x=X, y=Y, loss="mse", name="mine", x_test=X, y_test=Y)
    assert task != Task(x=X, y=Y, loss="mse")
    assert len({task, task}) == 1
    part = task.subset(2)
    assert (part.samples, part.name) == (2, "mine")
    assert part.x_test is not None
    assert part.x_test.shape == (4, 3)
    np.testing.assert_array_equal(part.x, X[:2])
    with pytest.raises(ValueError, match="`samples` must be at most 4, all this task has; got 5"):
        task.subset(5)
    with pytest.raises(ValueError, match="`samples` must be at least 1; got 0"):
        task.subset(0)


def test_classification() -> None:
    assert Task(x=X, y=Y, loss="mse").is_classification
    assert not Task(x=X, y=0.5 * Y, loss="mse").is_classification
    assert Task(x=X, y=np.tile([0.25, 0.75], (4, 1)), loss="softmax").is_classification


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": Y[:3]}, "`y` must have one row per sample: x has 4 rows, y has 3."),
        ({"y": Y[:, 0]}, r"`y` must be 2-d, one row per sample; got shape \(4,\); use values"),
        ({"x": X[None]}, r"`x` must be 2-d, one row per sample; got shape \(1, 4, 3\)"),
        ({"x": X[:0], "y": Y[:0]}, r"`x` must have at least one sample and one column; got shape \(0, 3\)"),
        (
            {"x": np.where(X == 5, np.nan, X)},
            r"`x` has 1 value that is not finite \(first at row 1, column 2\)",
        ),
        (
            {"x": np.where(X >= 9, np.inf, X)},
            r"`x` has 3 values that are not finite \(first at row 3, column 0\);",
        ),
        ({"y": Y.astype(str)}, "`y` must hold real numbers; got an array of type <U"),
        ({"x": X * 1j}, "`x` must hold real numbers; got an array of type complex128"),
        ({"loss": "sofmax"}, "`loss` must be one of 'mse', 'softmax'; got 'sofmax'. Did you mean 'softmax'?"),
        ({"loss": "softmax"}, "`y` must hold probabilities for loss 'softmax'; row 1 sums to -1"),
        ({"loss": "softmax", "y": 0.4 * np.ones((4, 2))}, "row 0 sums to 0.8, smallest entry 0.4"),
        ({"loss": "softmax", "y": np.tile([1.5, -0.5], (4, 1))}, "smallest entry -0.5"),
        ({"x_test": X}, "`y_test` is missing; give both `x_test` and `y_test`, or neither."),
        (
            {"x_test": X[:, :2], "y_test": Y},
            "`x_test` must have as many columns as `x`: x has 3 columns, x_test has 2",
        ),
        (
            {"x_test": X, "y_test": np.hstack([Y, Y])},
            "`y_test` must have as many columns as `y`: y has 1 column, ",
        ),
        (
            {"x_test": X, "y_test": Y[:1]},
            "`y_test` must have one row per sample: x_test has 4 rows, y_test has 1.",
        ),
        ({"x_test": np.full((4, 3), np.nan), "y_test": Y}, "`x_test` has 12 values that are not finite"),
    ],
)
def test_refusals_are_one_line(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Task(**({"x": X, "y": Y, "loss": "mse"} | change))
    assert "\n" not in str(caught.value)


def test_toy_is_the_reference_of_the_theory() -> None:
    rng = np.random.default_rng(7)
    x = rng.standard_normal((4, 8))
    x /= np.linalg.norm(x, axis=1, keepdims=True) / np.sqrt(8)
    task = toy(outputs=3)
    np.testing.assert_allclose(task.x, x, rtol=1e-15)
    np.testing.assert_array_equal(task.y, rng.choice([-1.0, 1.0], (3, 4)).T)
    np.testing.assert_allclose(np.sum(task.x**2, axis=1), 8.0, rtol=1e-14)
    assert (task.loss, task.name, task.is_classification, task.x_test) == ("mse", "toy", True, None)


def test_toy_sine_labels() -> None:
    np.testing.assert_array_equal(toy(labels="sine").y[:, 0], [1, -1, 1, 1])
    np.testing.assert_array_equal(toy(labels="sine").x, toy().x)
    task = toy(samples=50, inputs=3, seed=1, labels="sine")
    np.testing.assert_array_equal(task.y, np.sign(np.sin(3 * task.x[:, :1]) + 0.1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"samples": 0}, "`samples` must be at least 1; got 0"),
        ({"inputs": 2.5}, "`inputs` must be a whole number; got 2.5"),
        ({"outputs": 0}, "`outputs` must be at least 1"),
        ({"seed": -1}, "`seed` must be at least 0"),
        ({"labels": "sin"}, "`labels` must be one of .* Did you mean 'sine'"),
        ({"labels": "sine", "outputs": 2}, "`outputs` must be 1 for labels 'sine'; got 2"),
    ],
)
def test_toy_refusals(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        toy(**arguments)
