"""Checkpoints: a run stopped and resumed equals the undisturbed one to the bit; bad files are one line."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import neural_limits as nl
from neural_limits.training import CheckpointError

TASK = nl.tasks.toy(samples=4)
LONG: dict[str, Any] = {"width": 48, "steps": 14, "record": (3, 9)}


class Stopped(Exception):
    pass


def stop_at(wanted: int) -> Any:
    def report(step: int, steps: int, loss: float) -> None:
        if step >= wanted:
            raise Stopped

    return report


def same(a: nl.Run, b: nl.Run) -> None:
    assert a.status == b.status
    assert set(a.data.variables) == set(b.data.variables)
    for name in a.data.variables:
        np.testing.assert_array_equal(a.data[name].values, b.data[name].values, err_msg=str(name))
    for x, y in zip(jax.tree.leaves(a.parameters), jax.tree.leaves(b.parameters), strict=True):
        if jax.numpy.issubdtype(x.dtype, jax.dtypes.prng_key):
            x, y = jax.random.key_data(x), jax.random.key_data(y)
        np.testing.assert_array_equal(x, y)


CASES: dict[str, tuple[Any, Any, Any, dict[str, Any]]] = {
    "conditioned": (nl.MLP(1), nl.MuP(gamma=4.0), nl.SGD(1.0, momentum=0.9), {"tolerance": 1e-3}),
    "stack": (nl.ResNet(2), nl.DepthMuP(gamma=2.0), nl.SGD(0.1), {"tolerance": 1e-3}),
    "dense batches": (nl.MLP(1), nl.MuP(), nl.SGD(0.3), {"weights": "dense", "batch": 2}),
    "adam": (nl.MLP(1), nl.MuP(), nl.Adam(0.05), {"weights": "dense"}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_resumed_run_is_the_undisturbed_one(tmp_path: Path, case: str) -> None:
    network, table, optimizer, more = CASES[case]
    options = LONG | more | ({"width": 300, "steps": 24} if "tolerance" in more else {})
    whole = nl.train(network, TASK, table, optimizer, **options)
    if case == "conditioned":  # the bases grew after the first stop, or nothing is shown
        assert int(whole.data.rank_right.max()) > 64
    file = tmp_path / "state"
    for stop in (2, 9):  # before and at a record; the bases grow later
        with pytest.raises(Stopped):
            nl.train(network, TASK, table, optimizer, checkpoint=file, progress=stop_at(stop), **options)
    seen: list[int] = []
    again = nl.train(
        network, TASK, table, optimizer, checkpoint=file, progress=lambda step, *_: seen.append(step), **options
    )
    assert seen[0] > 9  # it did go on
    same(whole, again)


def test_it_is_written_every_so_many_steps(tmp_path: Path) -> None:
    steps: list[int] = []
    file = tmp_path / "state"
    options = {"width": 16, "steps": 10, "weights": "dense", "checkpoint": file, "checkpoint_every": 4}
    nl.train(nl.MLP(1), TASK, **options, progress=lambda step, *_: None)
    nl.train(nl.MLP(1), TASK, **options, progress=lambda step, *_: steps.append(step))
    assert steps == [9, 10]  # from 8 on


def test_a_damaged_or_foreign_file_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "state"
    options: dict[str, Any] = {"width": 16, "steps": 4, "weights": "dense", "checkpoint": file, "checkpoint_every": 2}
    nl.train(nl.MLP(1), TASK, nl.MuP(), nl.SGD(0.1), **options)
    with pytest.raises(CheckpointError, match="other arguments"):
        nl.train(nl.MLP(1), TASK, nl.MuP(), nl.SGD(0.2), **options)
    with pytest.raises(CheckpointError, match="other arguments"):
        nl.train(nl.MLP(1), nl.tasks.toy(samples=4, seed=8), nl.MuP(), nl.SGD(0.1), **options)
    content = bytearray(file.read_bytes())
    for damage in (content[: len(content) // 2], bytes(content[:200]) + b"\xff" * 64 + bytes(content[264:]), b"", b"x"):
        file.write_bytes(damage)
        with pytest.raises(CheckpointError, match="damaged") as error:
            nl.train(nl.MLP(1), TASK, nl.MuP(), nl.SGD(0.1), **options)
        assert "\n" not in str(error.value)


def test_what_a_checkpoint_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="`watch` keeps what a checkpoint cannot hold"):
        nl.train(nl.MLP(1), TASK, width=8, steps=1, checkpoint=tmp_path / "x", watch=lambda step, parameters: None)
    with pytest.raises(ValueError, match="`checkpoint_every` needs `checkpoint`"):
        nl.train(nl.MLP(1), TASK, width=8, steps=1, checkpoint_every=1)
    with pytest.raises(ValueError, match="`checkpoint_every` must be at least 1"):
        nl.train(nl.MLP(1), TASK, width=8, steps=1, checkpoint=tmp_path / "x", checkpoint_every=0)


def test_the_other_form_of_muon_does_not_go_on(tmp_path: Path) -> None:
    options = {"width": 24, "steps": 3, "weights": "dense", "checkpoint": tmp_path / "run", "checkpoint_every": 1}
    nl.train(nl.MLP(1), nl.tasks.toy(), nl.MuP(), nl.Muon(lr=0.1), **options)
    assert (tmp_path / "run").exists()
    with pytest.raises(CheckpointError, match="other arguments"):
        nl.train(nl.MLP(1), nl.tasks.toy(), nl.MuP(), nl.Muon(lr=0.1, newton_schulz=False), **options)
