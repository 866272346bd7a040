"""Training with the weights watched: what is recorded is that of the model's own weights."""

import numpy as np
import pytest
import torch

from neural_limits.tasks import Task, text
from neural_limits.torch._real_models import BASE, watch_gpt, watch_mlp


@pytest.fixture(scope="module")
def task():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    x = rng.standard_normal((300, 40)) + 2 * rng.standard_normal((3, 40))[labels]
    return Task(x=x, y=np.eye(3)[labels], loss="softmax")


def test_watched_mlp_learns_and_its_records_agree(task):
    run = watch_mlp(task, "adamw", 96, 0, 30, (10, 30))
    assert run.status == "completed"
    assert run.losses[0] == pytest.approx(np.log(3), rel=1e-6)  # the readout starts at zero
    assert run.losses[-5:].mean() < 0.7 * run.losses[0]
    assert sorted(set(run.rows.step)) == [0, 10, 30]
    assert list(run.changes.matrix) == ["layers.0.weight", "layers.1.weight"]
    last = run.rows[run.rows.step == 30].set_index("matrix")
    for name, (before, after) in run.spectra.items():
        row = last.loc[name]
        assert after[0] * row.edge == pytest.approx(row.s1, rel=1e-5)
        assert np.median(after) * row.edge == pytest.approx(row.q50, rel=1e-5)
        change = run.changes.set_index("matrix").loc[name]
        assert change.middle == pytest.approx(np.median(after) / np.median(before) - 1)
        # Weyl: no singular value moves further than the change's largest
        assert np.abs(after - before).max() <= change.change * (1 + 1e-4)
        assert 1 <= change.change_rank <= min(40 if "0" in name else 96, 96)
    again = watch_mlp(task, "adamw", 96, 0, 30, (30,))
    np.testing.assert_array_equal(again.losses, run.losses)


def test_runs_leave_the_random_state_alone(task):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    watch_mlp(task, "sgd", BASE, 0, 2, (2,))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_watched_gpt(optimizer):
    run = watch_gpt(text(), optimizer, BASE, 0, 6, (6,))
    assert run.status == "completed"
    assert run.losses[-1] < run.losses[0] < 5  # from about log 63
    assert set(run.changes.matrix) == {
        f"blocks.{i}.{n}.weight" for i in range(2) for n in ("attn.qkv", "attn.out_proj", "fc1", "fc2")
    }
    assert (run.changes.change > 0).all()
