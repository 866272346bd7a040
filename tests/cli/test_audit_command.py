"""`neural-limits audit`: what it writes and prints, and what it refuses before anything is written."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from neural_limits.cli import main
from neural_limits.runs import RunFolder


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    tensors = {f"h.{i}.$w<b>": (rng.standard_normal((60, 60)) / 60**0.5).astype(np.float32) for i in range(3)}
    tensors["h.2.$w<b>"][:, 0] += 4 / 60**0.5
    tensors["bad"] = np.full((5, 5), np.nan, np.float32)
    save_file(tensors, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_an_audit_is_printed_and_written(tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["audit", str(checkpoint), "--init-std", "fan-in", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    message = "4 matrices: 1 value above the bulk in 1 of them, 1 non_finite"
    assert f"status  completed: {message}" in printed
    folder = RunFolder.open(out)
    data = folder.read_dataset("data.nc")
    top = float(data.top.sel(matrix="h.2.$w<b>"))
    row = next(line for line in printed.splitlines() if "h.2.$w<b>" in line)
    assert row.split()[:3] == ["h.2.$w<b>", "60×60", "float32"]
    assert row.split()[6:9] == ["1", "1", "unchanged"]
    assert f"{top:.4g}" in row
    assert [line.split()[-1] for line in printed.splitlines() if "float32" in line] == ["non_finite"] + 3 * [
        "completed"
    ]
    page = (out / "report.html").read_text()
    for word in (
        f'<td class="n">{top:.4g}</td>',
        "h.2.$w&lt;b&gt;",
        message,
        "non_finite",
        "Spectra of model.safetensors",
    ):
        assert word in page
    assert page.count("image/png") == 2
    assert (out / "depth.png").exists()
    assert (out / "spectra-1.png").exists()
    assert folder.info()["command"].startswith(f"neural-limits audit {checkpoint} --init-std fan-in --max-size 4096")
    assert main(["report", str(out)]) == 0
    assert (out / "report.html").read_text() == page


def test_json_and_the_change_from_the_start(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    assert main(["audit", str(checkpoint), "--init", str(checkpoint), "--json", "--out", out]) == 0
    content = json.loads(capsys.readouterr().out)
    bad, *_, last = content["matrices"]
    assert bad["status"] == "non_finite"
    assert bad["top"] is None
    assert (last["separated"], last["change_top"]) == (1, 0)
    assert content["report"].endswith("report.html")
    assert "Change from the start" in Path(content["report"]).read_text()


@pytest.mark.parametrize(
    ("name", "options", "status", "message"),
    [
        ("gone.safetensors", [], 1, "there is no file or folder"),
        ("model.onnx", [], 2, "`path` must end in one of"),
        ("model.pkl", [], 1, "is a pickle, which is never read"),
        ("cut.safetensors", [], 1, "is damaged or no safetensors file"),
        ("model.safetensors", ["--init-std", "wide"], 2, "`init_std` must be a number or fan-in; got 'wide'"),
        ("model.safetensors", ["--top", "0"], 2, "`top` must be at least 1"),
    ],
)
def test_refused_before_anything_is_written(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str], name: str, options: list[str], status: int,
    message: str,
) -> None:  # fmt: skip
    for other in ("model.onnx", "model.pkl"):
        (tmp_path / other).write_bytes(b"")
    (tmp_path / "cut.safetensors").write_bytes(checkpoint.read_bytes()[:-1])
    out = tmp_path / "out"
    assert main(["audit", str(tmp_path / name), *options, "--out", str(out)]) == status
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error
    assert not out.exists()
