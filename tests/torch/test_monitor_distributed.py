"""SpectralMonitor on two processes: rank 0 reports what a single process would, for replicas and for shards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from neural_limits.torch import SpectralMonitor


def train(kind: str, folder: str, rank: int) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model: nn.Module = nn.Sequential(nn.Linear(12, 30), nn.Tanh(), nn.Linear(30, 5))
    if kind == "ddp":
        model = DistributedDataParallel(model)
    elif kind == "fsdp":
        mesh = init_device_mesh("cpu", (2,))
        fully_shard(model, mesh=mesh)
    opt = torch.optim.SGD(model.parameters(), lr=0.5)
    monitor = SpectralMonitor(model, every=2, top=3, optimizer=opt)
    x, y = torch.randn(16, 12), torch.randn(16, 5)
    for _ in range(4):
        opt.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        opt.step()
        monitor.step(loss)
    if rank == 0:
        monitor.to_csv(Path(folder) / f"{kind}.csv")
    else:
        assert monitor.to_pandas().empty


def worker(rank: int, kind: str, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/{kind}.store", rank=rank, world_size=2)
    try:
        train(kind, folder, rank)
    finally:
        dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_rank_zero_reports_what_one_process_would(kind: str, tmp_path: Path) -> None:
    mp.spawn(worker, args=(kind, str(tmp_path)), nprocs=2)
    train("alone", str(tmp_path), 0)
    ours, alone = (pd.read_csv(tmp_path / f"{name}.csv") for name in (kind, "alone"))
    assert ours.columns.tolist() == alone.columns.tolist()
    numbers = alone.select_dtypes("number").columns
    np.testing.assert_allclose(ours[numbers], alone[numbers], rtol=1e-4, atol=1e-6)
    assert ours.matrix.tolist() == alone.matrix.tolist()
