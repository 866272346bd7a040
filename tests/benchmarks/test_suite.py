"""The suite of benchmarks: none is left out, one that fails stops no other; the floors that looks are held against."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from neural_limits.weights import ConditionedMatrix

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_the_suite_lists_every_benchmark():
    import suite

    scripts = {file.stem for file in BENCHMARKS.glob("*.py") if not file.name.startswith("_")} - {"suite"}
    assert {one.name for one in suite.BENCHMARKS} == scripts


def test_a_failure_stops_no_other_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    import suite

    (tmp_path / "bad.py").write_text("raise SystemExit('out of order')")
    result = "Machine: m\n\n| headline | |\n|-|-|\n| a ratio | 7 |\n"
    good = f"from pathlib import Path\nPath(r'{tmp_path}/good-quick.md').write_text({result!r})"
    (tmp_path / "good.py").write_text(good)
    made = [
        suite.Benchmark("bad", "", 1, "bad"),
        suite.Benchmark("peerless", "", 1, "peerless", peers=("no_such_module",), alone=False),
        suite.Benchmark("good", "", 1, "good"),
    ]
    monkeypatch.setattr(suite, "BENCHMARKS", made)
    monkeypatch.setattr(suite, "OWN", ())
    monkeypatch.setattr(suite, "HERE", tmp_path)
    monkeypatch.setattr(suite, "RESULTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["suite.py", "--quick"])
    assert suite.main() == 1
    said = capsys.readouterr().out
    assert "out of order" in said
    assert said.rstrip().endswith("failed: bad")
    table = (tmp_path / "summary-quick.md").read_text()
    assert "| [good](good-quick.md) | a ratio | 7 |" in table
    assert "peerless: skipped, no interpreter has no_such_module" in table


def test_headlines_are_read_back_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import _common

    monkeypatch.setattr(_common, "RESULTS", tmp_path)
    told = {"faster than dense, width 5": "72 times", "slope": "1.00"}
    _common.write("x", ["| a table | b |", "|-|-|", "| 1 | 2 |"], told)
    assert _common.headlines_of((tmp_path / "x.md").read_text()) == told


def test_tables_in_the_documentation_are_those_of_the_results():
    from _docs import DOCS, refreshed

    pages = {file.name: file.read_text() for file in DOCS.glob("*.md")}
    stale = [name for name, page in pages.items() if refreshed(page) != page]
    assert not stale, f"{stale}: run python benchmarks/_docs.py"
    assert sum("<!-- benchmarks/results/" in page for page in pages.values()) >= 5


def test_floors_of_a_look_counted_by_hand():
    """Length 1000, 10 directions known where it looks and 20 on the other side, 3 vectors, then 2 of them new."""
    from _floors import Size, bytes_of_look, draws_of_look, flops_of_look

    known = Size(1000, 1000, 10, 20, 3)
    assert bytes_of_look(known) == 4 * (3000 + 10_000 + 10_000 + 20_000 + 20_000 + 200 + 3000)
    assert flops_of_look(known) == 2 * 3 * (10_000 + 10_000 + 20_000 + 20_000)
    assert draws_of_look(known) == 0
    found = known._replace(new=2)
    assert bytes_of_look(found) == bytes_of_look(known) + 4 * (3000 + 10_000 + 20_000 + 2 * 2000)
    assert draws_of_look(found) == 2000


@pytest.mark.parametrize("vectors", [1, 16])
def test_floors_lie_below_xlas_account_of_the_look(vectors: int):
    from _floors import Size, bytes_of_look, flops_of_look

    width, rank = 2048, 48
    weight = ConditionedMatrix.create(jax.random.key(0), width, width, capacity=rank, dtype=jnp.float32)
    look = jax.jit(lambda w, v: w.matvec(v)).lower(weight, jnp.zeros((vectors, width), jnp.float32))
    account = look.compile().cost_analysis()
    size = Size(width, width, rank, rank, vectors)
    assert bytes_of_look(size) < account["bytes accessed"]
    assert flops_of_look(size) < account["flops"]
