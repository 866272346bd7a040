"""`neural-limits explore`: what it refuses, in one line."""

import os
import subprocess
import sys

import pytest

from neural_limits.cli import main


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_a_port_out_of_range(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "--no-browser", "--port", port]) == 2
    assert f"`port` must be from 0 to 65535; got {port}." in capsys.readouterr().err


def test_where_the_extra_is_missing() -> None:
    without = "import sys; sys.modules['dash'] = None; from neural_limits.cli import main; sys.exit(main(['explore']))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", without], capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "neural-limits: explore needs dash: pip install 'neural-limits[explore]'\n"


def test_it_serves_and_says_where(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked = []

    def serve(port: int, browser: bool, tell: object) -> None:
        asked.append((port, browser))
        tell("http://127.0.0.1:1/?token=x")  # type: ignore[operator]

    monkeypatch.setattr("neural_limits.explorer.serve", serve, raising=False)
    assert main(["explore", "--port", "4321", "--no-browser"]) == 0
    assert asked == [(4321, False)]
    assert capsys.readouterr().out.splitlines()[0] == "explore  http://127.0.0.1:1/?token=x"
