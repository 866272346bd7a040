"""Claims: one winner, the dead are found, who lost a trial can write nothing."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from neural_limits.sweeps import Configuration
from neural_limits.sweeps import _trial as trial
from neural_limits.sweeps._owner import lives, this_owner
from neural_limits.sweeps._trial import Claim, ClaimLost, Damaged, baton, create, read_configuration


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / create(tmp_path, Configuration(width=8))


def dead_owner() -> str:
    """Of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    host, _, _ = this_owner().split("-")
    start = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19]
    owner = f"{host}-{process.pid}-{start}"
    assert lives(owner) is True
    process.kill()
    while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.01)
    assert lives(owner) is False  # though it is still in the table of processes
    process.wait()
    return owner


def test_a_trial_is_made_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: create(tmp_path, Configuration(width=8)), range(32)))
    assert len(set(found)) == 1
    assert [p.name for p in tmp_path.iterdir()] == found[:1]
    assert read_configuration(tmp_path / found[0]).width == 8


def test_a_claim_has_one_winner(tmp_path: Path) -> None:
    folders = [tmp_path / create(tmp_path, Configuration(seed=i)) for i in range(40)]
    with ThreadPoolExecutor(16) as pool:
        claims = list(pool.map(lambda i: Claim.take(folders[i % 40], 0.0), range(640)))
    won = [claim.trial for claim in claims if claim is not None]
    assert sorted(won) == sorted(folders)


def test_a_dead_holder_is_found_at_once_and_one_takes_over(folder: Path) -> None:
    (folder / "waiting").rename(folder / f"claim-{dead_owner()}-00000000")
    with ThreadPoolExecutor(16) as pool:
        claims = [c for c in pool.map(lambda _: Claim.take(folder, time.time()), range(64)) if c is not None]
    assert len(claims) == 1
    assert baton(folder).owner == this_owner()


def test_another_process_of_the_same_number_is_not_the_holder(folder: Path) -> None:
    host, pid, _ = this_owner().split("-")
    (folder / "waiting").rename(folder / f"claim-{host}-{pid}-1-00000000")
    assert Claim.take(folder, time.time()) is not None


def test_on_another_host_only_the_heartbeat_tells(folder: Path) -> None:
    claimed = folder / "claim-00000000-1-1-00000000"
    (folder / "waiting").rename(claimed)
    now = claimed.stat().st_mtime
    assert Claim.take(folder, now + trial.STALE - 1) is None
    os.utime(claimed, (now + 50, now + 50))
    assert Claim.take(folder, now + trial.STALE + 1) is None
    claim = Claim.take(folder, now + 50 + trial.STALE + 1)
    assert claim is not None
    assert claim.folder.stat().st_mtime > now - 1  # taken over with a fresh heartbeat


def test_who_lost_a_trial_can_write_nothing(folder: Path) -> None:
    first = Claim.take(folder, 0.0)
    assert first is not None
    second_name = folder / "claim-00000000-1-1-00000001"  # suspended meanwhile, and taken over from another host
    first.folder.rename(second_name)
    (second_name / "log.txt").write_text("second\n")
    with pytest.raises(ClaimLost):
        first.beat("1 2 0.5")
    with pytest.raises(FileNotFoundError):
        first.write("data.nc", b"late")
    first.log("late")
    for state in ("completed", "waiting", "failed"):
        with pytest.raises(ClaimLost):
            first.give(state)
    assert sorted(p.name for p in second_name.iterdir()) == ["log.txt"]
    assert (second_name / "log.txt").read_text() == "second\n"
    assert sorted(p.name for p in folder.iterdir()) == [second_name.name, "config.json"]


def test_a_finished_trial_is_not_taken(folder: Path) -> None:
    claim = Claim.take(folder, 0.0)
    assert claim is not None
    claim.give("diverged")
    assert baton(folder).state == "diverged"
    assert Claim.take(folder, 1e18) is None


def test_damaged_folders_are_one_line(folder: Path) -> None:
    (folder / "config.json").write_text("{")
    with pytest.raises(Damaged, match=r"is damaged; remove the folder"):
        read_configuration(folder)
    (folder / "config.json").write_text('{"width": 9}')
    with pytest.raises(Damaged, match="not what the folder is named by"):
        read_configuration(folder)
    (folder / "waiting").rmdir()
    with pytest.raises(Damaged, match="nothing in it says how the trial stands"):
        baton(folder)
