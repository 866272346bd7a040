"""The driver with an engine that only pretends: what it makes of deaths, failures, other drivers and new points."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from neural_limits.runs import to_json
from neural_limits.sweeps import Request, SweepFolder, status
from neural_limits.sweeps import _driver as module
from neural_limits.sweeps._driver import Driver, mark_damaged, retry
from neural_limits.sweeps._engine import Engine, News
from neural_limits.sweeps._execute import Ended
from neural_limits.sweeps._queue import Queue
from neural_limits.sweeps._trial import Claim, Damaged

DEAD = "00000000-1-1"  # a process of another host


class Pretended(Engine):
    """Finishes each trial at once with loss lr, unless the script says what happens to it instead."""

    def __init__(self, folder: SweepFolder, script: Callable[[str, int], str] = lambda name, count: "finished") -> None:
        self.folder, self.script = folder, script
        self.count: dict[str, int] = {}
        self.order: list[tuple[str, str]] = []
        self._news: list[News] = []
        self._busy: dict[str, str] = {}

    def idle(self) -> list[str]:
        return [slot for slot in ("a", "b") if slot not in self._busy]

    def busy(self) -> dict[str, str]:
        return self._busy

    def submit(self, slot: str, trial: str, shape: str) -> None:
        self._busy[slot] = trial
        self.order.append((slot, trial))
        count = self.count[trial] = self.count.get(trial, 0) + 1
        claim = Claim.take(self.folder.trials / trial, 0.0)
        assert claim is not None
        what = self.script(trial, count)
        if what == "died":
            claim.folder.rename(claim.trial / f"claim-{DEAD}-{count:08x}")
            self._news.append(News(slot, trial, None, DEAD, "signal SIGKILL"))
            return
        if what in ("blocked", "full"):
            claim.give("waiting" if what == "blocked" else "failed-ENOSPC")
            self._news.append(News(slot, trial, Ended(trial, "failed", what, "make it writable").plain()))
            return
        try:
            loss = self.folder.configuration(trial).lr
        except Damaged as error:
            claim.fail(str(error), "DAMAGED")
            self._news.append(News(slot, trial, Ended(trial, "failed", "failed", str(error)).plain()))
            return
        finish(claim, loss)
        self._news.append(News(slot, trial, Ended(trial, "finished", "completed", loss=loss).plain()))

    def news(self, timeout: float) -> list[News]:
        found, self._news = self._news, []
        for news in found:
            del self._busy[news.slot]
        return found

    def stop(self, grace: float) -> None: ...


def finish(claim: Claim, loss: float) -> None:
    summary = {"status": "completed", "message": "", "loss": loss, "seconds": 0.1, "steps": 1, "start": 1.0}
    claim.write("summary.json", to_json(summary))
    claim.give("completed")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAIT", 0.01)


def made(path: Path, **tables: Any) -> SweepFolder:
    folder = SweepFolder.create(path / "sweep")
    folder.add_request(Request.of(tables or {"base": {"steps": 1}, "grid": {"lr": [0.1, 0.2, 0.3], "seed": [0, 1]}}))
    return folder


def drive(folder: SweepFolder, **options: Any) -> tuple[Driver, list[str]]:
    said: list[str] = []
    driver = Driver(folder, Pretended(folder, **options), said.append)
    driver.run(lambda: None)
    return driver, said


def test_every_trial_once_and_new_points_later(tmp_path: Path) -> None:
    folder = made(tmp_path)
    driver, _ = drive(folder)
    assert set(driver.engine.count.values()) == {1}  # type: ignore[attr-defined]
    assert status(folder).counts["completed"] == 6
    assert drive(folder)[0].engine.count == {}  # type: ignore[attr-defined]
    folder.add_request(Request.of({"base": {"steps": 1}, "grid": {"lr": [0.1, 0.4], "seed": [0, 1]}}))
    driver, _ = drive(folder)
    assert len(driver.engine.count) == 2  # type: ignore[attr-defined]
    assert status(folder).counts["completed"] == 8


def test_a_dead_worker_loses_its_claim_and_the_trial_goes_on(tmp_path: Path) -> None:
    folder = made(tmp_path)
    driver, said = drive(folder, script=lambda name, count: "died" if count == 1 else "finished")
    assert set(driver.engine.count.values()) == {2}  # type: ignore[attr-defined]
    assert driver.tally.deaths == 6
    assert "goes on from its checkpoint" in said[0]
    assert status(folder).finished == 6


def test_a_trial_that_kills_its_workers_is_given_up(tmp_path: Path) -> None:
    folder = made(tmp_path)
    victim = module.name_of(folder.requests()[0].required({})[0].canonical())
    driver, _ = drive(folder, script=lambda name, count: "died" if name == victim else "finished")
    assert driver.engine.count[victim] == module.DEATHS  # type: ignore[attr-defined]
    now = status(folder)
    assert (now.counts["completed"], now.counts["failed"]) == (5, 1)
    assert "lower `width`" in now.failures[0][1]
    assert retry(folder, folder.scan()) == 1
    assert status(folder).counts["waiting"] == 1


def test_blocked_trials_are_told_and_left(tmp_path: Path) -> None:
    folder = made(tmp_path)
    driver, _ = drive(folder, script=lambda name, count: "blocked")
    assert len(driver.tally.failed) == 6
    assert set(driver.tally.failed.values()) == {"make it writable"}


def test_a_disk_that_stays_full_ends_the_sweep(tmp_path: Path) -> None:
    folder = made(tmp_path)
    with pytest.raises(OSError, match="is full; free some"):
        drive(folder, script=lambda name, count: "full")
    assert status(folder).counts["failed"] >= module.FULL
    assert "no space left to write in" in status(folder).failures[0][1]
    retry(folder, folder.scan())
    drive(folder)
    assert status(folder).finished == 6


def test_it_waits_for_trials_that_others_have_in_hand(tmp_path: Path) -> None:
    folder = made(tmp_path)
    driver = Driver(folder, Pretended(folder), lambda text: None)
    driver.plan()
    claim = Claim.take(next(folder.scan()).folder.parent, 0.0)
    assert claim is not None
    looks = []

    def observe() -> None:
        looks.append(status(folder).finished)
        if len(looks) == 20:
            finish(claim, 0.5)

    driver.run(observe)
    assert looks[10] == 5
    assert claim.trial.name not in driver.engine.count  # type: ignore[attr-defined]
    assert status(folder).finished == 6


def test_damaged_files_are_marked_and_the_others_go_on(tmp_path: Path) -> None:
    folder = made(tmp_path)
    drive(folder)
    first, second, third, *_ = folder.scan()
    (first.folder / "summary.json").write_text("{")
    (second.folder.parent / "config.json").write_text("")
    second.folder.rename(second.folder.parent / "waiting")
    (third.folder / "summary.json").unlink()
    third.folder.rename(third.folder.parent / "elsewhere")
    said: list[str] = []
    mark_damaged(folder, said.append)
    assert first.name in said[0]
    drive(folder)
    now = status(folder)
    assert (now.counts["completed"], now.counts["failed"], now.counts["damaged"]) == (3, 2, 1)
    assert all("remove" in reason for _, reason in now.failures)


def test_halving_runs_the_rungs(tmp_path: Path) -> None:
    halving = {"over": "steps", "ladder": [1, 3, 9]}
    folder = made(tmp_path, grid={"lr": [0.1 * k for k in range(1, 10)]}, halving=halving)
    drive(folder)
    trials = [folder.configuration(found.name) for found in folder.scan()]
    assert sorted((t.steps, round(t.lr, 2)) for t in trials if t.steps > 1) == [(3, 0.1), (3, 0.2), (3, 0.3), (9, 0.1)]
    again, _ = drive(folder)  # from the folder alone
    assert again.engine.count == {}  # type: ignore[attr-defined]


def test_slots_stay_with_their_shape() -> None:
    queue = Queue()
    for i in range(6):
        queue.add(f"{i}", "wide" if i % 2 else "deep")
    taken = [(slot, queue.next(slot)[1]) for slot in "abababa"[:6]]
    assert taken == [("a", "deep"), ("b", "wide")] * 3


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("mine")
    with pytest.raises(FileExistsError, match="holds no sweep"):
        SweepFolder.create(tmp_path)
    with pytest.raises(FileNotFoundError, match="holds no sweep"):
        SweepFolder.open(tmp_path)
