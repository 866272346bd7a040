"""SpectralMonitor against dense oracles: values, outliers, false alarms, overlaps, curvature, resumed runs, sinks."""

from __future__ import annotations

import importlib.util
import io
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.func import functional_call

from neural_limits.torch import (
    SpectralMonitor,
    _measure,
    lightning_callback,
    tensorboard_sink,
    trainer_callback,
    wandb_sink,
)

torch.set_num_threads(1)  # matrices are small, and workers share the cores


def small_model(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(12, 40), nn.Tanh(), nn.Linear(40, 36), nn.Tanh(), nn.Linear(36, 3))


def train(model: nn.Module, monitor: SpectralMonitor, steps: int, opt: torch.optim.Optimizer, start: int = 0) -> None:
    for step in range(start, start + steps):
        generator = torch.Generator().manual_seed(step)
        x, y = torch.randn(16, 12, generator=generator), torch.randn(16, 3, generator=generator)
        opt.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        opt.step()
        monitor.step(loss)


@pytest.mark.parametrize("dense", [512, 8], ids=["dense", "lanczos"])
def test_rows_against_a_dense_decomposition(dense: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_measure, "DENSE", dense)
    model = small_model()
    opt = torch.optim.SGD([{"params": model[0].parameters(), "lr": 0.2}, {"params": model[2:].parameters()}], lr=0.5)
    monitor = SpectralMonitor(model, every=4, top=3, optimizer=opt)
    train(model, monitor, 8, opt)
    table = monitor.to_pandas()
    assert table.step.tolist() == [4, 4, 4, 8, 8, 8]
    assert table.lr.tolist() == [0.2, 0.5, 0.5] * 2
    for (name, weight), (_, row) in zip(
        [(n, p) for n, p in model.named_parameters() if p.ndim > 1], table[3:].iterrows(), strict=True
    ):
        left, values, right = torch.linalg.svd(weight.detach().double(), full_matrices=False)
        gradient = weight.grad.double()
        inside = left[:, :3].T @ gradient @ right[:3].T / gradient.norm()
        assert row.matrix == name
        np.testing.assert_allclose(row[["s1", "s2", "s3"]].to_numpy(float), values[:3], rtol=1e-4)
        np.testing.assert_allclose(
            row[["overlap1", "overlap2", "overlap3"]].to_numpy(float), inside.diagonal().abs(), atol=0.01
        )
        assert row.gradient_share == pytest.approx(float((inside**2).sum()), abs=0.01)
        assert row.stable_rank == pytest.approx(float((values**2).sum() / values[0] ** 2), rel=3e-4)
        wanted = np.quantile(values, [0.1, 0.25, 0.5, 0.75, 0.9])
        off = np.abs(row[["q10", "q25", "q50", "q75", "q90"]].to_numpy(float) - wanted)
        assert (off <= 4 * row.q_error + 1e-6).all()


def test_planted_spikes_are_counted_and_escape_once() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(400, 600, bias=False), nn.Linear(600, 700, bias=False))
    for layer in model:
        nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
    monitor = SpectralMonitor(model, every=1, top=2)
    monitor.measure()
    for count in (1, 3):  # more than `top`
        with torch.no_grad():
            for layer in model:
                u, v = (torch.linalg.qr(torch.randn(n, count))[0] for n in layer.weight.shape)
                layer.weight += 4 * u @ v.T
        monitor.step()
    table = monitor.to_pandas().set_index(["matrix", "step"])
    for name in ("0.weight", "1.weight"):  # by a whole decomposition, and by Lanczos
        assert table.loc[name].outliers.tolist() == [0, 1, 4]
        assert table.loc[name].escape_step.fillna(-1).tolist() == [-1, 1, 1]
        assert table.loc[name].escape2.fillna(-1).tolist() == [-1, -1, 2]


@pytest.mark.parametrize("dense", [512, 8], ids=["dense", "lanczos"])
def test_false_alarms_at_the_stated_rate(dense: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_measure, "DENSE", dense)
    monkeypatch.setattr(_measure, "spectrum_quantiles", lambda *_, **__: (np.ones(5), np.ones(5)))  # not looked at here
    torch.manual_seed(1)
    matrices, rate = 200, 0.1
    model = nn.ParameterList([nn.Parameter(torch.randn(40, 60)) for _ in range(matrices)])
    monitor = SpectralMonitor(model, top=1, init_std=lambda name, parameter: 1.0, false_alarm=rate)
    monitor.measure()
    alarms = float((monitor.to_pandas().outliers > 0).mean())
    assert abs(alarms - rate) < 4 * (rate * (1 - rate) / matrices) ** 0.5


