"""The page of a sweep: right numbers, what is missing said, harmless whatever the names, small for many trials."""

import builtins
import io
import json
import math
import re
import shutil
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import neural_limits as nl
from neural_limits.cli import main
from neural_limits.reports import write_sweep_report
from neural_limits.runs import to_json, to_netcdf
from neural_limits.sweeps import Request, SweepFolder
from neural_limits.sweeps._configuration import Configuration, name_of

pytest.importorskip("plotly", reason="plotly is not installed: pip install 'neural-limits[report]'")

ODD = "<script>alert('x')</script>\"><img src=http://x.test/a onerror=alert(1)>&</select>"
Loss = Callable[[Configuration], float]


def parabola(trial: Configuration) -> float:
    """Least at lr = 0.1 for every width and seed; 4 % between seeds; diverges above 1."""
    return math.exp(math.log(trial.lr / 0.1) ** 2) * 1.04**trial.seed if trial.lr <= 1 else math.inf


def make(path: Path, tables: dict[str, Any], loss: Loss = parabola, states: tuple[str, ...] = ()) -> Path:
    """A sweep as its workers leave it; the last trials are left in ``states``, one each."""
    folder = SweepFolder.create(path)
    folder.add_request(Request.of(tables))
    trials = Request.of(tables).required({})
    curve = {n: io.BytesIO() for n in {t.steps for t in trials}}
    for n, file in curve.items():
        np.save(file, np.geomspace(1.0, 0.1, n + 1))
    for i, trial in enumerate(trials):
        late = i - (len(trials) - len(states))
        value = loss(trial)
        state = states[late] if late >= 0 else "completed" if math.isfinite(value) else "diverged"
        canonical = trial.canonical()
        home = folder.trials / name_of(canonical)
        (home / state).mkdir(parents=True)
        (home / "config.json").write_bytes(to_json(canonical))
        if state == "failed":
            (home / state / "error.json").write_bytes(to_json({"message": f"the reason {ODD}"}))
        elif state != "waiting":
            message = "the loss grew" if state == "diverged" else ""
            (home / state / "summary.json").write_bytes(to_json({"loss": value, "message": message, "seconds": 1.0}))
            (home / state / "loss.npy").write_bytes(curve[trial.steps].getvalue())
    return path


