"""kill -9 of drivers and workers: every trial is finished once, equal to the bit to an undisturbed run."""

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
GRID = """
[base]
width = 160
hidden = 1
weights = "dense"
steps = 4000
momentum = 0.5
[grid]
lr = [0.003, 0.01, 0.03]
seed = [0, 1, 2, 3]
"""


def checks(out: Path, reference: Path) -> None:
    from _sweep_checks import audit

    counts = audit(out, reference)
    assert counts["trials"] == counts["completed"] == 12
    assert counts["finished other than once"] == 0
    assert counts["steps repeated beyond a checkpoint"] == 0
    assert counts["differing from the undisturbed"] == 0


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setenv("PYTHONPATH", str(BENCHMARKS.parent / "src"))
    (tmp_path / "grid.toml").write_text(GRID)
    return [str(tmp_path / "grid.toml"), "--checkpoint-every", "500"]


@pytest.mark.slow
def test_local_workers_and_drivers_may_be_killed(tmp_path: Path, words: list[str]) -> None:
    from _sweep_checks import disturb, start

    assert start(tmp_path / "whole", *words, "--workers", "2").wait() == 0
    hits = disturb(tmp_path / "killed", [*words, "--workers", "2"], 4, 0, (0.0, 4.0))
    assert sum(hits.values()) == 4
    checks(tmp_path / "killed", tmp_path / "whole")
    drivers = [start(tmp_path / "two", *words, "--workers", "1") for _ in range(2)]
    assert [driver.wait() for driver in drivers] == [0, 0]
    checks(tmp_path / "two", tmp_path / "whole")
    from _sweep_checks import audit

    assert audit(tmp_path / "two", None)["attempts"] == 12


@pytest.mark.slow
def test_a_ray_cluster_may_lose_a_node(tmp_path: Path, words: list[str]) -> None:
    pytest.importorskip("ray")
    import time

    from ray.cluster_utils import Cluster

    from _sweep_checks import owners, start
    from neural_limits.sweeps import SweepFolder

    assert start(tmp_path / "whole", *words, "--workers", "2").wait() == 0
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        node = cluster.add_node(num_cpus=1)
        out = tmp_path / "ray"
        driver = start(out, *words, "--engine", "ray", "--address", cluster.address)
        while not (out / "sweep.json").exists() or len(owners(SweepFolder.open(out))) < 2:
            assert driver.poll() is None
            time.sleep(0.2)
        cluster.remove_node(node, allow_graceful=False)
        assert driver.wait(timeout=300) == 0
    finally:
        cluster.shutdown()
    checks(out, tmp_path / "whole")
    assert sys.modules.get("ray.tune") is None
