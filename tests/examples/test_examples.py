"""Every example runs at small size and draws its figure; tests/training/test_hosts.py runs many_hosts.py."""

import runpy
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples"
EXAMPLES = sorted(path for path in FOLDER.glob("*.py") if path.stem != "many_hosts")
WIDTHS = {"learning_rate_for_a_big_model": "128"}
SAYS = {"learning_rate_for_a_big_model": "rules transfer: True"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path, tmp_path, monkeypatch, capsys):
    figure = tmp_path / "figure.png"
    monkeypatch.setattr(sys, "argv", [str(path), WIDTHS.get(path.stem, "400"), str(figure)])
    runpy.run_path(str(path), run_name="__main__")
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert SAYS.get(path.stem, "predicted") in capsys.readouterr().out