class Page(HTMLParser):
    """Elements, tables, and text outside scripts; every element closed that must be."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.said, self.rows, self.scripts = "", [[""]], [""]
        self.whole = path.read_text(encoding="utf-8")
        self.feed(self.whole)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
            return
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data
        self.said += data

    @property
    def figures(self) -> dict[str, Any]:
        """What plotly is given, by figure."""
        return {found["name"]: found for found in json.loads(self.scripts[1])}

    @property
    def words(self) -> str:
        return " ".join(self.said.split())


def report(path: Path) -> Page:
    return Page(write_sweep_report(path).page)


GRID = {"width": [64, 128], "lr": [0.01, 0.1, 1.0, 10.0], "seed": [0, 1]}


def test_best_rates_slopes_and_figures_are_those_of_the_data(tmp_path: Path) -> None:
    make(tmp_path, {"base": {"steps": 8}, "grid": GRID})
    page = report(tmp_path)
    assert "finished: 16 of 16 trials have a result." in page.words
    assert ["64", "0.1", "grid point"] in page.rows
    assert ["best rate", "width", "0", ""] in page.rows
    loss = page.figures["final-loss"]["views"][""]
    line = loss[0]
    assert (line["name"], line["x"]) == ("width 64", [0.01, 0.1, 1.0, 10.0])
    middle = math.exp(math.log(10) ** 2)
    np.testing.assert_allclose(line["y"][:3], np.array([middle, 1.0, middle]) * 1.04**0.5, rtol=1e-5)
    np.testing.assert_allclose((line["low"][1], line["high"][1]), (1.0, 1.04), rtol=1e-5)
    assert line["y"][3] is None
    assert line["notes"][3] == "0 of 2 trials, 2 diverged"
    marks = [series for series in loss if series["look"] == "diverged"]
    assert [series["x"] for series in marks] == [[10.0], [10.0]]
    assert marks[0]["y"][0] > max(line["y"][:3])
    best = page.figures["best-rate"]["views"][""][0]
    assert (best["x"], best["y"]) == ([64, 128], [0.1, 0.1])
    assert "hollow" not in best
    curves = page.figures["loss-over-steps"]["views"]["1"]
    assert [series["name"] for series in curves] == ["lr 0.01", "lr 0.1", "lr 1", "lr 10 (diverged)"]
    np.testing.assert_allclose(curves[0]["y"], np.geomspace(1, 0.1, 9), rtol=1e-5)
    assert sum(row[-3:-1] == ["–", "the loss grew"] for row in page.rows) == 4
    for name in ("final-loss", "best-rate"):
        assert (tmp_path / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_bootstrap_errors_stand_beside_the_best_rates(tmp_path: Path) -> None:
    def shifted(trial: Configuration) -> float:
        return math.exp(math.log(trial.lr / (0.1 * 1.3**trial.seed)) ** 2)

    grid = {"width": [64, 128], "lr": [0.01, 0.1, 1.0], "seed": list(range(6))}
    make(tmp_path, {"base": {"steps": 2}, "grid": grid}, shifted)
    page = report(tmp_path)
    expected = nl.sweeps.best_rate(nl.open_sweep(tmp_path).data)
    rate, error = float(expected.best[0]), float(expected.best[0] * expected.best_error[0])
    cell = next(row for row in page.rows if row[0] == "64")[1]
    shown, spread = map(float, cell.split(" ± "))
    assert shown == pytest.approx(rate, abs=error / 10)
    assert spread == pytest.approx(error, rel=0.06)
    drawn = page.figures["best-rate"]["views"][""][0]
    assert drawn["high"][0] == pytest.approx(rate * math.exp(error / rate), rel=1e-4)


def test_nothing_can_be_fetched_and_only_our_scripts_run(tmp_path: Path) -> None:
    page = report(make(tmp_path, {"base": {"steps": 2}, "grid": GRID}))
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy") or ""
    assert policy.startswith("default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src 'sha256-")
    assert "unsafe" not in policy.partition("script-src")[2]
    assert policy.count("sha256-") == 2
    assert not [a for _, a in page.tags if {"src", "href", "srcset"} & {*a}]
    assert not [k for _, a in page.tags for k in a if k.startswith("on")]
    assert "@import" not in page.whole.partition("<script")[0]
    assert len(re.findall(r"\* plotly\.js v", page.whole)) == 1


def test_names_are_text(tmp_path: Path) -> None:
    path = tmp_path / ODD.replace("/", "_")
    make(path, {"base": {"steps": 2}, "grid": {"activation": ["relu", ODD], "lr": [0.1, 1.0]}}, states=("failed",))
    page = report(path)
    assert f"the reason {ODD}" in page.said
    assert f"activation {ODD}" in [s["name"] for s in page.figures["final-loss"]["views"][""]]
    assert not {tag for tag, _ in page.tags} & {"img", "iframe", "a"}
    assert len(page.scripts) == 4  # the numbers and two that run


def test_what_is_not_finished_is_said(tmp_path: Path) -> None:
    grid = {"width": [64, 128], "lr": [0.01, 0.1, 1.0]}
    make(tmp_path, {"base": {"steps": 2}, "grid": grid}, states=("waiting", "failed"))
    make(tmp_path, {"base": {"steps": 2}, "grid": {"width": [256], "lr": [0.1]}})
    removed = Configuration.of({"steps": 2, "width": 64, "lr": 1.0}).canonical()
    shutil.rmtree(tmp_path / "trials" / name_of(removed))
    page = report(tmp_path)
    assert "not finished: 4 of 6 trials have a result" in page.words
    for row in (["waiting", "1"], ["failed", "1"], ["completed", "4"], ["points of the grid without a trial", "1"]):
        assert row in page.rows
    absent = [s for s in page.figures["final-loss"]["views"][""] if s["look"] == "absent"]
    found = {s["name"]: list(zip(s["x"], s["notes"], strict=True)) for s in absent}
    assert found == {
        "width 128": [(0.1, "0 of 1 trials, 1 waiting"), (1.0, "0 of 1 trials, 1 failed")],
        "width 64": [(1.0, "0 of 1 trials, 1 missing")],
    }  # at width 256 no more was asked for
    assert any(row[-2].startswith("the reason") for row in page.rows if len(row) > 3)
    assert ["256", "0.1", "at the border"] in page.rows
    assert page.figures["best-rate"]["views"][""][0]["hollow"] == [True, True, True]


def test_points_that_followed_results_are_one_figure(tmp_path: Path) -> None:
    lazy = {"base": {"steps": 2, "weights": "conditioned"}, "grid": {"width": [128], "lr": [0.1, 0.3], "seed": [0]}}
    for rates in ([0.01, 0.1], [1.0]):
        grid = {"width": [64], "lr": rates, "seed": [0, 1]}
        make(tmp_path, {"base": {"steps": 2, "weights": "dense"}, "grid": grid})
    make(tmp_path, lazy)
    page = report(tmp_path)
    first, second = page.figures["final-loss"]["views"][""]  # no marks for what no grid asked for
    assert (first["name"], first["x"]) == ("width 64", [0.01, 0.1, 1.0])
    assert (second["name"], second["x"]) == ("width 128", [0.1, 0.3])
    assert "notes" not in second  # one trial each, as asked
    assert not [tag for tag, a in page.tags if tag == "select" and a.get("aria-controls") == "plot-final-loss"]
    best = page.figures["best-rate"]["views"][""]
    assert [series["x"] for series in best] == [[64, 128]]
    assert "points of the grid without a trial" not in page.said
    assert {tuple(row[:4]) for row in page.rows if row[0] == "128"} >= {("128", "0.1", "0", "conditioned")}
    asked = [row for row in page.rows if row[:2] == ["lr", "grid"]]
    assert asked == [["lr", "grid", "0.01, 0.1, 1"], ["lr", "grid", "0.1, 0.3"]]
    assert "Asked for in 2 grids" in page.words


@pytest.mark.parametrize(
    ("tables", "x", "picks"),
    [
        ({"grid": {"width": [16, 32, 64], "seed": [0, 1]}}, "width", []),
        ({"grid": {"activation": ["relu", "tanh"]}}, "activation", []),
        ({"grid": {"lr": [0.1, 1.0], "width": [16, 32], "depth": [2, 4], "gamma": [1.0, 2.0]},
          "base": {"network": "resnet"}},
         "learning rate", ["depth", "gamma"]),
        ({"random": {"count": 50, "lr": {"distribution": "log-uniform", "low": 0.01, "high": 1.0},
                     "gamma": {"distribution": "uniform", "low": 1.0, "high": 2.0}},
          "grid": {"width": [16, 32], "seed": [0, 1]}},
         "learning rate", []),
    ],
)  # fmt: skip
def test_other_sweeps(tmp_path: Path, tables: dict[str, Any], x: str, picks: list[str]) -> None:
    make(tmp_path, {**tables, "base": {"steps": 3, **tables.get("base", {})}}, lambda t: t.width**-1.0 * (1 + t.lr))
    page = report(tmp_path)
    figure = page.figures["final-loss"]
    assert figure["x"]["label"] == x
    labels = [a.get("aria-controls") for tag, a in page.tags if tag == "select"]
    assert labels.count("plot-final-loss") == len(picks)
    points = sum(len(s["x"]) for view in figure["views"].values() for s in view)
    data = nl.open_sweep(tmp_path).data
    assert points == data.final_loss.size // data.sizes.get("seed", 1)
    if x == "width":
        assert ["final loss", "width", "-1", ""] in page.rows


def test_one_trial_and_none(tmp_path: Path) -> None:
    page = report(make(tmp_path / "one", {"base": {"steps": 3, "lr": 0.1}}))
    assert list(page.figures) == ["loss-over-steps"]
    SweepFolder.create(tmp_path / "none")
    assert "not begun" in report(tmp_path / "none").said


def test_outliers_of_trials_that_recorded_them(tmp_path: Path) -> None:
    make(tmp_path, {"base": {"steps": 3, "record": [0, 3]}, "grid": {**GRID, "lr": [0.1, 1.0]}})
    sweep = nl.open_sweep(tmp_path)
    for found in sweep.folder.scan():
        trial = sweep.folder.configuration(found.name)
        values = np.full((2, 2, 3), np.nan)
        values[-1, 1, 0] = 2 + trial.width / 64 + 0.1 * trial.seed + 5 * (trial.lr > 0.5)
        run = xr.Dataset({"singular_value": (("record", "layer", "mode"), values),
                          "record_edge": (("record", "layer"), np.full((2, 2), 2.0))})  # fmt: skip
        (found.folder / "data.nc").write_bytes(to_netcdf(run))
    views = report(tmp_path).figures["outliers"]["views"]
    assert [s["name"] for s in views["0"]] == ["edge of the bulk"]
    first = views["1"][0]
    np.testing.assert_allclose(first["y"], [3.05, 4.05], rtol=1e-5)  # at lr 0.1, the better rate
    assert first["notes"] == ["in 2 of 2 trials, lr 0.1"] * 2
    assert first["high"][0] - first["y"][0] == pytest.approx(0.05, rel=1e-3)


def test_without_plotly_figures_are_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path, {"base": {"steps": 2}, "grid": GRID})
    known = builtins.__import__

    def refuse(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("plotly"):
            raise ModuleNotFoundError(name)
        return known(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    assert main(["sweep", "report", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert "pip install 'neural-limits[report]'" in said.err
    assert said.err.count("\n") == 1
    page = Page(tmp_path / "report.html")
    assert not [tag for tag, _ in page.tags if tag == "script"]
    assert [tag for tag, _ in page.tags].count("img") == 3


def test_the_command_prints_optima_and_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path, {"base": {"steps": 2}, "grid": GRID})
    for words in (["sweep", "report"], ["report"]):
        assert main([*words, str(tmp_path)]) == 0
        said = capsys.readouterr().out
        for word in ("Best learning rates", "grid point", "Slopes", f"report  {tmp_path / 'report.html'}"):
            assert word in said
    assert main(["sweep", "report", str(tmp_path / "missing")]) == 1
    assert "holds no sweep" in capsys.readouterr().err


@pytest.mark.slow
def test_ten_thousand_trials(tmp_path: Path) -> None:
    grid = {"width": [2**i for i in range(4, 14)], "lr": np.geomspace(1e-3, 10, 25).tolist(),
            "gamma": [1.0, 2.0, 4.0, 8.0], "seed": list(range(10))}  # fmt: skip
    make(tmp_path, {"base": {"steps": 500}, "grid": grid})
    start = time.process_time()
    page = write_sweep_report(tmp_path).page
    seconds = time.process_time() - start
    assert page.stat().st_size < 7e6
    assert seconds < 30
    assert "10000 of 10000 trials have a result" in Page(page).words
