"""The run store: what it refuses, what it records, and that users' files are safe in it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from neural_limits.runs import RunFolder

DATA = xr.Dataset({"loss": ("step", [1.0, 0.5])}, attrs={"seed": 3})


def one_line(error: pytest.ExceptionInfo[BaseException]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_run_from_start_to_end(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "a" / "run")
    assert (folder.status, folder.message) == ("running", "")
    folder.update(configuration={"width": 64}, seed=0)
    folder.write_dataset("data.nc", DATA)
    folder.write_text("report.html", "σ\udc80")
    folder.write_json("extra.json", {"lr": np.float32(0.5)})
    folder.write_json("run.json", {"seed": 1})
    folder.finish("diverged", "lower `lr`.", timing={"seconds": 1.5})
    again = RunFolder.open(str(folder.path))
    info = again.info()
    assert (again.status, again.message) == ("diverged", "lower `lr`.")
    assert info["files"] == ["data.nc", "report.html", "extra.json"]
    assert (info["configuration"], info["seed"], info["timing"]) == ({"width": 64}, 1, {"seconds": 1.5})
    assert set(info["versions"]) == {"python", "neural-limits", "jax", "numpy"}
    assert info["created"] <= info["finished"]
    xr.testing.assert_identical(again.read_dataset("data.nc"), DATA)


def test_a_used_folder_is_refused(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    folder.finish("completed")
    with pytest.raises(FileExistsError, match="--overwrite") as caught:
        RunFolder.create(folder.path)
    assert str(folder.path) in one_line(caught)
    (tmp_path / "file").write_text("x")
    with pytest.raises(NotADirectoryError, match="is a file"):
        RunFolder.create(tmp_path / "file", overwrite=True)


def test_overwriting_removes_only_what_was_written_here(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    folder.write_dataset("data.nc", DATA)
    folder.write_bytes("loss.png", b"png")
    folder.finish("completed")
    kept = {"notes.txt": "mine", "photo.png": "mine too", "other.nc": "and this"}
    for name, text in kept.items():
        (folder.path / name).write_text(text)
    (folder.path / "sub").mkdir()
    again = RunFolder.create(folder.path, overwrite=True)
    assert names(again.path) == sorted([*kept, "sub", "run.json"])
    assert again.info()["files"] == []
    with pytest.raises(FileExistsError, match="not written by neural-limits"):
        again.write_bytes("photo.png", b"png")
    assert (again.path / "photo.png").read_text() == "mine too"


def test_a_reserved_folder_goes_with_the_run_and_a_users_own_stays(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    inside = folder.reserve("trials")
    (inside / "a").mkdir(parents=True)
    (folder.path / "mine").mkdir()
    with pytest.raises(FileExistsError, match="mine was not written by neural-limits"):
        folder.reserve("mine")
    for name in ("../elsewhere", "run.json", "/tmp"):
        with pytest.raises(ValueError, match="`name` must name a file in the run's folder"):
            folder.reserve(name)
    folder.finish("failed", "no root")
    again = folder.resume()
    assert (again.status, again.message) == ("running", "")
    assert again.reserve("trials") == inside
    assert (inside / "a").is_dir()
    again.finish("completed")
    assert names(RunFolder.create(folder.path, overwrite=True).path) == ["mine", "run.json"]


def test_a_run_whose_process_lives_is_not_resumed(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    with pytest.raises(FileExistsError, match="is being written by process"):
        folder.resume()


@pytest.mark.parametrize("record", [None, "{", "[]", "{}", '{"format": "another tool"}'])
def test_a_folder_that_is_no_run_is_never_overwritten(tmp_path: Path, record: str | None) -> None:
    (tmp_path / "precious.txt").write_text("x")
    if record is not None:
        (tmp_path / "run.json").write_text(record)
    before = names(tmp_path)
    with pytest.raises(FileExistsError, match="name another folder") as caught:
        RunFolder.create(tmp_path, overwrite=True)
    one_line(caught)
    assert names(tmp_path) == before
    with pytest.raises(OSError, match=r"run\.json") as opened:
        RunFolder.open(tmp_path)
    one_line(opened)


def test_a_manifest_cannot_reach_outside(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    folder.finish("completed")
    outside = tmp_path / "outside.txt"
    outside.write_text("x")
    record = json.loads((folder.path / "run.json").read_text())
    (folder.path / "run.json").write_text(json.dumps({**record, "files": ["../outside.txt"]}))
    with pytest.raises(ValueError, match="name"):
        RunFolder.create(folder.path, overwrite=True)
    assert outside.exists()


def test_a_run_that_is_going_on_is_not_overwritten(tmp_path: Path) -> None:
    RunFolder.create(tmp_path / "run")
    with pytest.raises(FileExistsError, match="being written by process"):
        RunFolder.create(tmp_path / "run", overwrite=True)


def test_a_dead_process_shows_as_interrupted(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    record = folder.info()
    folder.update(process={**record["process"], "pid": gone.pid})
    assert RunFolder.open(folder.path).status == "interrupted"
    assert "run it again" in folder.message
    folder.update(process={**record["process"], "started": "0"})  # the number was given to another process
    assert folder.status == "interrupted"
    folder.update(process={**record["process"], "host": "elsewhere", "pid": gone.pid})
    assert folder.status == "running"  # nobody can tell from here
    folder.update(process=record["process"])
    assert folder.status == "running"


@pytest.mark.parametrize(("error", "message"), [(KeyboardInterrupt(), "Ctrl-C"), (ValueError("bad\nworse"), "bad")])
def test_recording_keeps_the_reason(tmp_path: Path, error: BaseException, message: str) -> None:
    folder = RunFolder.create(tmp_path)
    with pytest.raises(type(error)), folder.recording():
        raise error
    assert folder.status == "failed"
    assert message in folder.message
    assert "worse" not in folder.message


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "run.json", "..", "a\\b", "a\0b"])
def test_names_stay_in_the_folder(tmp_path: Path, name: str) -> None:
    folder = RunFolder.create(tmp_path)
    with pytest.raises(ValueError, match="`name`"):
        folder.write_bytes(name, b"")
    with pytest.raises(ValueError, match="`status`"):
        folder.finish("running")


def test_missing_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        RunFolder.open(tmp_path / "none")


# -- datasets --------------------------------------------------------------------------------------------


def test_odd_attributes_survive(tmp_path: Path) -> None:
    odd = {
        "on": True, "off": np.bool_(False), "none": None, "small": np.float32(0.5), "count": np.int64(3),
        "empty": "", "path": Path("a/b"), "classes": (0, 1), "flags": [True, False], "mixed": [1, "a"],
        "table": {"lr": [0.1]},
        "array": np.arange(3), "mask": np.array([True, False]), "unicode": "σ <b>\n", "nul": "a\0b",
        "surrogate": "\udc80", "steps": [np.int64(1), np.int64(2)], "nothing": [],
    }  # fmt: skip
    data = DATA.copy(deep=True)
    data.attrs = dict(odd)
    data.loss.attrs = {"log": True, "unit": None}
    folder = RunFolder.create(tmp_path)
    folder.write_dataset("data.nc", data)
    read = folder.read_dataset("data.nc")
    assert (read.attrs["on"], read.attrs["off"], read.loss.attrs) == (1, 0, {"log": 1})
    assert "none" not in read.attrs
    assert (read.attrs["small"], read.attrs["count"], read.attrs["empty"]) == (0.5, 3, "")
    assert (read.attrs["path"], read.attrs["unicode"], read.attrs["nul"]) == ("a/b", "σ <b>\n", "a\\0b")
    assert json.loads(read.attrs["table"]) == {"lr": [0.1]}
    assert json.loads(read.attrs["mixed"]) == [1, "a"]
    np.testing.assert_array_equal(read.attrs["classes"], [0, 1])
    np.testing.assert_array_equal(read.attrs["steps"], [1, 2])
    np.testing.assert_array_equal(read.attrs["mask"], [1, 0])
    assert data.attrs == odd  # the caller's dataset is left alone
    assert data.loss.attrs == {"log": True, "unit": None}


def test_attribute_without_a_form_is_named(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path)
    with pytest.raises(TypeError, match=r"dataset\.rule") as caught:
        folder.write_dataset("data.nc", DATA.assign_attrs(rule=object()))
    one_line(caught)
    with pytest.raises(TypeError, match=r"configuration\.rule"):
        folder.update(configuration={"rule": object()})


def test_shapes_that_runs_have(tmp_path: Path) -> None:
    data = xr.Dataset(
        {
            "singular_value": (("record", "layer", "mode"), np.zeros((2, 3, 0))),
            "rank": (("record", "layer"), np.zeros((2, 3), np.int32)),
            "verdict": ("record", ["holds", "σ < 2"]),
            "reached": ("record", [True, False]),
            "lr": 0.5,
        },
        coords={"record": [1, 5]},
    )
    folder = RunFolder.create(tmp_path)
    for _ in range(2):  # what was read can be written again
        folder.write_dataset("data.nc", data)
        read = folder.read_dataset("data.nc")
        xr.testing.assert_equal(read, data)
        assert {n: v.dtype.kind for n, v in read.items()} == {n: v.dtype.kind for n, v in data.items()}
        data = read


@pytest.mark.parametrize("keep", [0, 10, 100, 0.5, -1])
def test_a_damaged_dataset_is_one_line(tmp_path: Path, keep: float) -> None:
    folder = RunFolder.create(tmp_path)
    path = folder.write_dataset("data.nc", DATA)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if 0 < keep < 1 else int(keep)])
    with pytest.raises(OSError, match="damaged") as caught:
        folder.read_dataset("data.nc")
    assert str(path) in one_line(caught)
    with pytest.raises(FileNotFoundError, match=r"there is no dense\.nc"):
        folder.read_dataset("dense.nc")
