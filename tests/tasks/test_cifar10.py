"""CIFAR-10 from files written here in both published formats; no pickle is ever loaded."""

import functools
import hashlib
import io
import os
import pickle
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from neural_limits.tasks import _cifar10 as implementation
from neural_limits.tasks import _cifar_files as files
from neural_limits.tasks import cifar10, found
from neural_limits.tasks._download import fetch
from neural_limits.tasks._tokens import read_batch

K = 20
STEMS = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]


def batch(seed: int) -> tuple[np.ndarray, list[int]]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (K, 3072), dtype=np.uint8), [int(v) for v in rng.permutation(np.arange(K) % 10)]


def python2(pixels: np.ndarray, labels: list[int], *, extra: bytes = b"") -> bytes:
    """The tokens that Python 2 wrote into the published batches: strings, a memo, lists in portions."""
    memo = iter(range(1, 256))

    def noted(*parts: bytes) -> bytes:
        return b"".join(parts) + b"q" + bytes([next(memo)])

    def text(value: bytes) -> bytes:
        return noted(b"U", bytes([len(value)]), value)

    half = len(labels) // 2
    portions = [
        b"(" + bytes(v for label in part for v in (75, label)) + b"e" for part in (labels[:half], labels[half:])
    ]
    parts = [noted(b"\x80\x02}"), b"(", text(b"batch_label"), text(b"training batch 1 of 5")]
    parts += [text(b"labels"), noted(b"]"), *portions]
    parts += [text(b"data"), noted(b"cnumpy.core.multiarray\n_reconstruct\n"), noted(b"cnumpy\nndarray\n")]
    parts += [noted(b"K\x00\x85"), text(b"b"), noted(b"\x87"), noted(b"R")]
    parts += [b"(K\x01", noted(b"M", struct.pack("<H", len(pixels)), b"M\x00\x0c\x86")]
    parts += [noted(b"cnumpy\ndtype\n"), text(b"u1"), noted(b"K\x00K\x01\x87"), noted(b"R")]
    parts += [b"(K\x03", text(b"|"), b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff", noted(b"K\x00t"), b"b\x89"]
    parts += [noted(b"T", struct.pack("<i", pixels.size), pixels.tobytes()), noted(b"t"), b"b"]
    parts += [text(b"filenames"), noted(b"]"), b"(", *(text(b"img_%d.png" % i) for i in range(3)), b"e"]
    return b"".join(parts) + extra + b"u."


def python3(pixels: np.ndarray, labels: list[int], protocol: int = 2, **extra: object) -> bytes:
    return pickle.dumps({b"labels": labels, b"data": pixels, "batch_label": "x"} | extra, protocol=protocol)


def binary(pixels: np.ndarray, labels: list[int]) -> bytes:
    return np.hstack([np.array(labels, np.uint8)[:, None], pixels]).tobytes()


WRITERS: list[Callable[[np.ndarray, list[int]], bytes]] = [
    python2,
    python3,
    functools.partial(python3, protocol=3),
    lambda pixels, labels: python3(np.asfortranarray(pixels), labels),
]


@pytest.mark.parametrize("write", WRITERS)
def test_python_batches(write: Callable[[np.ndarray, list[int]], bytes]) -> None:
    pixels, labels = batch(0)
    got, numbers = read_batch(write(pixels, labels), "x")
    np.testing.assert_array_equal(got, pixels)
    np.testing.assert_array_equal(numbers, labels)


def test_the_writer_here_writes_real_pickles() -> None:
    """Oracle of the tokens: Python itself loads what is written here; the library never does."""
    pixels, labels = batch(1)
    loaded = pickle.loads(python2(pixels, labels), encoding="bytes")
    np.testing.assert_array_equal(loaded[b"data"], pixels)
    assert loaded[b"labels"] == labels


class Malicious:
    def __reduce__(self) -> tuple:
        return os.mkdir, (self.target,)

    def __init__(self, target: str) -> None:
        self.target = target


def test_nothing_is_run(tmp_path: Path) -> None:
    target = tmp_path / "made"
    content = python3(*batch(0), evil=Malicious(str(target)))
    with pytest.raises(ValueError, match=r"bad is not a CIFAR-10 python batch: it names 'posix mkdir'"):
        read_batch(content, "bad")
    assert not target.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "tokens do not fit"),
        (b"not a pickle", "tokens do not fit|it has the token"),
        (python2(*batch(0))[:-1], "tokens do not fit"),
        (python2(*batch(0))[:3000], "tokens do not fit"),
        (b"\x80\x02]q\x01.", "does not hold one dictionary"),
        (b"\x80\x02u.", "tokens do not fit"),
        (b"\x80\x02(K\x01}u.", "."),
        (b"\x80\x02}(K\x01K\x02u.", "a str was expected where it has a int"),
        (python2(*batch(0), extra=b"U\x06labels]"), "the key 'labels' twice"),
        (python2(batch(0)[0], batch(0)[1][:-1]), "20 images and 19 labels"),
        (python3(batch(0)[0].astype(np.int16), batch(0)[1]), "not one of unsigned bytes"),
        (python3(batch(0)[0][:, :3071], batch(0)[1]), r"not of shape \(k, 3072\)"),
        (python3(batch(0)[0].reshape(K, 3, 1024), batch(0)[1]), r"not of shape \(k, 3072\)"),
        (pickle.dumps({"data": 1, "labels": [1]}, protocol=2), "no array under the key 'data'"),
        (pickle.dumps({"data": batch(0)[0]}, protocol=2), "no list of whole numbers under the key 'labels'"),
        (pickle.dumps({"data": batch(0)[0], "labels": [0.5] * K}, protocol=2), "the token BINFLOAT"),
        (pickle.dumps({"data": batch(0)[0], "labels": ["a"] * K}, protocol=2), "no list of whole numbers"),
        (python3(*batch(0), protocol=4), "it has the token FRAME"),
    ],
)
def test_other_contents_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=f"bad is not a CIFAR-10 python batch: .*({message})") as caught:
        read_batch(content, "bad")
    assert "\n" not in str(caught.value)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "IMAGES_PER_FILE", K)
    monkeypatch.delenv("NEURAL_LIMITS_DATA", raising=False)