def dense_curvature(model: nn.Module, x: torch.Tensor, y: torch.Tensor, loss: Any) -> dict[str, torch.Tensor]:
    """Hessian, Gauss-Newton and NTK matrices over all parameters by torch.func."""
    named = {n: p.detach().double() for n, p in model.named_parameters()}
    sizes = [p.numel() for p in named.values()]

    def outputs(flat: torch.Tensor) -> torch.Tensor:
        parts = [v.view_as(p) for v, p in zip(flat.split(sizes), named.values(), strict=True)]
        return functional_call(model, dict(zip(named, parts, strict=True)), (x.double(),))

    flat = torch.cat([p.reshape(-1) for p in named.values()])
    f = outputs(flat)
    jacobian = torch.func.jacrev(outputs)(flat).reshape(-1, len(flat))
    inner = torch.func.hessian(lambda g: loss(g, y))(f).reshape(f.numel(), f.numel())
    return {
        "hessian": torch.func.hessian(lambda v: loss(outputs(v), y))(flat),
        "gauss_newton": jacobian.T @ inner @ jacobian,
        "ntk": jacobian.T @ jacobian / len(x),
    }


@pytest.mark.parametrize("optimizer", ["none", "sgd", "adam"])
def test_curvature_against_dense_matrices(optimizer: str) -> None:
    torch.manual_seed(2)
    model = nn.Sequential(nn.Linear(5, 9), nn.Tanh(), nn.Dropout(0.5), nn.Linear(9, 4)).train()
    x, y = torch.randn(12, 5), torch.randint(0, 4, (12,))
    loss = nn.functional.cross_entropy
    opt: torch.optim.Optimizer | None = None
    rates = [1.0] * 4
    limit = None
    if optimizer == "sgd":
        opt = torch.optim.SGD(
            [{"params": model[0].parameters(), "lr": 0.3}, {"params": model[3].parameters(), "lr": 2.0}], momentum=0.5
        )
        rates, limit = [0.3, 0.3, 2.0, 2.0], 3.0
    elif optimizer == "adam":
        opt = torch.optim.AdamW(model.parameters(), lr=0.01, betas=(0.8, 0.9))
        for _ in range(3):
            opt.zero_grad()
            loss(model(x), y).backward()
            opt.step()
        second = [opt.state[p]["exp_avg_sq"].double() / (1 - 0.9**3) for p in model.parameters()]
        rates, limit = [0.01 / (v.sqrt() + 1e-8) for v in second], 2 * 1.8 / 0.2
    kinds = ("hessian", "gauss_newton", "ntk")
    monitor = SpectralMonitor(model, optimizer=opt, probe=(x, y), loss=loss, kinds=kinds)
    monitor.measure_curvature()
    monitor.measure_curvature()  # a warm start
    pairs = zip(model.parameters(), rates, strict=True)
    root = torch.cat([(torch.zeros_like(p).double() + rate).sqrt().reshape(-1) for p, rate in pairs])
    exact = dense_curvature(model.eval(), x, y, loss)
    assert model.training is False
    for _, row in monitor.curvature_to_pandas().iterrows():
        assert row.status == "completed"
        assert pd.isna(row.limit) if limit is None else row.limit == pytest.approx(limit)
        for kind in kinds:
            wanted = float(torch.linalg.eigvalsh(root[:, None] * exact[kind] * root)[-1])
            assert row[kind] == pytest.approx(wanted, rel=1e-4)


