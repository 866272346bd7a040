"""`neural-limits simulate`: what it writes and prints, what it refuses, and how its ends are recorded."""

import errno
import os
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import tyro
from matplotlib.figure import Figure

import neural_limits as nl
from neural_limits import Muon, Schedule
from neural_limits.cli import main
from neural_limits.cli._options import command_line
from neural_limits.cli._prepare import prepare
from neural_limits.cli._simulate import Simulate
from neural_limits.runs import RunFolder

# One shape throughout, so that JAX compiles once.
SMALL = ["--width", "256", "--hidden", "1", "--steps", "6", "--dense-width", "64"]


def simulate(out: Path, *options: str) -> int:
    return main(["simulate", *SMALL, "--out", str(out), *options])


def one_line(text: str) -> str:
    assert text.startswith("neural-limits: ")
    assert text.count("\n") == 1
    return text


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, str]:
    """A run that came to its end, and what was printed."""
    out = tmp_path_factory.mktemp("runs") / "run"
    with pytest.MonkeyPatch.context() as patch:
        printed: list[str] = []
        patch.setattr("neural_limits.cli._simulation.line", printed.append)
        patch.setattr("neural_limits.cli._simulation.table", lambda *a, **_: printed.extend(map(str, a)))
        assert simulate(out, "--lr", "1", "--gamma", "8") == 0
    return RunFolder.open(out), "\n".join(printed)


@pytest.fixture
def quick_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """One small figure, where figures are not the point."""
    monkeypatch.setattr("neural_limits.reports._run_page.figures", lambda *_: {"loss": Figure(figsize=(1, 1))})


def test_a_finished_run_is_all_there(finished: tuple[RunFolder, str]) -> None:
    folder, printed = finished
    assert folder.status == "completed"
    for name in ("run.json", "data.nc", "dense.nc", "report.html", "loss.png", "outliers.png", "spectrum.png"):
        assert (folder.path / name).stat().st_size > 0
    info = folder.info()
    assert info["kind"] == "simulate"
    assert info["configuration"]["record"] == [1, 2, 3, 4, 5, 6]
    assert info["configuration"]["samples"] == 4
    assert set(info["timing"]) >= {"seconds", "record_seconds", "dense_seconds"}
    assert info["memory"]["same_width_bytes"] == 4 * 256**2
    assert info["memory"]["dense_bytes"] == 4 * 64**2
    assert info["dense"] == {"status": "completed", "message": ""}
    for word in ("status  completed", str(folder.path / "report.html"), str(folder.path / "outliers.png"), "predicted"):
        assert word in printed
    assert not list(folder.path.glob("*.tmp"))


def test_the_datasets_agree_with_the_library(finished: tuple[RunFolder, str]) -> None:
    folder, _ = finished
    data, dense = folder.read_dataset("data.nc"), folder.read_dataset("dense.nc")
    assert (data.attrs["weights"], data.attrs["width"]) == ("conditioned", 256)
    assert (dense.attrs["weights"], dense.attrs["width"]) == ("dense", 64)
    assert data.loss.dtype == np.float32  # though the tests run in float64
    assert dense.spectrum.shape == (1, 64)
    last = dense.singular_value.isel(record=-1, layer=0).values
    last = last[np.isfinite(last)]
    np.testing.assert_allclose(dense.spectrum[0, : len(last)], last, rtol=1e-4)


def test_the_recorded_command_is_the_same_run(finished: tuple[RunFolder, str]) -> None:
    info = finished[0].info()
    words = shlex.split(info["command"])
    assert words[:2] == ["neural-limits", "simulate"]
    again = tyro.cli(Simulate, args=words[2:], config=(tyro.conf.FlagCreatePairsOff,))
    assert command_line("simulate", prepare(again).options) == info["command"]


def test_an_option_that_is_false_by_choice_stays_in_the_command() -> None:
    given = Simulate(optimizer="muon", nesterov=False, warmup=2, lr=0.1, steps=6)
    words = shlex.split(command_line("simulate", prepare(given).options))[2:]
    again = prepare(tyro.cli(Simulate, args=words, config=(tyro.conf.FlagCreatePairsOff,)))
    assert again.optimizer == Muon(0.1, nesterov=False, schedule=Schedule(2))
    assert again.options.tolerance == 1e-3


