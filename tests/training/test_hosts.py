"""Two processes that share one network end with the numbers of a single one."""

from __future__ import annotations

import json
import os
import runpy
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from on_two_hosts import ARGUMENTS, OPTIONS, WIDTH, numbers

import neural_limits as nl
from neural_limits.training._hosts import ALONE
from neural_limits.training._memory import free_memory

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "examples" / "many_hosts.py"


def test_bases_may_take_what_the_fullest_device_has_on_all() -> None:
    def device(free: float) -> Any:
        stats = {"bytes_limit": 100.0, "bytes_in_use": 100.0 - free}
        return SimpleNamespace(platform="gpu", memory_stats=lambda: stats)

    own = {"addressable_devices": [device(30), device(20)], "num_devices": 4}
    array: Any = SimpleNamespace(sharding=SimpleNamespace(**own))
    assert free_memory(array, ALONE) == 4 * 20
    own["addressable_devices"] = [SimpleNamespace(platform="cpu")]
    array = SimpleNamespace(sharding=SimpleNamespace(**own))
    assert 2**20 < free_memory(array, ALONE) < 2**50


@pytest.mark.slow
def test_two_processes_agree_with_one(tmp_path: Path) -> None:
    flags = "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"
    environment = os.environ | {"XLA_FLAGS": f"{flags} --xla_cpu_use_fusion_emitters=false", "JAX_PLATFORMS": "cpu"}
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    command = [sys.executable, HERE / "on_two_hosts.py", EXAMPLE, tmp_path, address]
    started = [
        subprocess.Popen([*command, str(index)], env=environment, stderr=subprocess.PIPE, text=True)
        for index in range(2)
    ]
    try:
        errors = [process.communicate(timeout=600)[1] for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0, 0], "\n".join(text[-2000:] for text in errors)
    assert [(tmp_path / f"{index}.png").exists() for index in range(2)] == [True, False]

    example = numbers(runpy.run_path(str(EXAMPLE))["train"](WIDTH - WIDTH % 4, None))
    alone = nl.train(*ARGUMENTS, **OPTIONS)
    assert alone.weights[0].capacity[0] > 48  # the bases grew
    for index in range(2):
        found = json.loads((tmp_path / f"{index}.json").read_text())
        np.testing.assert_allclose(found["example"], example, rtol=1e-9)
        np.testing.assert_allclose(found["stopped"], numbers(alone), rtol=1e-9)
        assert found["from"] > 8  # not anew
        assert tuple(found["capacity"]) == alone.weights[0].capacity
        assert found["orthonormal"] < 1e-9
        assert not found["addressable"]
