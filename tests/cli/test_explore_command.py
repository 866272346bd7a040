"""`neural-limits explore`: what it refuses, in one line."""

import sys

import pytest

from neural_limits.cli import main


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_a_port_out_of_range(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "--no-browser", "--port", port]) == 2
    assert f"`port` must be from 0 to 65535; got {port}." in capsys.readouterr().err


def test_where_the_extra_is_missing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in [name for name in sys.modules if name.startswith(("neural_limits.explorer", "dash"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "dash", None)
    assert main(["explore", "--no-browser"]) == 1
    error = capsys.readouterr().err
    assert "explore needs dash: pip install 'neural-limits[explore]'" in error
    assert error.count("\n") == 1


def test_it_serves_and_says_where(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked = []

    def serve(port: int, browser: bool, tell: object) -> None:
        asked.append((port, browser))
        tell("http://127.0.0.1:1/?token=x")  # type: ignore[operator]

    monkeypatch.setattr("neural_limits.explorer.serve", serve, raising=False)
    assert main(["explore", "--port", "4321", "--no-browser"]) == 0
    assert asked == [(4321, False)]
    assert capsys.readouterr().out.splitlines()[0] == "explore  http://127.0.0.1:1/?token=x"
