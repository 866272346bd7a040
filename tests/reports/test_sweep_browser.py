"""The page of a sweep in a real browser: no network, right numbers, the keyboard, a phone."""

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_sweep_page import GRID, make, parabola

from neural_limits.reports import write_sweep_report

pytestmark = pytest.mark.slow
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PLOTS = ("final-loss", "best-rate", "loss-over-steps")
LEAST = "1.0198"  # sqrt(1.04), the mean of the two seeds at the best rate
INTRUDER = """address => {
  const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s);
  const i = document.createElement('img'); i.src = address; document.body.append(i); }"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    pytest.importorskip("plotly", reason="plotly is not installed: pip install 'neural-limits[report]'")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"there is no browser: none of {', '.join(BROWSERS)} on the path")
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    grid = {**GRID, "parametrization": ["mup", "ntk"]}
    path = tmp_path_factory.mktemp("sweeps") / "sweep"
    make(path, {"base": {"steps": 8}, "grid": grid}, lambda t: parabola(t) * 64 / t.width, states=("waiting",))
    return write_sweep_report(path).page


class Opened:
    """A page, the addresses it asked for, and what its console said."""

    def __init__(self, browser: Any, path: Path, width: int) -> None:
        self.page = browser.new_page(viewport={"width": width, "height": 844})
        self.asked: list[str] = []
        self.said: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.set_default_timeout(120_000)  # milliseconds
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("#outliers svg, #loss-over-steps svg")


@pytest.fixture
def opened(browser: Any, report: Path) -> Iterator[Opened]:
    found = Opened(browser, report, 1280)
    yield found
    found.page.close()


def test_figures_are_drawn_and_nothing_is_asked_for(opened: Opened, report: Path) -> None:
    for name in PLOTS:
        assert opened.page.locator(f"#{name} .scatterlayer .trace").count() > 0
    assert opened.page.locator("#final-loss .scatterlayer .trace").nth(0).locator(".point").count() == 3
    assert opened.said == []
    assert opened.asked == [report.as_uri()]
    with socket.create_server(("127.0.0.1", 0)) as server:  # a page that is told to fetch from it may not reach it
        server.settimeout(1.0)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/x.png"
        assert opened.page.evaluate("a => fetch(a).then(() => 'sent', () => 'refused')", address) == "refused"
        opened.page.evaluate(INTRUDER, address)
        with pytest.raises(TimeoutError):
            server.accept()
    assert opened.page.evaluate("window.ran === undefined")
    assert sum("Content Security Policy" in text for text in opened.said) >= 3


def test_hovering_tells_the_numbers(opened: Opened) -> None:
    point = opened.page.locator("#final-loss .scatterlayer .trace").nth(0).locator(".point").nth(1)
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    opened.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    hover = opened.page.locator("#final-loss .hovertext")
    hover.wait_for()
    said = hover.text_content()
    for word in ("width 64", "learning rate 0.1", f"final loss {LEAST}", "2 trials, 1 to 1.04"):
        assert word in said


def focus(opened: Opened, selector: str) -> None:
    """Go to an element by Tab alone."""
    for _ in range(80):
        opened.page.keyboard.press("Tab")
        if opened.page.evaluate("s => document.activeElement.matches(s)", selector):
            break
    else:
        raise AssertionError(f"Tab does not reach {selector}")
    assert opened.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"


def test_the_keyboard_reaches_everything(opened: Opened) -> None:
    page = opened.page
    plot = "document.querySelector('#loss-over-steps .plot')"
    focus(opened, "#final-loss select")
    assert page.locator("#final-loss .scatterlayer .trace").count() == 4
    page.keyboard.press("ArrowDown")
    page.wait_for_function("document.querySelectorAll('#final-loss .scatterlayer .trace').length === 4")
    assert page.locator("#final-loss select").input_value() == "1"
    focus(opened, "#final-loss [data-zoom=in]")
    before = page.evaluate(plot.replace("loss-over-steps", "final-loss") + "._fullLayout.xaxis.range")
    page.keyboard.press("Enter")
    half = "([low, high]) => { const r = document.querySelector('#final-loss .plot')._fullLayout.xaxis.range;"
    page.wait_for_function(half + " return Math.abs((r[1] - r[0]) / (high - low) - 0.5) < 1e-6; }", arg=before)
    focus(opened, "#final-loss .plot")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    said = f"width 64; learning rate 0.1; final loss {LEAST}"
    page.locator("#final-loss .said").filter(has_text=said).wait_for()
    focus(opened, "#final-loss .key button")
    page.keyboard.press("Space")
    hidden = "document.querySelector('#final-loss .plot').data.filter(t => t.visible === false).length"
    page.wait_for_function(f"{hidden} === 2")
    focus(opened, "#final-loss summary")
    page.keyboard.press("Enter")
    page.locator("#final-loss table tr").first.wait_for()  # a browser says that it opened later than it opens
    rows = page.locator("#final-loss table tr").all_text_contents()
    assert any(row.startswith(f"width 640.1{LEAST}") for row in rows)
    assert any("diverged" in row for row in rows)
    focus(opened, "#loss-over-steps select")
    names = page.evaluate(f"{plot}.data.map(t => t.name)")
    page.keyboard.press("ArrowDown")
    assert page.evaluate(f"{plot}.data.map(t => t.name)") == names == ["lr 0.01", "lr 0.1", "lr 1", "lr 10 (diverged)"]


def test_the_picked_view_is_the_one_drawn(opened: Opened) -> None:
    page = opened.page
    page.locator("#final-loss select").select_option("1")
    data = page.evaluate("document.querySelector('#final-loss .plot').data.map(t => [t.name, t.x, t.hovertext])")
    absent = [row for row in data if any("waiting" in text for text in row[2])]
    assert absent
    assert "parametrization" in page.locator("#final-loss label").text_content()


def test_a_phone_needs_no_sideways_scrolling(browser: Any, report: Path) -> None:
    opened = Opened(browser, report, 390)
    page = opened.page
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    page.wait_for_function("[...document.querySelectorAll('details')].every(d => d.querySelector('table'))")
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for name in PLOTS:
        box = page.locator(f"#{name} svg.main-svg").nth(0).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
        assert box["width"] > 300
    page.close()
