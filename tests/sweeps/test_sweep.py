"""`nl.sweep` and `nl.open_sweep`, with an engine that trains in this process."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

import neural_limits as nl
from neural_limits.sweeps import Options, Status, SweepFolder, run

BASE = {"width": 8, "hidden": 1, "weights": "dense", "steps": 3}
pytestmark = pytest.mark.usefixtures("train_here")


def test_from_python(tmp_path: Path) -> None:
    seen: list[Status] = []
    found = nl.sweep(BASE, {"lr": np.array([0.1, 0.2]), "seed": range(2)}, out=tmp_path / "s", progress=seen.append)
    assert found.status().finished == found.status().total == 4
    assert seen
    data = nl.open_sweep(tmp_path / "s").data
    assert np.isfinite(data.final_loss).all()
    name = str(data.trial_name.sel(lr=0.2, seed=1).values)
    np.testing.assert_array_equal(found.trial(name).loss.values, data.loss.sel(lr=0.2, seed=1).values)
    assert "4 of 4" in repr(found)


def test_bad_arguments_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    for word, options in (
        ("engine", {"engine": "slurm"}),
        ("address", {"address": "auto"}),
        ("workers", {"workers": 0}),
    ):
        with pytest.raises(ValueError, match=f"`{word}`"):
            nl.sweep(BASE, {"lr": [0.1]}, out=tmp_path / "s", **options)
    assert not (tmp_path / "s").exists()


def test_a_read_only_folder_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = SweepFolder.create(tmp_path)

    def refuse(self: Path) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(OSError, match=r"cannot be written to \(Read-only file system\); make it writable") as caught:
        run(folder, Options(), print)
    assert str(tmp_path) in str(caught.value)


def test_failures_are_retried_when_asked(tmp_path: Path) -> None:
    nl.sweep(BASE | {"activation": "x"}, {"lr": [0.1]}, out=tmp_path)
    assert nl.open_sweep(tmp_path).status().counts["failed"] == 1
    nl.sweep(BASE | {"activation": "x"}, {"lr": [0.1]}, out=tmp_path)
    (log,) = tmp_path.glob("trials/*/failed/log.txt")
    assert log.read_text().count("begins") == 1
    nl.sweep(BASE | {"activation": "x"}, {"lr": [0.1]}, out=tmp_path, retry_failed=True)
    assert log.read_text().count("begins") == 2
