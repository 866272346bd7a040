"""Runs of the small models over widths, classes, optimizers and seeds, and what is read from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy import ndarray

from ..tasks import fashion_mnist, text
from ._experiment import Say

if TYPE_CHECKING:
    from ..torch._real_models import Watched

CLASSES = (2, 5, 10)


class Plan(NamedTuple):
    """Sizes of a form of the experiment; Muon goes to smaller widths, its steps being far dearer."""

    mlp_widths: dict[str, tuple[int, ...]]
    gpt_widths: dict[str, tuple[int, ...]]
    classes_width: int
    seeds: int
    mlp_steps: int
    gpt_steps: int


QUICK = Plan(
    dict.fromkeys(("sgd", "adamw", "muon"), (128, 256)),
    {"adamw": (64, 128), "muon": (64, 128)}, 256, 2, 100, 60,
)  # fmt: skip
FULL = Plan(
    {"sgd": (256, 512, 1024, 2048), "adamw": (256, 512, 1024, 2048), "muon": (256, 512)},
    {"adamw": (64, 128, 256), "muon": (64, 128, 256)}, 1024, 3, 300, 200,
)  # fmt: skip

Key = tuple[str, int, int, int]


@dataclass(frozen=True)
class Found:
    """All runs: the MLP's by (optimizer, classes, width, seed), the GPT's by the same with no classes, 0."""

    plan: Plan
    mlp: dict[Key, Watched]
    gpt: dict[Key, Watched]


def record(steps: int) -> tuple[int, ...]:
    """The updates after which spectra are measured.

    >>> record(300)
    (10, 30, 100, 300)
    """
    return (*(k for k in (3, 10, 30, 100, 300, 1000) if steps / 50 < k < steps), steps)


def run_all(plan: Plan, say: Say) -> Found:
    """Every run; OSError where PyTorch is missing, FileNotFoundError where Fashion-MNIST is, before anything is run."""
    try:
        from ..torch._real_models import watch_gpt, watch_mlp
    except ImportError as error:
        raise OSError(f"the experiment real-models cannot run here: {error}") from None
    tasks = {c: fashion_mnist(classes=range(c), samples=10_000, loss="softmax", test_samples=1) for c in CLASSES}
    written = text()
    mlp: dict[Key, Watched] = {}
    for optimizer, widths in plan.mlp_widths.items():
        for width in widths:
            for classes in CLASSES if width == plan.classes_width and optimizer != "muon" else CLASSES[-1:]:
                say(f"MLP of width {width}, {classes} classes, {optimizer}")
                for seed in range(plan.seeds):
                    steps = plan.mlp_steps
                    mlp[optimizer, classes, width, seed] = watch_mlp(
                        tasks[classes], optimizer, width, seed, steps, record(steps)
                    )
    gpt: dict[Key, Watched] = {}
    for optimizer, widths in plan.gpt_widths.items():
        for width in widths:
            say(f"GPT of width {width}, {optimizer}")
            for seed in range(plan.seeds):
                steps = plan.gpt_steps
                gpt[optimizer, 0, width, seed] = watch_gpt(written, optimizer, width, seed, steps, record(steps))
    return Found(plan, mlp, gpt)


def final(runs: dict[Key, Watched], optimizer: str, classes: int, width: int, name: str, which: str) -> ndarray:
    """A number of the last measurement by seed and matrix; ``which``: what names of the matrices contain.

    ``name``: a column of the monitor's rows (``s1`` in units of the edge) or of the changes.
    """
    found = []
    for key, run in runs.items():
        if key[:3] != (optimizer, classes, width):
            continue
        table = run.changes if name in run.changes else run.rows[run.rows.step == run.rows.step.max()]
        table = table[table.matrix.str.contains(which, regex=False)]
        found.append((table.s1 / table.edge if name == "s1" else table[name]).to_numpy(float))
    return np.array(found)


# -- as a dataset --------------------------------------------------------------------------------------------------

COLUMNS = ("edge", "threshold", "outliers", "q10", "q25", "q50", "q75", "q90", "stable_rank", "gradient_share")
DIMS = ["optimizer", "classes", "width", "seed"]


def dataset(found: Found) -> xr.Dataset:
    """Rows of the monitor and changes by optimizer, classes, width, seed, step and matrix; losses by update."""
    parts = {"mlp": _table(found.mlp), "gpt": _table(found.gpt).isel(classes=0, drop=True)}
    return xr.merge(
        [part.rename({name: f"{model}_{name}" for name in part.variables}) for model, part in parts.items()]
    )


def _table(runs: dict[Key, Watched]) -> xr.Dataset:
    modes = [c for c in next(iter(runs.values())).rows if c[0] == "s" and c[1:].isdigit()]
    rows = _joined({key: run.rows for key, run in runs.items()}, ["step", "matrix"])
    values = rows[modes].to_dataarray("mode").assign_coords(mode=range(len(modes)))
    values.attrs = {"long_name": "singular value", "units": "operator norm"}
    losses = {key: pd.DataFrame({"update": range(len(run.losses)), "loss": run.losses}) for key, run in runs.items()}
    return xr.merge([
        rows[[c for c in COLUMNS if c in rows]], values.rename("singular_value"),
        _joined({key: run.changes for key, run in runs.items()}, ["matrix"]), _joined(losses, ["update"]),
    ])  # fmt: skip


def _joined(tables: dict[Key, pd.DataFrame], index: list[str]) -> xr.Dataset:
    """Tables of all runs on one grid, NaN where there is none."""
    whole = pd.concat([table.assign(**dict(zip(DIMS, key, strict=True))) for key, table in tables.items()])
    numbers = whole.set_index([*DIMS, *index]).select_dtypes("number")
    return numbers.astype(float).to_xarray()
