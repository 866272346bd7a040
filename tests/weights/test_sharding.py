"""Where the arrays of a wide network go; the run over eight devices is tests/training/test_devices.py."""

import re
from typing import Any

import jax
import numpy as np
import pytest
from jax.sharding import AbstractMesh, Mesh, PartitionSpec

import neural_limits as nl
from neural_limits.weights import ConditionedMatrix, on_host, particle_mesh, particle_shardings

HERE = jax.devices()[0]


def test_a_mesh_has_one_axis_whatever_it_is_made_from() -> None:
    square = Mesh(np.array([[HERE]]), ("a", "b"))
    for devices in (None, 1, [HERE], square):
        mesh = particle_mesh(devices)
        assert (mesh.axis_names, list(mesh.devices)) == (("particles",), [HERE])


@pytest.mark.parametrize("devices", [0, 1.5, [], [HERE, HERE], ["cpu"], "1"])
def test_what_is_no_set_of_devices_is_refused(devices: Any) -> None:
    with pytest.raises(ValueError, match="`devices` must be"):
        particle_mesh(devices)


def test_more_devices_than_there_are() -> None:
    there = len(jax.devices())
    with pytest.raises(
        ValueError, match=re.escape(f"`devices` must not exceed the {there} that JAX sees ({HERE.platform}); got")
    ):
        nl.train(nl.MLP(1), nl.tasks.toy(), width=64, steps=1, devices=there + 1)


def test_devices_of_other_processes_alone_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    with pytest.raises(ValueError, match="`devices` must be this process's own, or some of each of 2; got"):
        particle_mesh([HERE])
    monkeypatch.setattr(jax, "process_index", lambda: 0)
    assert particle_mesh([HERE]).size == 1  # a run of its own


def test_wide_arrays_are_cut_and_all_else_is_copied() -> None:
    mesh: Any = AbstractMesh((8,), ("particles",))
    weight = ConditionedMatrix.create(jax.random.key(0), 48, 48, capacity=(16, 32))
    placed = particle_shardings({"w": weight, "keys": jax.random.split(weight.key, 48)}, mesh, 48)
    cut = PartitionSpec(None, "particles")
    w = placed["w"]
    sides = (w.right, w.left)
    assert {piece.spec for side in sides for rows in (side.basis, side.image) for piece in rows.pieces} == {cut}
    assert {x.spec for x in (w.core, w.std, w.left.rank, w.key, placed["keys"])} == {PartitionSpec()}
    with pytest.raises(ValueError, match="`width` must be a multiple of the 8 devices it is cut over; got 60"):
        particle_shardings(weight, mesh, 60)


def test_an_array_of_one_process_is_read_as_it_is() -> None:
    np.testing.assert_array_equal(on_host(jax.numpy.arange(3)), [0, 1, 2])