@pytest.mark.usefixtures("quick_figures")
def test_report_rebuilds_from_data_alone(
    tmp_path: Path, finished: tuple[RunFolder, str], capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("run.json", "data.nc", "dense.nc"):
        shutil.copy(finished[0].path / name, copy)
    assert main(["report", str(copy)]) == 0
    assert (copy / "loss.png").exists()
    assert "toy: mlp of width 256" in (copy / "report.html").read_text()
    assert str(copy / "report.html") in capsys.readouterr().out


@pytest.mark.usefixtures("quick_figures")
def test_divergence_is_a_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(tmp_path / "run", "--lr", "1e4") == 0
    folder = RunFolder.open(tmp_path / "run")
    assert folder.status == "diverged"
    assert "lower `lr`" in folder.message
    assert "spectrum" not in folder.read_dataset("dense.nc")
    out = capsys.readouterr().out
    assert "status  diverged: " in out
    assert "dense   diverged: " in out
    assert "diverged" in (folder.path / "report.html").read_text()


@pytest.mark.usefixtures("quick_figures")
def test_an_exhausted_rank_is_a_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from neural_limits.cli import _simulation

    train, given = _simulation.train, {}

    def exhausted(*arguments: Any, **options: Any) -> Any:
        given.update(options)
        return replace(train(*arguments, **options), status="rank_exhausted", message="raise `memory`.")

    monkeypatch.setattr(_simulation, "train", exhausted)
    assert simulate(tmp_path / "run", "--memory", "0.5", "--dense-width", "0") == 0
    assert given["memory"] == 2**29
    assert RunFolder.open(tmp_path / "run").status == "rank_exhausted"
    assert "status  rank_exhausted: raise `memory`." in capsys.readouterr().out


@pytest.mark.slow  # compiles again
def test_dense_weights_alone_in_float64(tmp_path: Path) -> None:
    before = jax.config.jax_enable_x64
    with jax.enable_x64(False):
        options = ["--weights", "dense", "--dtype", "float64", "--width", "32", "--hidden", "1", "--steps", "3"]
        assert main(["simulate", *options, "--out", str(tmp_path / "run")]) == 0
        assert not jax.config.jax_enable_x64
    assert jax.config.jax_enable_x64 == before
    folder = RunFolder.open(tmp_path / "run")
    data = folder.read_dataset("data.nc")
    assert data.loss.dtype == np.float64
    assert data.spectrum.shape == (1, 32)
    assert not folder.has("dense.nc")


# -- refusals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--width", "0"], "width"),
        (["--steps", "-1"], "steps"),
        (["--hidden", "-1"], "hidden"),
        (["--activation", "tan"], "Did you mean 'tanh'"),
        (["--lr", "0"], "lr"),
        (["--lr", "nan"], "lr"),
        (["--gamma", "0"], "gamma"),
        (["--momentum", "1"], "momentum"),
        (["--optimizer", "adam"], "--weights dense"),
        (["--optimizer", "adam", "--weights", "dense", "--momentum", "0.9"], "momentum"),
        (["--nesterov", "True"], "momentum"),
        (["--warmup", "7"], "warmup"),
        (["--optimizer", "muon", "--curvature"], "muon has no fixed metric"),
        (["--tolerance", "1e-9"], "tolerance"),
        (["--memory", "-1"], "memory"),
        (["--batch", "5"], "batch"),
        (["--record", "7"], "record"),
        (["--dense-width", "257"], "dense_width"),
        (["--seed", "-1"], "seed"),
        (["--samples", "0"], "samples"),
        (["--devices", "4096"], "`devices` must not exceed"),
        (["--classes", "0,1"], "classes"),
        (["--task", "digits", "--inputs", "3"], "inputs"),
        (["--task", "digits", "--classes", "0,0"], "twice"),
        (["--task", "digits", "--data-folder", "x"], "data_folder"),
    ],
)
def test_bad_values_are_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], word: str
) -> None:
    assert simulate(tmp_path / "run", *options) == 2
    assert word in one_line(capsys.readouterr().err)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("options", [["--width", "many"], ["--task", "tyo"], ["--classes", "0,x"], ["--nothing", "1"]])
def test_words_that_cannot_be_read_are_bad_usage(tmp_path: Path, options: list[str]) -> None:
    assert simulate(tmp_path / "run", *options) == 2
    assert not (tmp_path / "run").exists()


def test_missing_data_is_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NEURAL_LIMITS_DATA", raising=False)
    assert simulate(tmp_path / "run", "--task", "cifar10") == 1
    assert "CIFAR-10 was not found" in one_line(capsys.readouterr().err)
    assert not (tmp_path / "run").exists()


