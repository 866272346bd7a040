"""The page in a real browser: driven by keyboard, on a phone's width, without any network."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import neural_limits as nl
from neural_limits.explorer._view import records

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if CHROMIUM is None:
    pytest.skip("chromium is not installed", allow_module_level=True)
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = pytest.mark.slow
PATIENCE = 120_000  # milliseconds
# A shell may have started the tests with SIGINT ignored, which children inherit.
COMMAND = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from neural_limits.cli import main; sys.exit(main(['explore', '--no-browser']))"
)
LOSSES = "(document.querySelector('#loss .js-plotly-plot')?.data?.[0]?.y ?? [])"
DONE = re.compile("^(completed|diverged) in")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The address that the command prints; at the end Ctrl-C must stop it."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-c", COMMAND]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().split()[1]
            server.send_signal(signal.SIGINT)
            assert server.wait(20) == 0
        finally:
            server.kill()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """The page just opened; nothing may go wrong on it, and nothing may be asked of any other place."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    asked, wrong = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    page.get_by_text("Settings", exact=True).wait_for()
    yield page
    origin = re.match(r"http://127\.0\.0\.1:\d+/", address)
    assert origin is not None
    assert len(asked) > 10
    assert [url for url in asked if not url.startswith((origin[0], "data:", "blob:"))] == []
    assert wrong == []
    context.close()


def choose(page: Any, view: str) -> None:
    """Another view, with the arrow keys alone."""
    page.locator("#view input").first.focus()
    while page.locator("#view input:checked").get_attribute("value") != view:
        page.keyboard.press("ArrowDown")


def shown(page: Any, label: str) -> str:
    """A number in the table."""
    return str(page.locator(f"#numbers tr:has(th:text-is('{label}')) td").inner_text())


def wait_for_numbers(page: Any, label: str) -> None:
    page.locator(f"#numbers tr:has(th:text-is('{label}'))").wait_for()


def test_a_control_changed_by_keyboard_shows_the_librarys_numbers(page: Any) -> None:
    choose(page, "deep-linear")
    page.get_by_label(re.compile("^Steps")).wait_for()
    wait_for_numbers(page, "loss after 60 updates")
    page.get_by_label(re.compile("^Learning rate")).focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == '{"setting":"steps"}'
    page.keyboard.press("Control+A")
    page.keyboard.type("20")
    page.keyboard.press("Enter")
    wait_for_numbers(page, "loss after 20 updates")
    sol = nl.limits.deep_linear(steps=20)
    assert shown(page, "loss after 20 updates") == f"{float(sol.data.train_loss[20]):.5g}"
    assert shown(page, "outliers, layer 1") == f"{sol.outliers(20)[1].above[0]:.5g} (edge 1)"
    assert shown(page, "η λ after 20 updates") == f"{0.05 * sol.ntk_leading(20):.5g}"
    page.wait_for_function(f"Object.keys({LOSSES}).length === 21")  # figures are drawn after the numbers
    drawn = page.evaluate(LOSSES)
    drawn = drawn if isinstance(drawn, list) else list(drawn.values())
    np.testing.assert_allclose(drawn, sol.data.train_loss, rtol=1e-12)
    page.wait_for_function("document.querySelectorAll('.js-plotly-plot').length === 4")
    page.locator("#copy").focus()
    page.keyboard.press("Enter")
    page.get_by_text("Copied", exact=True).wait_for()
    left: dict[str, Any] = {}
    exec(page.evaluate("navigator.clipboard.readText()"), left)
    np.testing.assert_array_equal(left["sol"].data.train_loss, sol.data.train_loss)


def test_what_is_out_of_range_is_said_and_leaves_the_figures(page: Any) -> None:
    choose(page, "deep-linear")
    wait_for_numbers(page, "loss after 60 updates")
    box = page.get_by_label(re.compile("^Learning rate"))
    box.fill("fast")
    box.press("Enter")
    page.get_by_role("alert").get_by_text("`lr` must be a number from 1e-06 to 1,000; got 'fast'.").wait_for()
    assert shown(page, "loss after 60 updates")
    box.fill("5")
    box.press("Enter")
    page.get_by_role("status").get_by_text(re.compile("^diverged in .*lower `lr`")).wait_for()
    page.wait_for_function("document.querySelector('[role=alert]').innerText === ''")


def test_cancel_stops_a_long_computation_and_the_next_one_runs(page: Any) -> None:
    choose(page, "deep-linear")
    wait_for_numbers(page, "loss after 60 updates")
    page.get_by_label(re.compile("^Depth")).fill("4")
    page.get_by_label(re.compile("^Steps")).fill("140")
    page.get_by_label(re.compile("^Steps")).press("Enter")
    page.get_by_role("status").get_by_text(re.compile(f"of {len(records(140))}, spectra")).wait_for()
    page.get_by_role("button", name="Cancel").press("Enter")
    page.get_by_role("status").get_by_text("stopped: by Cancel.").wait_for()
    page.wait_for_function("[...document.querySelectorAll('button')].find(b => b.innerText === 'Cancel').disabled")
    page.get_by_label(re.compile("^Steps")).fill("10")
    page.get_by_label(re.compile("^Steps")).press("Enter")
    wait_for_numbers(page, "loss after 10 updates")
    page.get_by_role("status").get_by_text(DONE).wait_for()


@pytest.mark.parametrize("width", [390, 320])
def test_nothing_overflows_on_a_phone(page: Any, width: int) -> None:
    choose(page, "deep-linear")
    wait_for_numbers(page, "loss after 60 updates")
    page.set_viewport_size({"width": width, "height": 800})
    # The figures take the new width a while after the page does.
    page.wait_for_function("w => [...document.querySelectorAll('.main-svg')].every(e => e.clientWidth <= w)", arg=width)
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    wider = page.evaluate(
        "w => [...document.querySelectorAll('main *')].filter(e => !e.closest('pre, .scroll, svg, .js-plotly-plot')"
        " && e.getBoundingClientRect().right > w + 1).map(e => e.tagName + e.id)",
        width,
    )
    assert wider == []


def test_without_the_token_there_is_no_page(browser: Any, address: str) -> None:
    page = browser.new_context().new_page()
    answer = page.goto(address.partition("?")[0])
    assert answer.status == 403