def test_the_curvature_leaves_the_model_as_it_was() -> None:
    model = nn.Sequential(nn.Linear(5, 9), nn.BatchNorm1d(9), nn.Dropout(0.5), nn.Linear(9, 4)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    monitor = SpectralMonitor(model, probe=(torch.randn(8, 5), torch.randn(8, 4)), loss=nn.functional.mse_loss)
    monitor.measure_curvature()
    assert all(module.training for module in model.modules())
    assert all(p.grad is None for p in model.parameters())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("dense", [512, 8], ids=["dense", "lanczos"])
def test_a_resumed_run_gives_identical_rows(dense: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_measure, "DENSE", dense)
    probe = torch.randn(6, 12), torch.randn(6, 3)
    loss = nn.functional.mse_loss
    options: dict[str, Any] = {"every": 2, "top": 3, "probe": probe, "loss": loss, "curvature_every": 2}
    model = small_model()
    opt = torch.optim.SGD(model.parameters(), lr=0.5)
    monitor = SpectralMonitor(model, optimizer=opt, **options)
    train(model, monitor, 4, opt)
    file = io.BytesIO()
    torch.save({"model": model.state_dict(), "monitor": monitor.state_dict()}, file)
    train(model, monitor, 4, opt, start=4)

    file.seek(0)
    state = torch.load(file, weights_only=True)
    again = small_model(seed=5)
    opt = torch.optim.SGD(again.parameters(), lr=0.5)
    again.load_state_dict(state["model"])
    resumed = SpectralMonitor(again, optimizer=opt, **options)
    resumed.load_state_dict(state["monitor"])
    train(again, resumed, 4, opt, start=4)
    pd.testing.assert_frame_equal(resumed.to_pandas(), monitor.to_pandas(), check_exact=True)
    pd.testing.assert_frame_equal(resumed.curvature_to_pandas(), monitor.curvature_to_pandas(), check_exact=True)
    with pytest.raises(ValueError, match=r"`state` must be of the same model; 0.weight is \(40, 12\), here \(2, 2\)"):
        SpectralMonitor(nn.Sequential(nn.Linear(2, 2))).load_state_dict(state["monitor"])


def test_bfloat16_weights_under_autocast() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(30, 50)).bfloat16()
    x = torch.randn(8, 30).bfloat16()
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    probe, mse = (x, torch.randn(8, 50)), nn.functional.mse_loss
    monitor = SpectralMonitor(model, every=1, probe=probe, loss=mse, curvature_every=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model(x).square().mean()
        loss.backward()
        opt.step()
        monitor.step(loss)
    row = monitor.to_pandas().iloc[0]
    assert row.s1 == pytest.approx(float(torch.linalg.svdvals(model[0].weight.detach().double())[0]), rel=1e-6)
    assert 0 < row.overlap1 <= 1
    features = torch.cat([x, torch.ones(8, 1)], 1).double()  # weights and bias; the mean is over 8 x 50 outputs
    exact = 2 * float(torch.linalg.matrix_norm(features, 2)) ** 2 / (8 * 50)
    assert monitor.curvature_to_pandas().hessian[0] == pytest.approx(exact, rel=1e-4)


def test_which_weights_are_watched() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.conv, self.norm = nn.Embedding(20, 8), nn.Conv2d(3, 6, 5), nn.LayerNorm(8)
            self.readout = nn.Linear(8, 20, bias=False)
            self.readout.weight = self.embed.weight

    monitor = SpectralMonitor(Tied())
    monitor.measure()
    assert monitor.to_pandas()[["matrix", "rows", "columns"]].to_numpy().tolist() == [
        ["embed.weight", 20, 8], ["conv.weight", 6, 75],
    ]  # fmt: skip
    without = SpectralMonitor(Tied(), exclude=["embed*"])
    assert list(without.init_std) == ["conv.weight"]
    with pytest.raises(ValueError, match=r"`model` must have a weight matrix that is included; .*: embed.weight, conv"):
        SpectralMonitor(Tied(), include=["head.*"])
    assert list(SpectralMonitor(torch.compile(Tied())).init_std) == ["embed.weight", "conv.weight"]
    assert list(SpectralMonitor(nn.DataParallel(Tied())).init_std) == ["embed.weight", "conv.weight"]


def test_zero_broken_and_changed_weights() -> None:
    model = nn.Sequential(nn.Linear(40, 40, bias=False), nn.Linear(40, 40, bias=False))
    nn.init.zeros_(model[0].weight)
    monitor = SpectralMonitor(model)
    assert monitor.init_std["0.weight"] is None
    monitor.measure()
    with torch.no_grad():
        nn.init.normal_(model[0].weight)
        model[1].weight[3, 4] = float("nan")
    monitor.measure()
    table = monitor.to_pandas()
    assert table.status.tolist() == ["zero", "completed", "completed", "non_finite"]
    assert table.s1[0] == 0
    assert pd.isna(table.edge[2])  # it started at zero: no bulk to stand out of
    model[0].weight = nn.Parameter(torch.randn(30, 40))
    with pytest.raises(ValueError, match=r"`model` has changed: 0.weight was \(40, 40\), is \(30, 40\)"):
        monitor.measure()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, "`every` must be at least 1; got 0"),
        ({"top": 0}, "`top` must be at least 1; got 0"),
        ({"false_alarm": 0.9}, "`false_alarm` must be in"),
        ({"init_std": {"nothing": 1.0}}, "`init_std` must name weights of the model; got 'nothing'"),
        ({"init_std": {"0.weight": float("nan")}}, "`init_std` of 0.weight must be finite"),
        ({"probe": torch.ones(3)}, r"`probe` must be \(inputs, targets\)"),
        ({"probe": (1, 2)}, "`loss` must be a function"),
    ],
)
def test_bad_arguments_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SpectralMonitor(small_model(), **options)


