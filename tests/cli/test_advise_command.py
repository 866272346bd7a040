"""`neural-limits advise`: what it writes and prints, and what it refuses before anything is written."""

from pathlib import Path

import numpy as np
import pytest

from neural_limits.cli import main
from neural_limits.runs import RunFolder

SMALL = ["--widths", "16,32", "--hidden", "0", "--steps", "2", "--seeds", "2"]


def test_advice_is_printed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "advice"
    assert main(["advise", *SMALL, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    folder = RunFolder.open(out)
    data = folder.read_dataset("data.nc")
    assert folder.status == "completed"
    assert folder.message == data.attrs["message"]
    assert f"advice  {data.attrs['transfers']}: {data.attrs['message']}" in printed
    assert "largest stable lr" in printed
    assert data.width.values.tolist() == [16, 32]
    assert np.isfinite(data.stable_lr).all()
    assert folder.info()["command"].startswith("neural-limits advise --task toy --hidden 0")
    page = (out / "report.html").read_text()
    assert "Learning rates on toy" in page
    assert main(["report", str(out)]) == 0
    assert (out / "report.html").read_text() == page


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--widths", "16"], "`widths` must be two or more increasing widths"),
        (["--seeds", "0"], "`seeds` must be at least 1"),
        (["--momentum", "1"], "`momentum` must be below 1"),
        (["--classes", "0,1"], "`classes` belongs to the image tasks"),
    ],
)
def test_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    out = tmp_path / "advice"
    assert main(["advise", *SMALL, *options, "--out", str(out)]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()
