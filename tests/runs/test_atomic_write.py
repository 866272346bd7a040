"""A file is whole or not there, whatever ends the writing."""

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from neural_limits.runs import RunFolder, atomic_write

ROOM = Path(__file__).parents[2] / "src" / "neural_limits" / "runs"

# The room's module by itself: a child process that need not import JAX.
CHILD = f"""
import sys, types, pathlib
package = types.ModuleType("room"); package.__path__ = [{str(ROOM)!r}]; sys.modules["room"] = package
from room._atomic import atomic_write
target = pathlib.Path(sys.argv[1]) / "data.nc"
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("error", [ValueError("odd"), KeyboardInterrupt(), OSError(errno.EIO, "input/output error")])
def test_an_error_leaves_what_stood_there(tmp_path: Path, error: BaseException) -> None:
    target = tmp_path / "data.nc"
    target.write_bytes(b"old")

    def write() -> None:
        with atomic_write(target) as file:
            file.write(b"half")
            raise error

    with pytest.raises(type(error)):
        write()
    assert names(tmp_path) == ["data.nc"]
    assert target.read_bytes() == b"old"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_is_one_line(tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left to write in") as caught, atomic_write(tmp_path / "x"):
        pass
    assert caught.value.errno == number
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == []


def test_file_size_limit_stops_a_real_write(tmp_path: Path) -> None:
    code = CHILD + "with atomic_write(target) as file: file.write(bytes(1_000_000))"

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], preexec_fn=limit, capture_output=True, text=True)
    assert done.returncode == 1
    assert "no space left to write" in done.stderr.splitlines()[-1]
    assert names(tmp_path) == []


def test_a_kill_leaves_no_half_file_and_the_next_open_cleans_up(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    code = CHILD + (
        "with atomic_write(target) as file:\n"
        "    file.write(bytes(100_000)); file.flush(); print('half', flush=True)\n"
        "    import time; time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(folder.path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "half\n"
    RunFolder.open(folder.path)  # a live writer's file stays
    assert len(list(folder.path.glob("*.tmp"))) == 1
    child.send_signal(signal.SIGKILL)
    child.wait()
    left = list(folder.path.glob("*.tmp"))
    assert len(left) == 1
    assert not (folder.path / "data.nc").exists()
    RunFolder.open(folder.path)
    assert names(folder.path) == ["run.json"]


def test_only_our_own_stale_files_are_removed(tmp_path: Path) -> None:
    RunFolder.create(tmp_path)
    foreign = tmp_path / "neural-limits.00000000.1.00000000.tmp"
    for path in (foreign, tmp_path / "mine.tmp"):
        path.write_bytes(b"x")
    RunFolder.open(tmp_path)
    assert foreign.exists()  # another host may be writing it
    os.utime(foreign, (time.time() - 1e6,) * 2)
    RunFolder.open(tmp_path)
    assert names(tmp_path) == ["mine.tmp", "run.json"]
