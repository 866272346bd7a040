"""A network over eight devices trains as on one. Measured in a process of its own: devices are fixed at its start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CLOSE = 1e-9  # sums in another order


@pytest.mark.slow
def test_eight_devices() -> None:
    flags = "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"
    environment = os.environ | {"XLA_FLAGS": f"{flags} --xla_cpu_use_fusion_emitters=false", "JAX_PLATFORMS": "cpu"}
    script = Path(__file__).with_name("on_eight_devices.py")
    done = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    measured = json.loads(done.stdout)

    # the numbers are those of one device
    assert set(measured["same"]) == {"conditioned", "two-layer blocks", "dense"}
    for name, found in measured["same"].items():
        assert {"loss", "outputs", "predict"} <= set(found["differences"])
        assert max(found["differences"].values()) < CLOSE, (name, found)
        assert found["pieces"] == [520 // 8], name
    conditioned = measured["same"]["conditioned"]
    assert "singular_value" in conditioned["differences"]
    assert conditioned["grown"]

    # only small sums travel: no basis and no vector of the width leaves its devices, nowhere is one of whole width
    programs = measured["programs"]
    gathered = programs.pop("a basis gathered")
    assert (gathered["kinds"], 520 in gathered["sizes"], gathered["whole"] > 0) == (["all-gather"], True, True)
    assert programs["loop"]["kinds"] == ["all-reduce"]
    assert programs["growth"]["kinds"] == programs["start"]["kinds"] == []
    for name, found in programs.items():
        assert not {520, 65} & set(found["sizes"]), name
        assert found["whole"] == 0, name
        assert found["cut"] >= 6, name  # bases, images, input, output

    # a device holds its share
    one, eight = measured["bytes"]["1"], measured["bytes"]["8"]
    assert one / 8 < eight < 1.02 * one / 8

    # a run goes on on other devices
    assert set(measured["resumed"]) == {"8 to 2", "None to 8", "8 to None"}
    assert max(measured["resumed"].values()) < CLOSE
