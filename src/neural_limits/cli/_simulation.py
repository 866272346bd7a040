"""One simulation: train, write, print."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xarray as xr

from .. import CurvatureWatch, Run, train
from ..reports import OUTLIER_HEADERS, outlier_rows, summary_rows, write_report
from ..runs import RunFolder
from ..training import Watch
from ..weights import ConditionedMatrix, DenseMatrix
from ._errors import DONE, say
from ._options import command_line
from ._output import choose_folder
from ._prepare import LARGEST_SPECTRUM, Prepared, prepare
from ._progress import training_progress, working
from ._show import line, table
from ._simulate import Simulate


def simulate(options: Simulate) -> int:
    """Train a network and the dense one beside it, write the folder, print what came out; exit status.

    Divergence and an exhausted rank are results: their status is printed and recorded.
    """
    with jax.enable_x64(options.dtype == "float64"):
        plan = prepare(options)
        name = f"{options.task}-{options.network}-w{options.width}"
        folder = RunFolder.create(choose_folder(options.out, name), options.overwrite)
        with folder.recording(), _collected_warnings(folder):
            folder.update(
                kind="simulate", configuration=asdict(plan.options), seed=options.seed,
                command=command_line("simulate", plan.options),
            )  # fmt: skip
            data, status, message = _main_run(plan, folder)
            dense = _dense_run(plan, folder) if plan.dense_width else None
            folder.finish(status, message)
            page = write_report(folder)
    _print_results(folder, data, dense, page)
    return DONE


def _main_run(plan: Prepared, folder: RunFolder) -> tuple[xr.Dataset, str, str]:
    """The run asked for, written at once: dataset, status, message."""
    options = plan.options
    watch = _curvature_watch(plan) if options.curvature else None
    run = _train(plan, options.weights, options.width, watch, options.devices)
    data = _with_spectrum(run) if options.weights == "dense" else run.data
    data = data if watch is None else _with_curvature(data, watch)
    folder.write_dataset("data.nc", data)
    memory = {"held_bytes": _bytes(run)}
    if options.weights == "conditioned":
        itemsize = np.dtype(options.dtype).itemsize
        memory["same_width_bytes"] = plan.network.matrices * options.width**2 * itemsize
    folder.update(timing=dict(run.timing), memory=memory)
    return data, run.status, run.message


def _dense_run(plan: Prepared, folder: RunFolder) -> xr.Dataset:
    """The dense network beside it, on the same task with the same options."""
    run = _train(plan, "dense", plan.dense_width)
    data = _with_spectrum(run)
    folder.write_dataset("dense.nc", data)
    info = folder.info()
    folder.update(
        timing={**info["timing"], "dense_seconds": run.timing["seconds"]},
        memory={**info["memory"], "dense_bytes": _bytes(run)},
        dense={"status": run.status, "message": run.message},
    )
    return data


def _train(plan: Prepared, weights: str, width: int, watch: Watch | None = None, devices: int | None = None) -> Run:
    options = plan.options
    given: dict[str, Any] = {"memory": None if options.memory is None else options.memory * 2**30}
    if options.tolerance is not None:
        given["tolerance"] = options.tolerance
    with training_progress(f"{weights} weights, width {width}", options.steps) as report:
        return train(
            plan.network, plan.task, plan.parametrization, plan.optimizer, width=width, steps=options.steps,
            weights=weights, seed=options.seed, record=options.record or (), batch=options.batch,
            dtype=options.dtype, progress=report, watch=watch, devices=devices, **given,
        )  # fmt: skip


def _curvature_watch(plan: Prepared) -> CurvatureWatch:
    return CurvatureWatch(
        plan.network, plan.task, plan.parametrization, plan.optimizer, width=plan.options.width, count=1,
        kinds=("gauss_newton", "hessian"),
    )  # fmt: skip


def _with_curvature(data: xr.Dataset, watch: CurvatureWatch) -> xr.Dataset:
    """The dataset with the leading eigenvalues at the records; as it is where none was reached."""
    if not data.sizes["record"]:
        return data
    found = watch.dataset().isel(mode=0, drop=True).rename(step="record")
    names = {"eigenvalue": "leading_curvature", "residual": "curvature_residual", "converged": "curvature_converged"}
    return data.merge(found.rename(names))


def _with_spectrum(run: Run) -> xr.Dataset:
    """The dataset, with all singular values at the end where they are cheap and the run came to its end."""
    dense = [w.value for w in run.weights if isinstance(w, DenseMatrix)]
    if run.status != "completed" or not dense or dense[0].shape[0] > LARGEST_SPECTRUM:
        return run.data
    with working("singular values of the dense network"):
        values = np.stack([np.linalg.svd(np.asarray(value), compute_uv=False) for value in dense])
    meaning = {"long_name": "all singular values at the end", "units": "operator norm", "symbol": "σ"}
    return run.data.assign(spectrum=(("layer", "index"), values, meaning))


def _bytes(run: Run) -> int:
    """Bytes that the hidden weights take."""
    return sum(
        w.nbytes if isinstance(w, ConditionedMatrix) else w.value.nbytes
        for w in run.weights
        if isinstance(w, ConditionedMatrix | DenseMatrix)
    )


@contextmanager
def _collected_warnings(folder: RunFolder) -> Iterator[None]:
    """The library's warnings as single lines, and in the run's record before its page is made."""
    found: list[str] = []

    def show(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        if category is UserWarning:
            found.append(str(message))
            say(f"warning: {message}")
            folder.update(warnings=found)

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        yield


def _print_results(folder: RunFolder, data: xr.Dataset, dense: xr.Dataset | None, page: Path) -> None:
    info = folder.info()
    rows = outlier_rows(data, dense, last=True)
    if rows:
        cells = [row.cells() for row in rows]
        table("Outliers at the last record", OUTLIER_HEADERS, cells, numbers=range(len(OUTLIER_HEADERS)))
    else:
        line("No singular value left the bulk at any record.")
    columns = 2 if dense is None else 3
    headers = ("", "this run", "dense beside it")[:columns]
    table("Summary", headers, [row[:columns] for row in summary_rows(info, data, dense)], numbers=[1, 2])
    line("status  " + ": ".join(filter(None, (info["status"], info["message"]))))
    beside = info.get("dense", {})
    if beside.get("message"):
        line(f"dense   {beside['status']}: {beside['message']}")
    line(f"report  {page}")
    figure = next((name for name in ("outliers.png", "loss.png") if folder.has(name)), None)
    if figure is not None:
        line(f"figure  {folder.path / figure}")
