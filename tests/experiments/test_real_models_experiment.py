"""The experiment on real models: verdicts follow from what was planted, and the data keep every run."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from neural_limits.experiments._real_figures import classes_figure, spectra_figure, widths_figure
from neural_limits.experiments._real_runs import CLASSES, Found, Plan, dataset, record, run_all
from neural_limits.experiments._real_verdicts import verdicts
from neural_limits.torch._real_models import Watched

WIDTHS, SEEDS = (64, 128, 256), 3
PLAN = Plan(
    dict.fromkeys(("sgd", "adamw", "muon"), WIDTHS), dict.fromkeys(("adamw", "muon"), WIDTHS), 128, SEEDS, 30, 30
)
BLOCKS = ("blocks.0.fc1.weight", "blocks.0.fc2.weight")


def planted(weights, optimizer, classes, width, seed, *, extra=-1, growth=0.0, shift=0.0):
    """A run whose weights have ``classes + extra`` outliers, a top value that grows with width, a bulk that moves."""
    muon, wobble = optimizer == "muon", 1 + 1e-3 * seed
    rows, changes, spectra = [], [], {}
    for step in (0, *record(30)):
        for name in weights:
            rows.append({
                "step": step, "matrix": name, "edge": 2.0, "threshold": 2.1, "s1": 4.0 * width**growth * wobble,
                "s2": 3.0, "outliers": (classes + extra) * (step > 0), "status": "completed", "q50": 1.0,
            })  # fmt: skip
    for name in weights:
        changes.append({
            "matrix": name, "above": classes + extra, "change": 1.0,
            "change_rank": 3.0 * wobble * (width / 64 if muon else 1),
            "middle": wobble * (0.3 if muon else shift), "upper": 0.1,
        })  # fmt: skip
        spectra[name] = np.linspace(0, [1.0, 2.0], 20, axis=1)
    losses = np.full(30, 2.0)
    return Watched(pd.DataFrame(rows), pd.DataFrame(changes), losses, "completed", spectra)


def found(**options):
    mlp = {
        (o, c, n, s): planted(("layers.0.weight", "layers.1.weight"), o, c, n, s, **options)
        for o in PLAN.mlp_widths for n in WIDTHS for s in range(SEEDS)
        for c in (CLASSES if n == PLAN.classes_width and o != "muon" else (10,))
    }  # fmt: skip
    gpt = {
        (o, 0, n, s): planted(BLOCKS, o, 0, n, s, **options)
        for o in PLAN.gpt_widths
        for n in WIDTHS
        for s in range(SEEDS)
    }
    return Found(PLAN, mlp, gpt)


def ending(rows, part):
    return {row.verdict for row in rows if part in row.claim}


def test_verdicts_follow_from_what_was_planted():
    right = verdicts(found())
    assert {row.verdict for row in right} == {"holds"}
    assert len(right) == 2 * 2 * 2 + 3 + 2 + 2 * (3 + 2)
    assert "slope 1.0000 ± 0.0000" in next(row.measured for row in right if "for each class more" in row.claim)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"extra": 3}, "as many outliers as classes"),
        ({"growth": 0.3}, "largest singular value"),
        ({"shift": 0.1}, "leaves the bulk"),
    ],
)
def test_wrong_ones_fail_alone(options, part):
    rows = verdicts(found(**options))
    assert ending(rows, part) == {"fails"}
    assert {row.verdict for row in rows if part not in row.claim} == {"holds"}


def test_a_bulk_between_is_undecided():
    assert ending(verdicts(found(shift=0.02)), "leaves the bulk") == {"undecided"}  # at the bound itself


def test_data_and_figures():
    all_ = found()
    data = dataset(all_)
    assert dict(data.mlp_singular_value.sizes) == {
        "mlp_mode": 2, "mlp_optimizer": 3, "mlp_classes": 3, "mlp_width": 3, "mlp_seed": 3, "mlp_step": 4,
        "mlp_matrix": 2,
    }  # fmt: skip
    one = data.sel(mlp_optimizer="sgd", mlp_classes=5, mlp_width=128, mlp_seed=1)
    assert float(one.mlp_outliers.sel(mlp_step=30, mlp_matrix="layers.1.weight")) == 4
    assert np.isnan(data.mlp_outliers.sel(mlp_optimizer="sgd", mlp_classes=5, mlp_width=64)).all()
    assert data.gpt_loss.dims == ("gpt_optimizer", "gpt_width", "gpt_seed", "gpt_update")
    for draw in (classes_figure, widths_figure, spectra_figure):
        assert draw(all_).axes


def test_a_missing_torch_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "neural_limits.torch._real_models", None)
    with pytest.raises(OSError, match="real-models cannot run here") as caught:
        run_all(PLAN, print)
    assert "\n" not in str(caught.value)


def test_the_list_does_not_import_torch():
    code = "import sys, neural_limits.experiments as e; e.registry(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
