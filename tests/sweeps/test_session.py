"""Sessions: grids one after another in one folder, each result once, and gone on with after a stop."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neural_limits as nl
from neural_limits.sweeps import Session
from neural_limits.sweeps import _session as module

BASE: dict[str, Any] = {"width": 8, "hidden": 1, "weights": "dense", "steps": 3}


def finished(out: Path) -> dict[str, float]:
    """When each trial was finished."""
    return {path.parent.name: path.stat().st_mtime_ns for path in out.glob("trials/*/completed")}


@pytest.mark.usefixtures("train_here")
def test_points_follow_from_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Path] = []
    start = module.engine_for
    monkeypatch.setattr(module, "engine_for", lambda path, options: started.append(path) or start(path, options))
    with Session(tmp_path) as session:
        assert not started
        one = session.run(BASE, {"lr": [0.2, 0.1], "seed": [0, 1]})
        two = session.run(BASE, {"lr": [0.2, 0.4], "seed": [0]})
        other = session.run(BASE | {"width": 16}, {"lr": [0.2], "seed": [0]})
    assert len(started) == 1
    assert one.final_loss.dims == two.final_loss.dims == other.final_loss.dims == ("lr", "seed")
    assert one.lr.values.tolist() == [0.1, 0.2]
    assert float(one.final_loss.sel(lr=0.2, seed=0)) == float(two.final_loss.sel(lr=0.2, seed=0))
    data = nl.open_sweep(tmp_path).data
    assert dict(data.final_loss.sizes) == {"lr": 3, "seed": 2, "width": 2}
    assert float(data.final_loss.sel(width=16, lr=0.2, seed=0)) == float(other.final_loss.item())
    assert data.status.sel(width=8, lr=0.4).values.tolist() == ["completed", "not asked"]
    before = finished(tmp_path)
    assert len(before) == 6
    with Session(tmp_path) as again:
        assert again.run(BASE, {"lr": [0.1, 0.2], "seed": [0, 1]}).identical(one)
    assert len(started) == 1  # nothing was left to train
    assert finished(tmp_path) == before


def test_workers_serve_several_grids_and_what_is_damaged_is_trained_again(tmp_path: Path) -> None:
    with Session(tmp_path, workers=1) as session:
        one = session.run(BASE, {"lr": [0.1]})
        (owner,) = session._engine._slots.values()  # type: ignore[union-attr]
        two = session.run(BASE, {"lr": [0.2]})
        assert [*session._engine._slots.values()] == [owner]  # type: ignore[union-attr]
    assert owner.process.poll() is not None
    assert float(two.final_loss[0]) < float(one.final_loss[0])
    summary = tmp_path / "trials" / str(one.trial_name.values[0]) / "completed" / "summary.json"
    summary.write_text("{")
    with Session(tmp_path, workers=1, retry_failed=True) as session:
        np.testing.assert_array_equal(session.run(BASE, {"lr": [0.1]}).loss.values, one.loss.values)


@pytest.mark.usefixtures("train_here")
def test_what_was_asked_for_is_trained_with_the_next_grid(tmp_path: Path) -> None:
    with Session(tmp_path) as session:
        one = session.run(BASE, {"lr": [0.1]})
        session.ask(BASE | {"width": 16}, {"lr": [0.1]})
        assert len(finished(tmp_path)) == 1
        assert session.run(BASE, {"lr": [0.1]}).identical(one)
        assert len(finished(tmp_path)) == 2


@pytest.mark.usefixtures("train_here")
def test_what_failed_is_said_in_the_dataset(tmp_path: Path) -> None:
    with Session(tmp_path) as session:
        found = session.run(BASE | {"activation": "x"}, {"lr": [0.1]})
    assert found.status.values.tolist() == ["failed"]
    trial = session.folder.find(str(found.trial_name.values[0]))
    assert "`activation` must be one of" in session.folder.reason(trial)
