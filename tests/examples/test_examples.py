"""Every example runs at small size and draws its figure."""

import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path, tmp_path, monkeypatch, capsys):
    figure = tmp_path / "figure.png"
    monkeypatch.setattr(sys, "argv", [str(path), "400", str(figure)])
    runpy.run_path(str(path), run_name="__main__")
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert "predicted" in capsys.readouterr().out