def test_tables_and_sinks(tmp_path: Path) -> None:
    model, rows = small_model(), []
    scalars: dict[str, float] = {}
    logged: list[dict[str, float]] = []
    writer = types.SimpleNamespace(add_scalar=lambda tag, value, step: scalars.__setitem__(f"{tag}@{step}", value))
    run = types.SimpleNamespace(log=logged.append)
    monitor = SpectralMonitor(model, every=1, top=2, sinks=[rows.append, tensorboard_sink(writer), wandb_sink(run)])
    train(model, monitor, 2, torch.optim.SGD(model.parameters(), lr=0.1))
    table = monitor.to_pandas()
    assert [row["matrix"] for row in rows] == table.matrix.tolist()
    assert scalars["2.weight/s1@2"] == table.s1[4]
    assert logged[4]["2.weight/s1"] == table.s1[4]
    assert logged[4]["spectra/step"] == 2
    monitor.to_csv(tmp_path / "rows.csv")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "rows.csv"), table, check_dtype=False)
    later = SpectralMonitor(model, every=1, top=2)
    later.steps = 1
    train(model, later, 2, torch.optim.SGD(model.parameters(), lr=0.1))  # steps 2 and 3; 2 is measured anew
    later.to_csv(tmp_path / "rows.csv", append=True)
    both = pd.read_csv(tmp_path / "rows.csv")
    assert both.step.tolist() == [1] * 3 + [2] * 3 + [3] * 3
    np.testing.assert_allclose(both.s1[3:], later.to_pandas().s1)
    assert [file.name for file in tmp_path.iterdir()] == ["rows.csv"]


def test_parquet(tmp_path: Path) -> None:
    model = small_model()
    monitor = SpectralMonitor(model)
    monitor.measure()
    try:
        import pyarrow  # noqa: F401
    except ModuleNotFoundError:
        with pytest.raises(ImportError, match="pip install pyarrow"):
            monitor.to_parquet(tmp_path / "rows.parquet")
    else:
        monitor.to_parquet(tmp_path / "rows.parquet")
        pd.testing.assert_frame_equal(
            pd.read_parquet(tmp_path / "rows.parquet"), monitor.to_pandas(), check_dtype=False
        )


def module_with(name: str, **attributes: Any) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__dict__.update(attributes)
    return module


def test_callbacks_follow_the_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against stand-ins with the hooks' documented signatures."""
    monkeypatch.setitem(sys.modules, "lightning", module_with("lightning"))
    base = type("Base", (), {})
    monkeypatch.setitem(sys.modules, "lightning.pytorch", module_with("lightning.pytorch", Callback=base))
    monkeypatch.setitem(sys.modules, "transformers", module_with("transformers", TrainerCallback=base))
    monitor = SpectralMonitor(small_model(), every=1)
    callback = lightning_callback(monitor)
    trainer = types.SimpleNamespace(global_step=0)
    callback.on_train_start(trainer, None)
    for batch in range(4):  # two batches an update
        trainer.global_step = (batch + 1) // 2
        callback.on_train_batch_end(trainer, None, {"loss": torch.tensor(float(batch))}, None, batch)
    assert monitor.to_pandas()[["step", "loss"]].drop_duplicates().to_numpy().tolist() == [[1, 1.0], [2, 3.0]]
    state = callback.state_dict()
    other = SpectralMonitor(small_model(), every=1)
    lightning_callback(other).load_state_dict(state)
    assert other.steps == 2

    hugging = trainer_callback(other)
    optimizer = torch.optim.SGD(small_model().parameters(), lr=0.1)
    logs = types.SimpleNamespace(log_history=[{"loss": 0.5}, {"eval_loss": 9.0}])
    hugging.on_optimizer_step(None, logs, None, model=None, optimizer=optimizer)
    assert (other.steps, other.to_pandas().loss.iloc[-1], other.optimizer) == (3, 0.5, optimizer)


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = SpectralMonitor(small_model())
    for name in ("lightning.pytorch", "pytorch_lightning", "transformers", "wandb"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match="pip install lightning"):
        lightning_callback(monitor)
    with pytest.raises(ImportError, match="pip install transformers"):
        trainer_callback(monitor)
    with pytest.raises(ImportError, match="pip install wandb"):
        wandb_sink()


def test_without_torch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    package = sys.modules["neural_limits.torch"]
    spec = importlib.util.spec_from_file_location("neural_limits.torch_again", package.__file__)
    assert spec is not None
    assert spec.loader is not None
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"neural_limits.torch needs PyTorch; .* 'neural-limits\[torch\]'"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def test_a_step_that_is_not_due_does_nothing() -> None:
    monitor = SpectralMonitor(small_model(), every=1000)

    class Untouchable:
        def __float__(self) -> float:
            raise AssertionError("the loss was read: a synchronisation")

    for _ in range(999):
        monitor.step(Untouchable())  # type: ignore[arg-type]
    assert monitor.seconds == 0
    assert monitor.to_pandas().empty
