"""Files of every kind give back the numbers that went in; what is damaged or a pickle is refused in one line."""

import builtins
import json
import pickle
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from neural_limits.checkpoints import open_checkpoint

FLOATS = (np.float64, np.float32, np.float16, ml_dtypes.bfloat16)


def noise(rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((rows, columns))


@pytest.fixture
def forbidden(tmp_path: Path) -> Path:
    """A file that a pickle in `Evil` would make."""
    return tmp_path / "executed"


class Evil:
    """A pickle that makes a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def by_name(path: Path) -> dict[str, np.ndarray]:
    return {tensor.name: np.asarray(tensor.read(), np.float64) for tensor in open_checkpoint(path)}


def test_safetensors_of_every_type(tmp_path):
    weight = noise(7, 5)
    tensors = {f"h.{i}.w": weight.astype(dtype) for i, dtype in enumerate(FLOATS)}
    save_file(
        tensors | {"h.10.w": weight.astype(np.float32), "ids": np.zeros((2, 2), np.int64)}, tmp_path / "a.safetensors"
    )
    found = open_checkpoint(tmp_path / "a.safetensors")
    assert [t.name for t in found] == ["h.0.w", "h.1.w", "h.2.w", "h.3.w", "h.10.w", "ids"]  # by value, not as text
    assert [t.dtype for t in found] == ["float64", "float32", "float16", "bfloat16", "float32", "i64"]
    for tensor, dtype in zip(found, FLOATS, strict=False):
        assert tensor.shape == (7, 5)
        np.testing.assert_array_equal(np.asarray(tensor.read(), np.float64), weight.astype(dtype).astype(np.float64))


@pytest.mark.parametrize(("name", "dtype"), [("F8_E4M3", "float8_e4m3fn"), ("F8_E5M2", "float8_e5m2")])
def test_float8_written_byte_by_byte(tmp_path, name, dtype):
    values = np.array([[1.0, -0.5, 2.0], [0.25, 0.0, 16.0]])
    raw = values.astype(getattr(ml_dtypes, dtype)).tobytes()
    header = json.dumps({"w": {"dtype": name, "shape": [2, 3], "data_offsets": [0, 6]}}).encode()
    (tmp_path / "f8.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + raw)
    np.testing.assert_array_equal(by_name(tmp_path / "f8.safetensors")["w"], values)


def shards(folder: Path, weight: np.ndarray) -> dict[str, str]:
    places = {f"h.{i}.w": f"model-0000{1 + i % 2}-of-00002.safetensors" for i in range(4)}
    for shard in set(places.values()):
        save_file({name: i + weight for i, (name, s) in enumerate(places.items()) if s == shard}, folder / shard)
    return places


def test_shards_with_an_index_and_without(tmp_path):
    weight = noise(4, 3)
    places = shards(tmp_path, weight)
    without = by_name(tmp_path)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    for found in (without, by_name(tmp_path), by_name(index)):
        assert sorted(found) == ["h.0.w", "h.1.w", "h.2.w", "h.3.w"]
        for i in range(4):
            np.testing.assert_array_equal(found[f"h.{i}.w"], i + weight)
    assert list(by_name(tmp_path)) == ["h.0.w", "h.1.w", "h.2.w", "h.3.w"]


def test_a_folder_prefers_safetensors(tmp_path):
    save_file({"w": np.ones((2, 2))}, tmp_path / "model.safetensors")
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(1))
    assert list(by_name(tmp_path)) == ["w"]


def test_npz_lists_objects_and_never_reads_them(tmp_path, forbidden):
    objects = np.array([Evil(forbidden)], dtype=object)
    np.savez(tmp_path / "a.npz", w=np.arange(6.0).reshape(2, 3), o=objects)
    first, second = open_checkpoint(tmp_path / "a.npz")
    np.testing.assert_array_equal(first.read(), np.arange(6.0).reshape(2, 3))
    assert second.dtype == "object"
    with pytest.raises(OSError, match="damaged"):
        second.read()
    assert not forbidden.exists()


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"model": s, "optimizer": {"m": s["a.w"]}, "step": 3}])
def test_torch_files(tmp_path, wrap):
    torch = pytest.importorskip("torch")
    weight = torch.from_numpy(noise(6, 4))
    state = {
        "a.w": weight,
        "b.w": weight.float().bfloat16(),
        "c.w": weight.half().T,
        "d.w": weight.to(torch.float8_e4m3fn),
    }
    torch.save(wrap(state), tmp_path / "m.pt")
    found = open_checkpoint(tmp_path / "m.pt")
    assert [(t.name, t.dtype) for t in found] == [
        ("a.w", "float64"), ("b.w", "bfloat16"), ("c.w", "float16"), ("d.w", "float8_e4m3fn"),
    ]  # fmt: skip
    for tensor in found:
        expected = state[tensor.name].double().numpy()
        np.testing.assert_array_equal(np.asarray(tensor.read(), np.float64), expected)


def test_torch_refuses_objects_without_making_them(tmp_path, forbidden):
    torch = pytest.importorskip("torch")
    torch.save({"w": torch.ones(2, 2), "evil": Evil(forbidden)}, tmp_path / "evil.pt")
    with pytest.raises(OSError, match=r"evil.pt is refused \(objects other than tensors\)"):
        open_checkpoint(tmp_path / "evil.pt")
    assert not forbidden.exists()
    torch.load(tmp_path / "evil.pt", weights_only=False)
    assert forbidden.exists()  # it would have been


@pytest.mark.parametrize("name", ["m.pkl", "m.pickle", "m.pt", "m.bin", "m.safetensors", "m.npz"])
def test_a_pickle_under_any_name_is_not_executed(tmp_path, forbidden, name):
    if name.endswith((".pt", ".bin")):
        pytest.importorskip("torch")
    content = pickle.dumps(Evil(forbidden))
    (tmp_path / name).write_bytes(content)
    with pytest.raises(OSError, match=r"pickle|damaged") as caught:
        open_checkpoint(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert not forbidden.exists()
    pickle.loads(content)
    assert forbidden.exists()


def test_torch_files_without_torch_name_the_extra(tmp_path, monkeypatch):
    (tmp_path / "m.pt").write_bytes(b"")
    plain = builtins.__import__

    def without(name, *rest, **given):
        if name == "torch":
            raise ImportError(name)
        return plain(name, *rest, **given)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"neural-limits\[torch\]"):
        open_checkpoint(tmp_path / "m.pt")


def write_safetensors(folder: Path, change) -> Path:
    save_file({"w": np.ones((8, 8), np.float32)}, folder / "m.safetensors")
    (folder / "m.safetensors").write_bytes(change((folder / "m.safetensors").read_bytes()))
    return folder / "m.safetensors"


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b[:-1],
        lambda b: b[:20],
        lambda b: b[:4],
        lambda b: b"",
        lambda b: b[:8] + b"?" + b[9:],
        lambda b: (2**60).to_bytes(8, "little") + b[8:],
        lambda b: b.replace(b"[0,256]", b"[0,999]"),
    ],
    ids=["one byte short", "in the header", "in the length", "empty", "no JSON", "a huge header", "wrong offsets"],
)
def test_damaged_safetensors(tmp_path, change):
    path = write_safetensors(tmp_path, change)
    with pytest.raises(OSError, match=r"m.safetensors is damaged or no safetensors file \(.*\); fetch") as caught:
        open_checkpoint(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.npz", "a.pt"])
def test_damaged_zip_files(tmp_path, name):
    if name == "a.npz":
        np.savez(tmp_path / name, w=np.ones((50, 50)))
    else:
        pytest.importorskip("torch").save({"w": np.ones(3).tolist()}, tmp_path / name)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-30])
    with pytest.raises(OSError, match="damaged"):
        open_checkpoint(tmp_path / name)
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        archive.writestr("x.npy", b"no array")
    with pytest.raises(OSError, match=r"damaged|refused"):
        open_checkpoint(tmp_path / name)


@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        ("{", OSError, "holds no weight_map"),
        ("[]", OSError, "holds no weight_map"),
        ('{"weight_map": {"w": 3}}', OSError, "holds no weight_map"),
        ('{"weight_map": {"w": "../m.safetensors"}}', OSError, "not a file beside it"),
        ('{"weight_map": {"w": "gone.safetensors"}}', FileNotFoundError, "the shard gone.safetensors .* is missing"),
        ('{"weight_map": {"v": "m.safetensors"}}', OSError, "v is not in m.safetensors"),
    ],
)
def test_indices_that_lead_nowhere(tmp_path, index, error, message):
    save_file({"w": np.ones((2, 2))}, tmp_path / "m.safetensors")
    (tmp_path / "m.safetensors.index.json").write_text(index)
    with pytest.raises(error, match=message):
        open_checkpoint(tmp_path)


def test_paths_that_are_no_checkpoint(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file or folder"):
        open_checkpoint(tmp_path / "gone.safetensors")
    with pytest.raises(FileNotFoundError, match="there is no checkpoint in"):
        open_checkpoint(tmp_path)
    (tmp_path / "a.onnx").write_bytes(b"")
    with pytest.raises(ValueError, match=r"`path` must end in one of .safetensors"):
        open_checkpoint(tmp_path / "a.onnx")
    for name in ("a", "b"):
        save_file({"w": np.ones((2, 2))}, tmp_path / f"{name}.safetensors")
    with pytest.raises(OSError, match=r"w is in a.safetensors and in .*b.safetensors"):
        open_checkpoint(tmp_path)
