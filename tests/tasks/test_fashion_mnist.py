"""Fashion-MNIST from IDX files written here, and from the real ones where this machine has them."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from neural_limits.tasks import _fashion_mnist as implementation
from neural_limits.tasks import fashion_mnist, found

STEMS = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    sizes = {"train": 60, "t10k": 30}
    out = {}
    for split, count in sizes.items():
        out[f"{split}-images-idx3-ubyte"] = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        out[f"{split}-labels-idx1-ubyte"] = (np.arange(count) % 10).astype(np.uint8)
    return out


@pytest.fixture
def folder(tmp_path: Path, arrays: dict[str, np.ndarray]) -> Path:
    for position, name in enumerate(STEMS):
        if position % 2:
            (tmp_path / name).write_bytes(idx(arrays[name]))
        else:
            (tmp_path / f"{name}.gz").write_bytes(gzip.compress(idx(arrays[name])))
    return tmp_path


def test_contents(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    task = fashion_mnist(classes=(2, 5), folder=folder, seed=3, samples=7, test_samples=4)
    order = np.random.default_rng(3).permutation(60)
    labels = arrays[STEMS[1]][order]
    chosen = order[np.isin(labels, (2, 5))]
    pixels = arrays[STEMS[0]].reshape(60, 784)[chosen].astype(float)
    mean, std = pixels.mean(axis=0), pixels.std(axis=0)
    np.testing.assert_allclose(task.x, (pixels[:7] - mean) / std, atol=1e-12)
    np.testing.assert_array_equal(task.y[:, 0], np.where(arrays[STEMS[1]][chosen[:7]] == 5, 1, -1))
    test = np.flatnonzero(np.isin(arrays[STEMS[3]], (2, 5)))[:4]
    assert task.x_test is not None
    np.testing.assert_allclose(task.x_test, (arrays[STEMS[2]].reshape(30, 784)[test] - mean) / std, atol=1e-12)
    assert (task.name, task.loss) == ("fashion-mnist", "mse")


def test_environment_variable(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "fashion-mnist").symlink_to(folder)
    monkeypatch.setenv("NEURAL_LIMITS_DATA", str(tmp_path / "data"))
    assert fashion_mnist().samples == 60
    assert found()["fashion-mnist"] == tmp_path / "data" / "fashion-mnist"


def test_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEURAL_LIMITS_DATA", raising=False)
    monkeypatch.setattr(implementation, "SYSTEM", (tmp_path / "absent",))
    with pytest.raises(FileNotFoundError, match=r"dataset-fashion-mnist.*folder=.*NEURAL_LIMITS_DATA") as caught:
        fashion_mnist()
    assert "\n" not in str(caught.value)
    assert found()["fashion-mnist"] is None


def test_a_folder_given_is_the_only_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"looked in {tmp_path}"):
        fashion_mnist(folder=tmp_path)


def test_one_file_missing(folder: Path) -> None:
    (folder / STEMS[3]).unlink()
    with pytest.raises(FileNotFoundError, match=r"has no t10k-labels-idx1-ubyte or t10k-labels-idx1-ubyte.gz"):
        fashion_mnist(folder=folder)


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        (STEMS[1], lambda b: b[:-1], "train-labels-idx1-ubyte is truncated: 67 bytes"),
        (STEMS[1], lambda b: b[:5], "train-labels-idx1-ubyte is truncated: 5 bytes"),
        (STEMS[1], lambda b: b[:0], "train-labels-idx1-ubyte is truncated: 0 bytes"),
        (STEMS[1], lambda b: b + b"\0", "train-labels-idx1-ubyte is too long: 69 bytes"),
        (STEMS[1], lambda b: b"\0\0\x08\x03" + b[4:], "starts with 00000803, not 00000801"),
        (STEMS[1], lambda b: b[:-1] + b"\x0a", r"train-labels-idx1-ubyte must hold labels in 0\.\.9; got 10"),
        (STEMS[1], lambda b: idx(np.zeros(61, np.uint8)), "has 60 images, train-labels-idx1-ubyte 61 labels"),
        (STEMS[0] + ".gz", lambda b: b[:5000], "train-images-idx3-ubyte.gz is truncated or damaged"),
        (STEMS[0] + ".gz", lambda b: b"plain text", "train-images-idx3-ubyte.gz is truncated or damaged"),
        (STEMS[0] + ".gz", lambda b: b[:5000] + b"\xff" * 99 + b[5099:], "train-images-idx3-ubyte.gz is"),
        (
            STEMS[0] + ".gz",
            lambda b: gzip.compress(idx(np.zeros((60, 27, 28), np.uint8))),
            "images of 28 x 28",
        ),
    ],
)
def test_damaged_files_are_named(folder: Path, name: str, damage, message: str) -> None:
    path = folder / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=message) as caught:
        fashion_mnist(folder=folder)
    assert "\n" not in str(caught.value)


def test_more_images_than_there_are(folder: Path) -> None:
    with pytest.raises(ValueError, match="`samples` must be at most 12"):
        fashion_mnist(classes=(0, 1), samples=13, folder=folder)
    with pytest.raises(ValueError, match="`test_samples` must be at most 6, all test images"):
        fashion_mnist(classes=(0, 1), test_samples=7, folder=folder)


@pytest.mark.skipif(not implementation.SYSTEM[0].is_dir(), reason="dataset-fashion-mnist is not installed")
def test_the_real_thing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEURAL_LIMITS_DATA", raising=False)
    task = fashion_mnist(classes=(0, 9), samples=2000, test_samples=500)
    assert (task.x.shape, task.y.shape) == ((2000, 784), (2000, 1))
    assert task.x_test is not None
    assert task.y_test is not None
    # A T-shirt and a boot: a nearest-mean classifier tells them apart, so pixels and labels belong together.
    means = [task.x[task.y[:, 0] == sign].mean(axis=0) for sign in (-1, 1)]
    nearer = np.argmin([np.sum((task.x_test - mean) ** 2, axis=1) for mean in means], axis=0)
    assert np.mean(2 * nearer - 1 == task.y_test[:, 0]) > 0.99
