"""One trial in this process: its result is `train`'s, and every bad end is marked with what to do."""

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neural_limits as nl
from neural_limits.runs import read_netcdf
from neural_limits.sweeps import Configuration, SweepFolder
from neural_limits.sweeps import _execute as module
from neural_limits.sweeps._execute import Ended, execute
from neural_limits.sweeps._trial import create

SMALL: dict[str, Any] = {"width": 16, "hidden": 1, "weights": "dense", "steps": 12}


@pytest.fixture
def sweep(tmp_path: Path) -> SweepFolder:
    return SweepFolder.create(tmp_path / "sweep")


def trial(sweep: SweepFolder, **fields: Any) -> Path:
    return sweep.trials / create(sweep.trials, Configuration.of(SMALL | fields))


def train(folder: Path, stop: Any = lambda: False, every: int | None = None) -> Ended:
    return execute(folder, 0.0, stop, every)


def test_a_trial_is_the_run_that_its_configuration_says(sweep: SweepFolder) -> None:
    folder = trial(sweep, lr=0.1, seed=3, record=[12], momentum=0.5)
    ended = train(folder)
    assert (ended.what, ended.status) == ("finished", "completed")
    options = {k: SMALL[k] for k in ("width", "weights", "steps")}
    run = nl.train(
        nl.MLP(1), nl.tasks.toy(), nl.MuP(4.0), nl.SGD(0.1, 0.5), **options, seed=3, record=(12,), dtype="float32"
    )
    data = read_netcdf(folder / "completed" / "data.nc")
    for name in run.data.variables:
        np.testing.assert_array_equal(data[name].values, run.data[name].values)
    assert ended.loss == float(run.data.loss[-1])
    assert sorted(p.name for p in (folder / "completed").iterdir()) == [
        "data.nc",
        "log.txt",
        "loss.npy",
        "summary.json",
    ]
    assert sweep.summary(sweep.find(folder.name))["loss"] == ended.loss
    assert train(folder).what == "taken"


def test_residual_networks_have_their_depth(sweep: SweepFolder) -> None:
    fields = {"network": "resnet", "depth": 3, "parametrization": "depth-mup", "steps": 2, "lr": 0.1, "width": 8}
    configuration = Configuration.of({"weights": "dense"} | fields)
    folder = sweep.trials / create(sweep.trials, configuration)
    assert train(folder).status == "completed"
    data = read_netcdf(folder / "completed" / "data.nc")
    assert (data.attrs["depth"], data.attrs["parametrization"]) == (3, "DepthMuP")


def test_divergence_is_a_result(sweep: SweepFolder) -> None:
    ended = train(trial(sweep, lr=1e4))
    assert (ended.what, ended.status, ended.loss) == ("finished", "diverged", float("inf"))


def test_a_stopped_trial_goes_on_to_the_bit(sweep: SweepFolder) -> None:
    whole, parts = trial(sweep, seed=1), trial(sweep, seed=1, memory=1.0)
    assert whole == parts
    train(whole)
    expected = (whole / "completed" / "loss.npy").read_bytes()
    (whole / "completed").rename(whole / "waiting")
    for file in (whole / "waiting").iterdir():
        file.unlink()
    looks = iter([False, True])
    assert train(parts, lambda: next(looks)).what == "stopped"
    assert sweep.find(parts.name).state == "waiting"
    assert train(parts).what == "finished"
    assert (parts / "completed" / "loss.npy").read_bytes() == expected
    log = (parts / "completed" / "log.txt").read_text()
    assert "from step 0" in log
    assert "from step 5" in log


def test_a_damaged_checkpoint_is_discarded_loudly(sweep: SweepFolder) -> None:
    folder = trial(sweep)
    (folder / "waiting" / "checkpoint").write_bytes(b"not a checkpoint")
    assert train(folder).status == "completed"
    assert "DISCARDED its checkpoint, begins anew" in (folder / "completed" / "log.txt").read_text()


def test_what_cannot_be_run_is_marked_with_the_reason(sweep: SweepFolder) -> None:
    folder = trial(sweep, activation="tan")
    ended = train(folder)
    assert ended.what == "failed"
    assert "Did you mean 'tanh'" in ended.message
    found = sweep.find(folder.name)
    assert (found.state, sweep.error(found)) == ("failed", ended.message)
    assert sweep.retry(found)
    assert sweep.find(folder.name).state == "waiting"


def test_a_full_disk_marks_the_trial_though_nothing_can_be_written(
    sweep: SweepFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = trial(sweep)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        ended = train(folder, every=4)
    assert ended.what == "failed"
    assert "no space left" in ended.message
    assert "--retry-failed" in ended.message
    found = sweep.find(folder.name)
    assert found.folder.name == "failed-ENOSPC"
    (found.folder / "error.json").unlink(missing_ok=True)
    assert "no space left" in sweep.error(found)
    sweep.retry(found)
    assert train(folder).status == "completed"


def test_a_folder_that_cannot_be_written_to_is_left_alone(sweep: SweepFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = trial(sweep)

    def refuse(*_: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(folder))

    with monkeypatch.context() as patch:
        patch.setattr(os, "utime", refuse)
        ended = train(folder)
    assert (ended.what, ended.status) == ("failed", "blocked")
    assert "make it writable" in ended.message
    assert sweep.find(folder.name).state == "waiting"


def test_a_damaged_configuration_is_marked(sweep: SweepFolder) -> None:
    folder = trial(sweep)
    (folder / "config.json").write_text("{")
    ended = train(folder)
    assert "remove the folder" in ended.message
    assert sweep.find(folder.name).folder.name == "failed-DAMAGED"


def test_a_worker_that_lost_its_trial_notices(sweep: SweepFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, train_ = trial(sweep), module.train

    def stolen(*arguments: Any, **options: Any) -> Any:
        run = train_(*arguments, **options)
        sweep.find(folder.name).folder.rename(folder / "claim-00000000-1-1-00000001")
        return run

    monkeypatch.setattr(module, "train", stolen)
    assert train(folder).what == "lost"
    assert not (folder / "completed").exists()
    assert not (folder / "claim-00000000-1-1-00000001" / "summary.json").exists()