def test_devices_are_for_the_run_and_not_for_the_one_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int | None] = []

    def train(*_: Any, devices: int | None, weights: str, **options: Any) -> Any:
        seen.append(devices)
        if weights == "dense":
            raise OSError("seen enough")
        return nl.train(nl.MLP(0), nl.tasks.toy(), width=8, steps=0, weights="dense")

    monkeypatch.setattr("neural_limits.cli._simulation.train", train)
    assert simulate(tmp_path / "run", "--devices", "1") == 1
    assert seen == [1, None]


def test_weights_that_cannot_fit_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(tmp_path / "run", "--width", "3000000", "--dense-width", "3000000") == 1
    assert "out of memory" in one_line(capsys.readouterr().err)


def test_an_earlier_run_is_kept_unless_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], finished: tuple[RunFolder, str]
) -> None:
    folder, _ = finished
    before = sorted(path.name for path in folder.path.iterdir())
    assert simulate(folder.path) == 1
    assert "--overwrite" in one_line(capsys.readouterr().err)
    assert simulate(folder.path, "--overwrite", "--lr", "-1") == 2  # refused before anything is removed
    assert sorted(path.name for path in folder.path.iterdir()) == before
    assert folder.status == "completed"


# -- ends that nobody wished for ---------------------------------------------------------------------------


def test_ctrl_c_is_recorded_and_what_was_done_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from neural_limits.cli import _simulation

    train = _simulation.train

    def interrupted(*arguments: Any, **options: Any) -> Any:
        if options["weights"] == "dense":
            options["progress"](3, 6, 0.5)
            raise KeyboardInterrupt
        return train(*arguments, **options)

    monkeypatch.setattr(_simulation, "train", interrupted)
    assert simulate(tmp_path / "run") == 1
    assert "interrupted by Ctrl-C" in capsys.readouterr().err.splitlines()[-1]
    folder = RunFolder.open(tmp_path / "run")
    assert (folder.status, folder.message) == (
        "failed",
        "interrupted by Ctrl-C at step 3 of 6 of dense weights, width 64",
    )
    assert folder.read_dataset("data.nc").attrs["status"] == "completed"


def test_a_full_disk_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from neural_limits.cli import _simulation

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def disk_fills_up(*_: Any, **__: Any) -> Any:
        monkeypatch.setattr(os, "fsync", full)
        RunFolder(tmp_path / "run").update(seed=0)

    monkeypatch.setattr(_simulation, "train", disk_fills_up)
    assert simulate(tmp_path / "run") == 1
    assert "no space left" in one_line(capsys.readouterr().err)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["run.json"]


@pytest.mark.usefixtures("quick_figures")
def test_warnings_are_single_lines_and_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import warnings

    from neural_limits.cli import _simulation

    train = _simulation.train

    def warned(*arguments: Any, **options: Any) -> Any:
        warnings.warn("a dense matrix is likely cheaper", stacklevel=2)
        return train(*arguments, **options)

    monkeypatch.setattr(_simulation, "train", warned)
    assert simulate(tmp_path / "run", "--dense-width", "0") == 0
    assert "neural-limits: warning: a dense matrix is likely cheaper\n" in capsys.readouterr().err
    assert RunFolder.open(tmp_path / "run").info()["warnings"] == ["a dense matrix is likely cheaper"]
    assert "Warning: a dense matrix" in (tmp_path / "run" / "report.html").read_text()


def test_default_widths_of_the_dense_network() -> None:
    assert prepare(Simulate()).dense_width == 1024
    assert prepare(Simulate(width=100)).dense_width == 100
    assert prepare(Simulate(width=100, weights="dense")).dense_width == 0
    assert prepare(Simulate(parametrization="standard")).dense_width == 0
    assert prepare(Simulate(parametrization="standard", width=2000)).dense_width == 2000
    digits = prepare(Simulate(task="digits", classes=(0, 1)))
    assert (digits.task.samples, digits.task.outputs) == (20, 1)


def test_curvature_is_recorded_and_drawn(tmp_path: Path) -> None:
    out = tmp_path / "run"
    options = ["--weights", "dense", "--width", "16", "--hidden", "1", "--steps", "2", "--record", "0,2"]
    assert main(["simulate", *options, "--curvature", "--lr", "0.5", "--out", str(out)]) == 0
    folder = RunFolder.open(out)
    data = folder.read_dataset("data.nc")
    assert data.leading_curvature.dims == ("record", "kind")
    assert data.kind.values.tolist() == ["gauss_newton", "hessian"]
    assert np.isfinite(data.leading_curvature).all()
    assert float(data.stability_limit) == 4.0
    assert folder.has("curvature.png")
    adam = [*options, "--curvature", "--optimizer", "adam", "--out", str(tmp_path / "adam")]
    assert main(["simulate", *adam]) == 2
