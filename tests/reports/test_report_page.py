"""The pages: complete, self-contained, and harmless whatever the names in them."""

import base64
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from neural_limits.reports import (
    outlier_rows,
    png,
    rebuild,
    summary_rows,
    write_experiment_report,
    write_report,
)
from neural_limits.runs import RunFolder

Maker = Callable[..., xr.Dataset]

ODD = "<script>alert('x')</script>\"><img src=x onerror=alert(1)> & ü \x00 $\\frac{$"
ALLOWED = {
    "html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "b", "div", "table", "thead", "tbody",
    "tr", "th", "td", "figure", "img", "figcaption", "pre", "details", "summary",
}  # fmt: skip
CSP = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


class Page(HTMLParser):
    """Elements, attributes and text of a page; every element closed that must be."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.said = ""
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said += data

    def check_harmless(self) -> None:
        """Only our elements, no event handlers, nothing fetched, and the policy in force."""
        assert {tag for tag, _ in self.tags} <= ALLOWED
        for tag, attributes in self.tags:
            assert set(attributes) <= {
                "class",
                "src",
                "alt",
                "lang",
                "charset",
                "http-equiv",
                "content",
                "name",
                "width",
            }
            if tag == "img":
                source = str(attributes["src"])
                assert source.startswith("data:image/png;base64,")
                assert base64.b64decode(source.split(",")[1], validate=True).startswith(b"\x89PNG")
        metas = [a for tag, a in self.tags if tag == "meta"]
        assert {"http-equiv": "Content-Security-Policy", "content": CSP} in metas
        assert metas[1]["http-equiv"] == "Content-Security-Policy"  # ahead of anything it should govern


@pytest.fixture
def folder(tmp_path: Path, make_run: Maker) -> RunFolder:
    folder = RunFolder.create(tmp_path / "run")
    folder.write_dataset("data.nc", make_run("conditioned", 64))
    folder.write_dataset("dense.nc", make_run("dense", 32, spectrum=True))
    folder.finish(
        "completed", kind="simulate", configuration={"task": "toy", "network": "mlp", "classes": [0, 1], "batch": None},
        command="neural-limits simulate --task toy", memory={"held_bytes": 2**20, "same_width_bytes": 2**30},
        timing={"seconds": 12.5, "dense_seconds": 3.0}, warnings=["touched rank 40"],
    )  # fmt: skip
    return folder


@pytest.fixture
def quick_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """One small figure, where the page is the point."""
    monkeypatch.setattr("neural_limits.reports._run_page.figures", lambda *_: {"loss": Figure(figsize=(1, 1))})


@pytest.mark.usefixtures("quick_figures")
def test_the_page_of_a_run(folder: RunFolder) -> None:
    path = write_report(folder)
    page = Page(path)
    page.check_harmless()
    assert path == folder.path / "report.html"
    for word in (
        "toy: mlp of width 64, 2 hidden weight matrices", "completed", "Warning: touched rank 40", "12.5", "1 MiB",
        "1 GiB", "neural-limits simulate --task toy", "classes", "0,1", "dense, measured", "python",
    ):  # fmt: skip
        assert word in page.said
    assert sum(tag == "img" for tag, _ in page.tags) == 1
    assert {"loss.png", "report.html"} <= set(folder.info()["files"])
    text = path.read_text()
    assert "http:" not in text
    assert "https:" not in text
    assert re.search(r"url\(|@import", text) is None
    assert "prefers-color-scheme: dark" in text


@pytest.mark.usefixtures("quick_figures")
def test_rebuilding_gives_the_same_page(folder: RunFolder) -> None:
    first = rebuild(folder).read_bytes()
    for name in ("report.html", "loss.png"):
        (folder.path / name).unlink()
    assert rebuild(RunFolder.open(folder.path)).read_bytes() == first
    assert folder.has("loss.png")


@pytest.mark.usefixtures("quick_figures")
def test_odd_names_are_harmless(tmp_path: Path, make_run: Maker) -> None:
    place = tmp_path / "<script>alert(1)<" / '"><img src=x onerror=y>'
    folder = RunFolder.create(place)
    folder.write_dataset("data.nc", make_run("conditioned", 64, layers=1).assign_attrs(weights=ODD.replace("\0", "")))
    folder.finish(
        "failed", ODD, configuration={"task": ODD, "network": ODD, ODD: ODD}, command=ODD, warnings=[ODD],
        versions={ODD: ODD}, timing={"seconds": 1.0},
    )  # fmt: skip
    page = Page(write_report(folder))
    page.check_harmless()
    assert "<script>alert('x')</script>" in page.said
    folder.update(configuration={})
    page = Page(write_report(folder))  # titled by the folder's name now
    page.check_harmless()
    assert '"><img src=x onerror=y>' in page.said


@pytest.mark.usefixtures("quick_figures")
def test_a_run_that_was_killed_is_called_interrupted(folder: RunFolder) -> None:
    process = folder.info()["process"]
    folder.update(status="running", process={**process, "pid": 2**22 + 1})
    assert "interrupted" in Page(write_report(folder)).said


def test_missing_and_damaged_data_are_one_line(folder: RunFolder, tmp_path: Path) -> None:
    path = folder.path / "data.nc"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(OSError, match="damaged") as caught:
        write_report(folder)
    assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match=r"no data\.nc .* the run is running"):
        write_report(RunFolder.create(tmp_path / "empty"))


# -- tables ----------------------------------------------------------------------------------------------


def test_outliers_side_by_side(make_run: Maker) -> None:
    data, dense = make_run("conditioned", 64), make_run("dense", 32, modes=1)
    rows = outlier_rows(data, dense)
    assert [(r.layer, r.step, r.mode) for r in rows[:5]] == [(0, 1, 0), (0, 4, 0), (0, 4, 1), (0, 40, 0), (0, 40, 1)]
    last = outlier_rows(data, dense, last=True)
    assert {row.step for row in last} == {40}
    row = last[0]
    assert row.predicted == float(data.singular_value[-1, 0, 0])
    assert row.measured == float(dense.singular_value[-1, 0, 0])
    np.testing.assert_allclose(row.difference, row.predicted - row.measured)
    assert last[1].cells()[4:] == ("–", "–", "–")  # no second one in the dense network
    assert np.isnan(outlier_rows(dense)[0].predicted)
    assert outlier_rows(make_run("conditioned", 64, modes=0)) == []


def test_records_that_one_run_did_not_reach(make_run: Maker) -> None:
    data, dense = make_run("conditioned", 64), make_run("dense", 32).isel(record=slice(3))
    rows = outlier_rows(data, dense)
    assert all(np.isnan(row.measured) for row in rows if row.step == 40)
    assert all(np.isfinite(row.measured) for row in rows if row.step == 4)


def test_summary(make_run: Maker) -> None:
    data = make_run("conditioned", 64)
    rows = {name: (ours, theirs) for name, ours, theirs in summary_rows({}, data, make_run("dense", 32))}
    assert rows["width n"] == ("64", "32")
    assert rows["touched rank, left + right"] == ("28 + 19 (layer 1)", "–")
    assert rows["final loss"][0] == f"{float(data.loss[-1]):.5g}"
    assert "seconds" not in rows
    data["loss"] = data.loss.where(data.step < 3)
    assert {r[0]: r[1] for r in summary_rows({}, data)}["steps made"] == "2"


# -- experiments -----------------------------------------------------------------------------------------


def test_the_page_of_an_experiment(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    data = xr.Dataset({"slope": 2.0, "name": "x"}, coords={"width": [64, 128]})
    data["error"] = ("width", [0.1, np.nan], {"long_name": ODD.replace("\0", ""), "units": "σ"})
    data["count"] = ("seed", np.arange(100))
    data["values"] = (("width", "seed"), np.arange(200.0).reshape(2, 100), {"units": "loss"})
    data["nothing"] = (("width", "empty"), np.zeros((2, 0)))
    folder.write_dataset("data.nc", data)
    folder.write_bytes("escape.png", png(Figure(figsize=(1, 1))))
    (folder.path / "private.png").write_bytes(b"\x89PNG not ours")
    row = {"claim": ODD, "source": "arXiv", "measured": "2.0 ± 0.1", "criterion": "in [1, 3]"}
    folder.finish(
        "completed", kind="experiment", name=ODD, claim="slopes are 2", source=ODD, captions={"escape": ODD},
        verdict=[{**row, "verdict": word} for word in ("holds", "fails", "undecided")],
    )  # fmt: skip
    page = Page(rebuild(folder))
    page.check_harmless()
    assert sum(tag == "img" for tag, _ in page.tags) == 1
    for word in (
        "slopes are 2",
        "3 claims; holds: 1, fails: 1, undecided: 1.",
        "holds",
        "fails",
        "undecided",
        "in [1, 3]",
        "The first 40 of 100 rows",
        "199",
    ):
        assert word in page.said
    kinds = [attributes.get("class") for tag, attributes in page.tags if tag == "td"]
    assert {"verdict good", "verdict bad", "verdict"} <= set(kinds)


def test_an_experiment_that_failed_has_a_page(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    folder.finish("failed", "no space left", kind="experiment", name="escape")
    page = Page(write_experiment_report(folder))
    assert "no space left" in page.said
