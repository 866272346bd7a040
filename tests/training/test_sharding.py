"""A network spread over eight devices trains as on one. In a process of its own: devices are fixed at start."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """
import warnings
import jax
import numpy as np

jax.config.update("jax_enable_x64", True)
warnings.simplefilter("ignore")
import neural_limits as nl

assert len(jax.devices()) == 8
mesh = nl.weights.particle_mesh()
assert (mesh.size, mesh.axis_names) == (8, ("particles",))

task = nl.tasks.toy(samples=3, inputs=5)
for weights, optimizer in (("conditioned", nl.SGD(lr=1.0, momentum=0.5)), ("dense", nl.SGD(lr=1.0))):
    arguments = nl.MLP(hidden=1), task, nl.MuP(gamma=4.0), optimizer
    options = dict(width=64, steps=4, weights=weights, record=(4,), tolerance=1e-6)
    one = nl.train(*arguments, **options)
    many = nl.train(*arguments, mesh=mesh, **options)
    for run, devices in ((one, 1), (many, 8)):
        assert run.status == "completed"
        weight = run.weights[0]
        for array in (run.parameters.input, weight.right_basis if weights == "conditioned" else weight.value):
            assert len(array.sharding.device_set) == devices
            assert array.addressable_shards[0].data.shape[-1] == 64 // devices
    assert one.data.singular_value.notnull().any()
    for name in ("loss", "outputs", "singular_value"):
        np.testing.assert_allclose(many.data[name], one.data[name], rtol=1e-9, atol=1e-9, err_msg=f"{weights} {name}")
    np.testing.assert_allclose(many.predict(task.x), one.predict(task.x), atol=1e-9)

try:
    nl.train(nl.MLP(hidden=1), task, width=60, steps=1, mesh=mesh)
except ValueError as error:
    print(error)

two = nl.weights.particle_mesh(jax.devices()[:2])
tree = {"host": np.zeros(3), "x": jax.numpy.zeros((3, 6)), "y": jax.numpy.zeros(5)}
placed = nl.weights.shard_particles(tree, two, 6)
assert isinstance(placed["host"], np.ndarray)
assert placed["x"].addressable_shards[0].data.shape == (3, 3)
assert placed["y"].addressable_shards[0].data.shape == (5,)
"""


@pytest.mark.slow
def test_eight_devices_give_the_numbers_of_one() -> None:
    environment = os.environ | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=1 "
        "--xla_cpu_use_fusion_emitters=false"
    }
    environment["JAX_PLATFORMS"] = "cpu"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "`width` must be a multiple of the 8 devices of the mesh; got 60." in done.stdout
