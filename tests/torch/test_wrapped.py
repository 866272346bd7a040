"""A parametrized model survives what practitioners do to models: copies, checkpoints, compilation, DDP and FSDP2."""

from __future__ import annotations

import copy
import io
import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from neural_limits.torch import parametrize


@pytest.fixture
def made(lab):
    """A parametrized model with everything in it: tied embeddings, packed attention, another depth."""
    torch.manual_seed(0)
    model = lab.GPT(64, 3, tied=True)
    return model, parametrize(model, lab.GPT(32, 2, tied=True), "complete-p", "adamw")


def test_nothing_is_stored_on_tensors(made):
    for value in made[0].parameters():
        assert vars(value) == {}
        assert not value._backward_hooks


def test_a_deep_copy_trains_as_the_original(lab, made):
    model, p = made
    twin = copy.deepcopy(model)
    groups = p.param_groups(1e-2, 0.1, model=twin)
    assert {id(v) for g in groups for v in g["params"]} == {id(v) for v in twin.parameters()}
    ours = lab.train(model, [torch.optim.AdamW(p.param_groups(1e-2, 0.1))])
    assert ours == lab.train(twin, [torch.optim.AdamW(groups)])
    both = copy.deepcopy(p)  # the rules with their model
    assert both.model is not p.model
    assert len(both.param_groups(1e-2)) == len(p.param_groups(1e-2))


def test_pickling_and_state_dict(lab, made):
    model = made[0]
    expected = model(lab.batch(model)[0])
    assert torch.equal(pickle.loads(pickle.dumps(model))(lab.batch(model)[0]), expected)
    stream = io.BytesIO()
    torch.save(model.state_dict(), stream)
    stream.seek(0)
    fresh = lab.GPT(64, 3, tied=True)
    parametrize(fresh, lab.GPT(32, 2, tied=True), "complete-p", "adamw")
    fresh.load_state_dict(torch.load(stream, weights_only=True))
    assert torch.equal(fresh(lab.batch(fresh)[0]), expected)


def test_compilation_keeps_the_readouts_factor(lab, made):
    model, p = made
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(lab.batch(model)[0]), model(lab.batch(model)[0]))
    groups = p.param_groups(1e-2, model=compiled)
    assert {id(v) for g in groups for v in g["params"]} == {id(v) for v in model.parameters()}


WORKER = """
import copy, os, sys
sys.path.insert(0, sys.argv[1])
import torch, torch.distributed as dist
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel
from conftest import GPT, batch, train
from neural_limits.torch import parametrize

dist.init_process_group("gloo")
torch.manual_seed(0)
model = GPT(64, 3, tied=True)
base = GPT(32, 2, tied=True)
p = parametrize(model, base, "complete-p", "adamw")
twin = copy.deepcopy(model)
alone = train(twin, [torch.optim.AdamW(p.param_groups(1e-2, 0.1, model=twin))])
if sys.argv[2] == "ddp":
    before = p.param_groups(1e-2, 0.1)  # the parameters stay the same objects
    wrapped = DistributedDataParallel(model)
    names = [id(v) for g in p.param_groups(1e-2, 0.1, model=wrapped) for v in g["params"]]
    assert names == [id(v) for g in before for v in g["params"]]
    optimizer = torch.optim.AdamW(before)
else:
    wrapped = model
    for block in model.blocks:
        fully_shard(block)
    fully_shard(model)
    optimizer = torch.optim.AdamW(p.param_groups(1e-2, 0.1))
    assert all(hasattr(v, "to_local") for v in model.parameters())
losses = []
data = batch(twin)
for _ in range(5):
    value = torch.nn.functional.cross_entropy(wrapped(data[0]).flatten(0, -2), data[1].flatten())
    optimizer.zero_grad()
    value.backward()
    optimizer.step()
    losses.append(float(value.detach()))
torch.testing.assert_close(torch.tensor(losses), torch.tensor(alone), rtol=1e-4, atol=1e-5)
if dist.get_rank() == 0:
    print("same", losses[0], losses[-1])
dist.barrier()
dist.destroy_process_group()
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ddp", "fsdp2"])
def test_two_processes_train_as_one(kind):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
    here = str(Path(__file__).parent)
    common = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, here, kind],
            env={**common, "RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        answers = [worker.communicate(timeout=300) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert all(worker.returncode == 0 for worker in workers), answers[0][1][-3000:] + answers[1][1][-3000:]
    assert answers[0][0].startswith("same")
