"""The smaller commands: experiments, report, doctor, versions and help."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import xarray as xr
from matplotlib.figure import Figure

import neural_limits as nl
from neural_limits.cli import main
from neural_limits.experiments import Experiment, Result, Verdict
from neural_limits.experiments._experiment import Context
from neural_limits.runs import RunFolder


def sample(quick: bool, say: Callable[[str], None]) -> Result:
    say("half way")
    row = Verdict("slopes are 2", "[1] § 3", "2.0 ± 0.1", "in [1, 3]", "holds")
    data = xr.Dataset({"slope": ("seed", [1.9, 2.1])}, attrs={"quick": quick})
    return Result(data, [row], {"slope": Figure(figsize=(1, 1))}, {"slope": "Slopes by seed."})


def broken(quick: bool, say: Callable[[str], None]) -> Result:
    raise ValueError("no root\nin the interval")


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    known = {
        name: Experiment(name, "the claim", "the source", 0.5, 90, function)
        for name, function in (("slopes", sample), ("broken", broken))
    }
    monkeypatch.setattr("neural_limits.experiments.registry", lambda: known)
    monkeypatch.chdir(tmp_path)


def test_experiments_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["experiments"]) == 0
    out = capsys.readouterr().out
    for word in ("slopes", "the claim", "the source", "30 s", "1.5 h"):
        assert word in out


def test_an_experiment_leaves_data_verdict_and_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["experiment", "slopes", "--quick", "--out", "here"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("slopes: about 30 s")  # before it starts
    assert "in [1, 3]" in out  # not read as markup
    assert "half way" in err
    folder = RunFolder.open("here")
    info = folder.info()
    assert folder.status == "completed"
    assert folder.read_dataset("data.nc").attrs["quick"] == 1
    assert info["verdict"][0]["verdict"] == "holds"
    assert info["captions"] == {"slope": "Slopes by seed."}
    assert info["command"] == "neural-limits experiment slopes --quick"
    page = (folder.path / "report.html").read_text()
    for word in ("Experiment slopes", "the claim", "Slopes by seed.", "image/png"):
        assert word in page
    (folder.path / "report.html").unlink()
    assert main(["report", "here"]) == 0
    assert (folder.path / "report.html").read_text() == page


def test_an_experiment_chooses_a_new_folder() -> None:
    assert main(["experiment", "slopes"]) == 0
    assert main(["experiment", "slopes"]) == 0
    assert len(list(Path("runs").glob("experiment-slopes-*/report.html"))) == 2


def test_an_experiment_that_was_stopped_goes_on_from_its_trials(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found: list[list[str]] = []

    def grid(quick: bool, context: Context) -> Result:
        context.sweeps.mkdir(exist_ok=True)
        found.append(sorted(path.name for path in context.sweeps.iterdir()))
        (context.sweeps / f"trial-{len(found)}").mkdir()
        assert context.workers == 2
        if len(found) in (1, 2):
            raise KeyboardInterrupt
        return sample(quick, context)

    known = {"grid": Experiment("grid", "the claim", "the source", 0.5, 90, grid)}
    monkeypatch.setattr("neural_limits.experiments.registry", lambda: known)
    words = ["experiment", "grid", "--out", "here", "--workers", "2"]
    assert main(words) == 1
    assert RunFolder.open("here").status == "failed"
    assert main([*words, "--quick"]) == 1  # another experiment
    assert "--overwrite" in capsys.readouterr().err
    assert main(words) == 1
    assert main(words) == 0
    assert "grid: goes on from what here holds" in capsys.readouterr().out
    assert main(words) == 1  # it is done
    assert main([*words, "--overwrite"]) == 0
    assert found == [[], ["trial-1"], ["trial-1", "trial-2"], []]
    assert main([*words, "--workers", "0", "--overwrite"]) == 2
    assert "`workers` must be at least 1" in capsys.readouterr().err


def test_from_python_an_experiment_keeps_its_trials_where_it_is_told(tmp_path: Path) -> None:
    seen: list[Context] = []
    one = Experiment("one", "the claim", "the source", 1, 2, lambda quick, c: seen.append(c) or sample(quick, c))
    one.run(True, print, tmp_path / "kept", 3)
    one.run(True, print)
    assert (seen[0].sweeps, seen[0].workers) == (tmp_path / "kept", 3)
    assert not seen[1].sweeps.exists()  # a temporary folder, gone by now


def test_unknown_experiment_names_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["experiment", "slope"]) == 2
    assert "'slopes', 'broken'; got 'slope'. Did you mean 'slopes'?" in capsys.readouterr().err


def test_a_failed_experiment_is_one_line_and_its_traceback_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["experiment", "broken", "--out", "here"]) == 1
    assert capsys.readouterr().err == "neural-limits: the experiment broken failed: no root\n"
    folder = RunFolder.open("here")
    assert folder.status == "failed"
    assert "in broken" in folder.info()["traceback"]


@pytest.mark.parametrize("content", [None, "", '{"status": "completed"}'])
def test_report_of_what_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None) -> None:
    assert main(["report", "nowhere"]) == 1
    Path("folder").mkdir()
    if content is not None:
        Path("folder", "run.json").write_text(content)
    assert main(["report", "folder"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("neural-limits: ") for line in lines)


def test_doctor_lists_what_is_here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEURAL_LIMITS_DATA", raising=False)
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    for word in ("python", "jax", "device", "memory", "torch", "ray", "plotly", "digits", "fashion-mnist", "cifar-10"):
        assert word in out


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"neural-limits {nl.__version__}\n"
    for arguments in (["--help"], ["simulate", "--help"], ["experiment", "--help"]):
        assert main(arguments) == 0
    assert main([]) == 2
    assert main(["simulat"]) == 2


def test_bugs_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    fault = Experiment("slopes", "", "", 1, 1, lambda quick, say: SimpleNamespace())  # type: ignore[arg-type,return-value]
    monkeypatch.setattr("neural_limits.experiments.registry", lambda: {"slopes": fault})
    with pytest.raises(AttributeError):
        main(["experiment", "slopes", "--out", "here"])
    assert RunFolder.open("here").status == "failed"