def contents(form: str) -> dict[str, bytes]:
    write, suffix = (binary, ".bin") if form == "bin" else (python2, "")
    return {stem + suffix: write(*batch(seed)) for seed, stem in enumerate(STEMS)}


def pack(path: Path, form: str, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(f"cifar-10-batches-{form}/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def lay_out(folder: Path, form: str, how: str) -> None:
    if how == "archive":
        pack(folder / f"cifar-10-{'binary' if form == 'bin' else 'python'}.tar.gz", form, contents(form))
        return
    place = folder if how == "files" else folder / f"cifar-10-batches-{form}"
    place.mkdir(exist_ok=True)
    for name, content in contents(form).items():
        (place / name).write_bytes(content)


@pytest.mark.parametrize("form", ["bin", "py"])
@pytest.mark.parametrize("how", ["archive", "folder", "files"])
def test_every_form_gives_the_same_task(tmp_path: Path, form: str, how: str) -> None:
    lay_out(tmp_path, form, how)
    task = cifar10(folder=tmp_path, seed=2, samples=30)
    pixels = np.concatenate([batch(seed)[0] for seed in range(5)]).astype(float)
    labels = np.concatenate([batch(seed)[1] for seed in range(5)])
    order = np.random.default_rng(2).permutation(5 * K)
    mean, std = pixels.mean(axis=0), pixels.std(axis=0)
    np.testing.assert_allclose(task.x, ((pixels - mean) / std)[order[:30]], atol=1e-12)
    np.testing.assert_array_equal(task.y, np.eye(10)[labels[order[:30]]])
    assert task.x_test is not None
    assert task.y_test is not None
    np.testing.assert_allclose(task.x_test, (batch(5)[0] - mean) / std, atol=1e-12)
    np.testing.assert_array_equal(np.argmax(task.y_test, axis=1), batch(5)[1])
    assert (task.name, task.loss) == ("cifar-10", "softmax")


@pytest.mark.parametrize("subfolder", ["", "cifar-10"])
def test_environment_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subfolder: str) -> None:
    (tmp_path / subfolder).mkdir(exist_ok=True)
    lay_out(tmp_path / subfolder, "bin", "folder")
    monkeypatch.setenv("NEURAL_LIMITS_DATA", str(tmp_path))
    assert cifar10(classes=(0, 1), test_samples=2).loss == "mse"
    assert found()["cifar-10"] == tmp_path / subfolder


def test_nowhere(tmp_path: Path) -> None:
    assert found()["cifar-10"] is None
    for download in (False, True):  # without a folder there is nowhere to download to
        with pytest.raises(FileNotFoundError, match=r"folder=.*NEURAL_LIMITS_DATA.*download=True"):
            cifar10(download=download)
    with pytest.raises(FileNotFoundError, match=f"looked in {tmp_path}"):
        cifar10(folder=tmp_path)


def test_damage_is_named(tmp_path: Path) -> None:
    lay_out(tmp_path, "bin", "files")
    victim = tmp_path / "data_batch_3.bin"
    whole = victim.read_bytes()
    for content, message in (
        (whole[:-1], "data_batch_3.bin is truncated"),
        (whole[:-3073], "data_batch_3.bin has 19 images, not 20"),
        (b"\x0a" + whole[1:], r"data_batch_3.bin has labels outside 0\.\.9"),
        (b"", "data_batch_3.bin is truncated"),
    ):
        victim.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            cifar10(folder=tmp_path)
    victim.unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks data_batch_3.bin"):
        cifar10(folder=tmp_path)


def test_damaged_archives_are_named(tmp_path: Path) -> None:
    archive = tmp_path / "cifar-10-python.tar.gz"
    lay_out(tmp_path, "py", "archive")
    whole = archive.read_bytes()
    for content in (whole[: len(whole) // 2], b"no archive", whole[:3000] + b"\xff" * 500 + whole[3500:]):
        archive.write_bytes(content)
        # a damaged header ends a tar: then members are missing
        with pytest.raises(ValueError, match=r"cifar-10-python.tar.gz (is truncated or damaged|lacks)") as caught:
            cifar10(folder=tmp_path)
        assert "\n" not in str(caught.value)
    pack(archive, "py", {name: content for name, content in contents("py").items() if name != "test_batch"})
    with pytest.raises(ValueError, match=r"cifar-10-python.tar.gz lacks test_batch"):
        cifar10(folder=tmp_path)


def test_links_in_an_archive_are_not_followed(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "cifar-10-python.tar.gz", "w:gz") as tar:
        for name in STEMS:
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/hostname"
            tar.addfile(info)
    with pytest.raises(ValueError, match="lacks data_batch_1"):
        cifar10(folder=tmp_path)


def test_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "server").mkdir()
    lay_out(tmp_path / "server", "py", "archive")
    archive = tmp_path / "server" / "cifar-10-python.tar.gz"
    monkeypatch.setattr(implementation, "ADDRESS", archive.as_uri())
    place = tmp_path / "new" / "data"
    with pytest.raises(ValueError, match=r"gave a file with MD5 .*, not c58f30108f718f92721af3d95e74349a"):
        cifar10(folder=place, download=True)
    assert list(place.iterdir()) == []
    monkeypatch.setattr(implementation, "MD5", hashlib.md5(archive.read_bytes()).hexdigest())
    assert cifar10(folder=place, download=True, samples=3).samples == 3
    assert [path.name for path in place.iterdir()] == ["cifar-10-python.tar.gz"]
    archive.unlink()  # what is there is not fetched again
    assert cifar10(folder=place, download=True, samples=3).samples == 3


def test_no_network_is_one_line(tmp_path: Path) -> None:
    address = (tmp_path / "absent").as_uri()
    with pytest.raises(ConnectionError, match=r"could not be fetched .*; fetch it by hand and pass folder=") as caught:
        fetch(address, tmp_path / "target", md5="0")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
