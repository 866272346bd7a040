"""`neural-limits sweep`, with real workers: run, status, new points, retry; and what is refused."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import neural_limits as nl
from neural_limits.cli import main
from neural_limits.cli._live import live_status
from neural_limits.sweeps import Status, SweepFolder, status
from neural_limits.sweeps._status import Running

BASE = ["--set", "width=16", "--set", "hidden=1", "--set", "weights=dense", "--set", "steps=4", "--workers", "1"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four trials, two of which are wrong, then two more points."""
    out = tmp_path_factory.mktemp("sweeps") / "sweep"
    assert (
        main(["sweep", "run", "--out", str(out), *BASE, "--vary", "lr=[0.1,0.3]", "--vary", "activation=['relu','x']"])
        == 1
    )
    assert main(["sweep", "run", "--out", str(out), *BASE, "--vary", "lr=[0.1,1e6]", "--set", "activation=relu"]) == 1
    return out


def test_results_are_those_of_train(finished: Path) -> None:
    data = nl.open_sweep(finished).data
    assert dict(data.final_loss.sizes) == {"lr": 3, "activation": 2}
    found = data.status.sel(activation="relu").values.tolist()
    assert found == ["completed", "completed", "diverged"]
    assert data.status.sel(activation="x").values.tolist() == ["failed", "failed", "not asked"]
    options: dict[str, Any] = {"width": 16, "steps": 4, "weights": "dense", "dtype": "float32"}
    run = nl.train(nl.MLP(1, "relu"), nl.tasks.toy(), nl.MuP(4.0), nl.SGD(0.3), **options)
    np.testing.assert_allclose(data.loss.sel(lr=0.3, activation="relu"), run.data.loss, rtol=1e-5)
    assert not list((finished / "trials").glob("*/*/checkpoint"))


def test_status_says_what_failed_and_why(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "status", str(finished)]) == 0
    out = capsys.readouterr().out
    for word in ("3 of 5 trials finished", "2 completed", "1 diverged", "2 failed", "`activation` must be one of"):
        assert word in out
    assert main(["sweep", "status", str(finished), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["total"], found["finished"], found["counts"]["failed"]) == (5, 3, 2)


def test_the_live_table_shows_what_is_in_hand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = SweepFolder.create(tmp_path / "sweep")
    counts = dict(status(folder).counts) | {"completed": 5, "waiting": 4, "running": 1}
    now = Status(counts, 2.0, 150.0, (Running("0badcafe", "host-12-1", 30, 100, 0.25),), ())
    monkeypatch.setattr("neural_limits.sweeps.status", lambda folder: now)
    screen = io.StringIO()
    monkeypatch.setattr("rich.console.Console", partial(Console, file=screen, force_terminal=True, width=100))
    with live_status(folder) as (observe, tell):
        observe()
        tell("a worker died")
    shown = screen.getvalue()
    for word in ("5 completed", "4 waiting", "2 a minute", "2 min remaining", "0badcafe", "30 of 100", "0.25"):
        assert word in shown


@pytest.mark.parametrize(
    ("words", "word", "code"),
    [
        (["missing.toml"], "missing.toml", 1),
        (["--vary", "lr"], "expected FIELD=VALUE", 2),
        (["--vary", "lr=[0.1"], "expected a value as in TOML", 2),
        (["--vary", "lrs=[1]"], "Did you mean 'lr'", 2),
        (["--set", "width=8.5"], "`width` must be a whole number", 2),
        (["--set", "width=8", "--gpus", "1"], "--engine ray", 2),
        (["--set", "width=8", "--workers", "0"], "`workers` must be at least 1", 2),
        ([], "holds no sweep", 1),
    ],
)
def test_bad_words_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], word: str, code: int
) -> None:
    assert main(["sweep", "run", "--out", str(tmp_path / "sweep"), *words]) == code
    said = capsys.readouterr().err
    assert word in said
    assert said.count("\n") == 1
    assert not (tmp_path / "sweep").exists()


def test_a_file_that_is_no_toml_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "grid.toml").write_text("[grid\n")
    assert main(["sweep", "run", str(tmp_path / "grid.toml"), "--out", str(tmp_path / "sweep")]) == 2
    assert "is no TOML file" in capsys.readouterr().err


@pytest.mark.slow
def test_ctrl_c_keeps_a_checkpoint_and_the_next_run_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "sweep"
    words = ["sweep", "run", "--out", str(out), *BASE, "--set", "width=256", "--set", "steps=40000"]
    words += ["--set", "lr=0.001", "--checkpoint-every", "500"]
    # A shell may have started the tests with SIGINT ignored, which children inherit.
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code += "from neural_limits.cli import main; sys.exit(main(sys.argv[1:]))"
    root = str(Path(nl.__file__).parents[1])
    driver = subprocess.Popen(
        [sys.executable, "-c", code, *words], env={**os.environ, "PYTHONPATH": root}, stderr=subprocess.PIPE, text=True
    )
    while not list(out.glob("trials/*/claim-*/checkpoint")):
        assert driver.poll() is None
        time.sleep(0.05)
    driver.send_signal(signal.SIGINT)
    assert driver.wait(timeout=60) == 1
    assert "to go on" in driver.stderr.read()  # type: ignore[union-attr]
    folder = SweepFolder.open(out)
    assert status(folder).counts["waiting"] == 1
    assert list(out.glob("trials/*/waiting/checkpoint"))
    assert main(words) == 0
    (log,) = out.glob("trials/*/completed/log.txt")
    begins = [int(line.rpartition(" ")[2]) for line in log.read_text().splitlines() if " from step " in line]
    assert begins[0] == 0
    assert begins[1] > 0
