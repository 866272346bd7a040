"""Disks that are really full or read-only: each trial is marked or left alone, the message helps, and all can go on."""

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neural_limits as nl
from neural_limits.cli import main
from neural_limits.sweeps import SweepFolder, status
from neural_limits.sweeps import _execute as execute_module

BASE: dict[str, Any] = {"width": 8, "hidden": 1, "weights": "dense", "steps": 3}
GRID: dict[str, Any] = {"lr": [0.1, 0.2], "seed": [0, 1, 2, 3]}
SIZE = 8 * 2**20  # bytes of the small disk; a trial takes about 40,000, a page five million


def shell(*words: str) -> bool:
    return shutil.which(words[0]) is not None and subprocess.run(words, capture_output=True).returncode == 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system in memory."""
    path = tmp_path / "disk"
    path.mkdir()
    if not shell("mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(path)):
        pytest.skip("a file system cannot be mounted here: that takes the rights of an administrator")
    yield path
    shell("umount", "-l", str(path))


def fill(disk: Path, leave: int) -> Path:
    """Take all room but so many bytes."""
    ballast = disk / "ballast"
    free = shutil.disk_usage(disk).free
    ballast.write_bytes(bytes(max(free - leave, 0)))
    return ballast


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    """The losses of undisturbed runs."""
    options: dict[str, Any] = {"width": 8, "steps": 3, "weights": "dense", "dtype": "float32"}
    runs = [
        nl.train(nl.MLP(1), nl.tasks.toy(), nl.MuP(4.0), nl.SGD(lr), seed=seed, **options)
        for lr in GRID["lr"] for seed in GRID["seed"]
    ]  # fmt: skip
    return np.stack([run.data.loss.values for run in runs]).reshape(2, 4, -1)


def one_line(error: pytest.ExceptionInfo[OSError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


@pytest.mark.usefixtures("train_here")
def test_a_disk_that_fills_up_marks_its_trials_and_all_finish_once_there_is_room(
    disk: Path, expected: np.ndarray
) -> None:
    out = disk / "sweep"
    ballast = fill(disk, 150_000)
    with pytest.raises(OSError, match="is full; free some, then run again with --retry-failed") as caught:
        nl.sweep(BASE, GRID, out=out)
    assert str(out) in one_line(caught)
    now = status(SweepFolder.open(out))
    assert 0 < now.counts["completed"] < 8
    assert now.counts["failed"] >= 5
    assert now.counts["completed"] + now.counts["failed"] + now.counts["waiting"] == 8
    for name, reason in now.failures:
        assert re.fullmatch(r"no space left to write in \S+; free some, then run again with --retry-failed\.", reason)
        assert name in reason
    ended = {path.parent.name: path.stat().st_mtime_ns for path in out.glob("trials/*/completed")}
    assert main(["sweep", "report", str(out)]) == 1
    ballast.unlink()
    found = nl.sweep(BASE, GRID, out=out, retry_failed=True)
    assert found.status().counts["completed"] == 8
    np.testing.assert_array_equal(found.data.loss.values, expected)
    for name, at in ended.items():
        assert (out / "trials" / name / "completed").stat().st_mtime_ns == at
    assert main(["sweep", "report", str(out)]) == 0


@pytest.mark.usefixtures("train_here")
@pytest.mark.parametrize("leave", [0, 24_000])
def test_a_disk_without_room_for_the_trials_says_so_before_any(disk: Path, expected: np.ndarray, leave: int) -> None:
    out = disk / "sweep"
    ballast = fill(disk, leave)
    with pytest.raises(OSError, match=r"no space left to write in .*; free some, then run again") as caught:
        nl.sweep(BASE, GRID, out=out)
    assert str(out) in one_line(caught)
    assert not list(out.glob("trials/.new-*"))
    ballast.unlink()
    np.testing.assert_array_equal(nl.sweep(BASE, GRID, out=out).data.loss.values, expected)


@pytest.mark.usefixtures("train_here")
def test_a_read_only_disk_is_read_and_refused_in_one_line(
    disk: Path, expected: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    out = disk / "sweep"
    nl.sweep(BASE, GRID | {"lr": [0.1]}, out=out)
    assert shell("mount", "-o", "remount,ro", str(disk))
    refused = r"cannot be written to \(Read-only file system\); make it writable, then run again"
    with pytest.raises(OSError, match=refused) as caught:
        nl.sweep(BASE, GRID, out=out)
    assert str(out) in one_line(caught)
    with pytest.raises(OSError, match=refused):
        nl.sweep(BASE, GRID, out=disk / "another")
    assert nl.open_sweep(out).data.final_loss.shape == (1, 4)
    assert main(["sweep", "status", str(out)]) == 0
    capsys.readouterr()
    assert main(["sweep", "report", str(out)]) == 1
    assert re.fullmatch(rf"neural-limits: \S+ {refused}\.\n", capsys.readouterr().err)
    assert shell("mount", "-o", "remount,rw", str(disk))
    np.testing.assert_array_equal(nl.sweep(BASE, GRID, out=out).data.loss.values, expected)


@pytest.fixture
def immutable(tmp_path: Path) -> Iterator[Callable[[Path], None]]:
    """``immutable(folder)``: nothing can be written to it or renamed, not by root either."""
    (tmp_path / "try").mkdir()
    if not shell("chattr", "+i", str(tmp_path / "try")):
        pytest.skip("a folder cannot be made immutable here (chattr +i)")
    shell("chattr", "-i", str(tmp_path / "try"))
    made: list[str] = []

    def make(folder: Path) -> None:
        assert shell("chattr", "+i", str(folder))
        made.append(str(folder))

    yield make
    shell("chattr", "-i", *made)


@pytest.mark.usefixtures("train_here")
def test_a_trial_whose_folder_becomes_read_only_is_left_alone_and_the_others_go_on(
    tmp_path: Path, immutable: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    out, train, victims = tmp_path / "sweep", execute_module.train, []

    def trained(*arguments: Any, **options: Any) -> Any:
        run = train(*arguments, **options)
        if not victims:
            victims.append(options["checkpoint"].parent)
            immutable(victims[0])
        return run

    with monkeypatch.context() as patch:
        patch.setattr(execute_module, "train", trained)
        words = [f"--set={k}={v}" for k, v in BASE.items()]
        assert main(["sweep", "run", "--out", str(out), *words, "--vary", "lr=[0.1,0.2]", "--vary", "seed=[0,1]"]) == 1
    (victim,) = victims
    said = capsys.readouterr().err
    assert f"{victim.parent} cannot be written to (Operation not permitted); make it writable, then run again." in said
    now = status(SweepFolder.open(out))
    assert (now.counts["completed"], now.counts["running"]) == (3, 1)  # held by this process, which lives
    shell("chattr", "-i", str(victim))
    victim.rename(victim.parent / "claim-00000000-1-1-00000001")  # as if a process of long ago had held it
    os.utime(victim.parent / "claim-00000000-1-1-00000001", (0, 0))
    assert main(["sweep", "run", "--out", str(out)]) == 0
    assert status(SweepFolder.open(out)).counts["completed"] == 4


@pytest.mark.slow
def test_workers_that_may_write_no_large_file_mark_their_trials(tmp_path: Path) -> None:
    out = tmp_path / "sweep"
    code = "import sys; from neural_limits.cli import main; sys.exit(main(sys.argv[1:]))"
    words = ["sweep", "run", "--out", str(out), "--workers", "1", *(f"--set={k}={v}" for k, v in BASE.items())]
    words += ["--vary", "seed=[0,1,2]"]
    environment = {**os.environ, "PYTHONPATH": str(Path(nl.__file__).parents[1])}

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, 8_000))

    run = [sys.executable, "-c", code, *words]
    done = subprocess.run(run, env=environment, preexec_fn=limit, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.count("no space left to write in") == 3
    now = status(SweepFolder.open(out))
    assert now.counts["failed"] == 3
    assert all("free some, then run again with --retry-failed" in reason for _, reason in now.failures)
    assert subprocess.run([*run, "--retry-failed"], env=environment, capture_output=True).returncode == 0
    assert status(SweepFolder.open(out)).counts["completed"] == 3
