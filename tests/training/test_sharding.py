"""A network over eight devices trains as on one. Measured in a process of its own: devices are fixed at its start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
CLOSE = 1e-9  # sums in another order


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    flags = "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"
    environment = os.environ | {"XLA_FLAGS": f"{flags} --xla_cpu_use_fusion_emitters=false", "JAX_PLATFORMS": "cpu"}
    script = Path(__file__).with_name("on_eight_devices.py")
    done = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_the_numbers_are_those_of_one_device(measured: dict[str, Any]) -> None:
    assert set(measured["same"]) == {"conditioned", "two-layer blocks", "dense"}
    for name, found in measured["same"].items():
        assert {"loss", "outputs", "predict"} <= set(found["differences"])
        assert max(found["differences"].values()) < CLOSE, (name, found)
        assert found["pieces"] == [520 // 8], name
    conditioned = measured["same"]["conditioned"]
    assert "singular_value" in conditioned["differences"]
    assert conditioned["grown"]


def test_only_small_sums_travel(measured: dict[str, Any]) -> None:
    """No base, and no vector of the width, leaves its devices; nowhere is an array of the whole width."""
    programs = measured["programs"]
    gathered = programs.pop("a basis gathered")
    assert (gathered["kinds"], 520 in gathered["sizes"], gathered["whole"] > 0) == (["all-gather"], True, True)
    assert programs["loop"]["kinds"] == ["all-reduce"]
    assert programs["growth"]["kinds"] == programs["start"]["kinds"] == []
    for name, found in programs.items():
        assert not {520, 65} & set(found["sizes"]), name
        assert found["whole"] == 0, name
        assert found["cut"] >= 6, name  # bases, images, input, output


def test_a_device_holds_its_share(measured: dict[str, Any]) -> None:
    one, eight = measured["bytes"]["1"], measured["bytes"]["8"]
    assert one / 8 < eight < 1.02 * one / 8


def test_a_run_goes_on_on_other_devices(measured: dict[str, Any]) -> None:
    assert set(measured["resumed"]) == {"8 to 2", "None to 8", "8 to None"}
    assert max(measured["resumed"].values()) < CLOSE
