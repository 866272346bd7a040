"""The server: who may ask, what a page may load, and what comes back for settings."""

import json
import re
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from neural_limits.explorer import VIEWS
from neural_limits.explorer._callbacks import standing, started
from neural_limits.explorer._server import guarded_application, serve
from neural_limits.explorer._view import View
from neural_limits.explorer._worker import Job

PORT, TOKEN = 8123, "the-token"
HOST = f"127.0.0.1:{PORT}"


class Recorder:
    """Stands for the worker: keeps what it is asked for."""

    def __init__(self) -> None:
        self.views: list[View] = []
        self.cancelled = 0

    def submit(self, view: View) -> int:
        self.views.append(view)
        return len(self.views)

    def look(self, number: int) -> None:
        return None

    def cancel(self) -> None:
        self.cancelled += 1


@pytest.fixture
def worker() -> Recorder:
    return Recorder()


@pytest.fixture
def client(worker: Recorder) -> Client:
    return Client(guarded_application(worker, PORT, TOKEN))  # type: ignore[arg-type]


def get(client: Client, path: str, host: str = HOST, **headers: str) -> TestResponse:
    return client.get(path, headers={"Host": host, **headers})


def test_the_token_opens_the_page_and_leaves_a_strict_cookie(client: Client) -> None:
    page = get(client, f"/?token={TOKEN}")
    assert page.status_code == 200
    cookie = page.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    later = get(client, "/_dash-layout")
    assert later.status_code == 200
    assert "Set-Cookie" not in later.headers
    assert TOKEN not in page.text


@pytest.mark.parametrize("path", ["/", "/?token=", "/?token=wrong", "/?token=%ff", "/?token=the-token-and-more"])
def test_no_page_without_the_token(client: Client, path: str) -> None:
    refused = get(client, path)
    assert refused.status_code == 403
    assert refused.text.count("\n") == 1
    assert "token" in refused.text
    assert "Set-Cookie" not in refused.headers


@pytest.mark.parametrize(
    "path", ["/_dash-layout", "/_dash-dependencies", "/assets/explorer.css", "/_favicon.ico", "/_reload-hash", "/_mcp"]
)
def test_nothing_else_without_it_either(client: Client, path: str) -> None:
    assert get(client, path).status_code == 403
    assert get(client, path, Cookie=f"neural-limits-explore-{PORT}=wrong").status_code == 403
    assert get(client, path, Cookie="neural-limits-explore-1=the-token; ;;=\x01").status_code == 403


def test_callbacks_need_it(client: Client, worker: Recorder) -> None:
    answer = client.post("/_dash-update-component", json={"output": "x"}, headers={"Host": HOST})
    assert answer.status_code == 403
    assert not worker.views


@pytest.mark.parametrize(
    "host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1", "127.0.0.1:1", "0.0.0.0:8123", ""]
)
def test_other_names_for_this_machine_are_refused(client: Client, host: str) -> None:
    assert get(client, f"/?token={TOKEN}", host=host).status_code == 403


def test_requests_from_other_pages_are_refused(client: Client) -> None:
    assert get(client, f"/?token={TOKEN}", Origin="http://evil.example").status_code == 403
    assert get(client, f"/?token={TOKEN}", Origin="null").status_code == 403
    assert get(client, f"/?token={TOKEN}", Origin=f"http://{HOST}").status_code == 200


@pytest.mark.parametrize(
    "path", ["/assets/../_server.py", "/assets/%2e%2e/_server.py", "/assets/..%2f_server.py", "/assets//etc/passwd",
             "/_dash-component-suites/dash/../../../etc/passwd", "/_dash-component-suites/os/__init__.py"],
)  # fmt: skip
def test_no_file_but_the_pages_own(client: Client, path: str) -> None:
    get(client, f"/?token={TOKEN}")
    answer = get(client, path)
    # Dash answers the page itself to paths it does not know
    assert answer.status_code != 200 or answer.text.startswith("<!DOCTYPE html>")
    assert "import" not in answer.text[:2000] or answer.status_code >= 400


def test_everything_the_page_names_is_served_here(client: Client) -> None:
    page = get(client, f"/?token={TOKEN}")
    named = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(named) > 5
    for address in named:
        assert address.startswith("/"), address
        assert not address.startswith("//"), address
        assert get(client, address).status_code == 200, address
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe-eval" not in policy
    assert not re.search(r"script-src[^;]*unsafe-inline", policy)
    assert page.headers["X-Frame-Options"] == "DENY"
    assert '<html lang="en">' in page.text
    assert "width=device-width" in page.text


def test_every_control_is_labelled(client: Client) -> None:
    get(client, f"/?token={TOKEN}")
    layout = get(client, "/_dash-layout").text
    for name in VIEWS["network"].controls():
        assert json.dumps({"setting": name}, separators=(",", ":")) in layout.replace(" ", "")
    found: list[dict[str, Any]] = []

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            found.append(node)
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(json.loads(layout))
    inputs = [node["props"]["id"] for node in found if node.get("type") == "Input"]
    labels = {node["props"]["htmlFor"] for node in found if node.get("type") == "Label"}
    assert inputs
    assert {json.dumps(each, sort_keys=True, separators=(",", ":")) for each in inputs} == labels


def test_settings_are_checked_before_anything_starts(worker: Recorder) -> None:
    refusal, *_ = started(worker, "network", {"width": "-1"})  # type: ignore[arg-type]
    assert refusal == "`width` must be a whole number from 16 to 1,000,000; got '-1'."
    for name in ("nothing", None, ["network"], {}):
        refusal, *_ = started(worker, name, {})  # type: ignore[arg-type]
        assert refusal.startswith("`view` must be one of network, deep-linear")
    assert not worker.views
    assert started(worker, "network", {"width": "64"}) == ("", 1, False)  # type: ignore[arg-type]
    assert worker.views[0].settings()["width"] == 64


def test_a_forged_callback_is_no_crash(client: Client, worker: Recorder) -> None:
    get(client, f"/?token={TOKEN}")
    for body in ({}, {"output": "nothing.children"}, [1]):
        answer = client.post("/_dash-update-component", json=body, headers={"Host": HOST})
        assert answer.status_code >= 400
    assert not worker.views


def test_what_the_status_says() -> None:
    view = VIEWS["deep-linear"]()
    job = Job(3, view, message="spectra", done=1, total=4)
    text, _, share, cancel_off, *_ = standing(job, 3)
    assert text.startswith("computing 1 of 4, spectra (")
    assert (share, cancel_off) == ("0.250", False)
    assert standing(Job(3, view, state="stopped", message="by Cancel."), 3)[0] == "stopped: by Cancel."
    assert "Compute again" in standing(None, 3)[0]


def test_a_port_that_is_taken_is_one_line() -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=rf"`port` {port} cannot be had \(.*\); leave it out") as refusal:
            serve(port, browser=False)
    assert "\n" not in str(refusal.value)
