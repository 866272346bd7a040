"""Curvature over training: a watch that measures, and a run with one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from ..networks import Network, Parameters
from ..parametrizations import MuP, Parametrization
from ..tasks import Task
from ..training import SGD, Optimizer, Run, train
from ._curvature import measure


class CurvatureWatch:
    """A ``watch`` for `train`: measures the curvature at the steps it is called at and keeps the results.

    ``options`` are those of `curvature` (count, kinds, tolerance, ...). `dataset` gives what was found so far.

    >>> import neural_limits as nl
    >>> network, task, sgd = nl.MLP(1), nl.tasks.toy(), nl.SGD(0.5)
    >>> watch = CurvatureWatch(network, task, nl.MuP(), sgd, width=64, kinds=("ntk",), count=1)
    >>> run = nl.train(network, task, nl.MuP(), sgd, width=64, steps=4, weights="dense",
    ...                watch=watch, watch_steps=(0, 4))
    >>> watch.dataset().eigenvalue.sizes
    Frozen({'step': 2, 'kind': 1, 'mode': 1})
    """

    def __init__(
        self, network: Network, task: Task, parametrization: Parametrization, optimizer: Optimizer, *, width: int,
        **options: Any,
    ) -> None:  # fmt: skip
        self._network, self._task, self._optimizer, self._options = network, task, optimizer, options
        self._rules = network.rules(parametrization, width, task.inputs)
        self._found: dict[int, xr.Dataset] = {}

    def __call__(self, step: int, parameters: Parameters) -> None:
        """Measure now."""
        self._found[step] = measure(
            self._network, parameters, self._rules, self._task, self._optimizer, **self._options
        )

    def dataset(self) -> xr.Dataset:
        """eigenvalue, residual, converged over (step, kind, mode), and stability_limit; ValueError if never called."""
        if not self._found:
            raise ValueError("nothing was measured; pass the watch to `train` with `watch_steps`.")
        found = list(self._found.values())
        steps = np.array(list(self._found), int)
        data = xr.concat(
            [each.drop_vars("stability_limit") for each in found], xr.Variable("step", steps), combine_attrs="override"
        )
        data["stability_limit"] = found[0].stability_limit
        worst = max(found, key=lambda each: ("completed", "no_convergence", "diverged").index(each.attrs["status"]))
        data.attrs.update(worst.attrs)
        return data


def track_curvature(
    network: Network,
    task: Task,
    parametrization: Parametrization | None = None,
    optimizer: Optimizer | None = None,
    *,
    width: int,
    steps: int,
    at: Sequence[int],
    count: int = 1,
    kinds: Sequence[str] = ("ntk", "hessian"),
    **options: Any,
) -> tuple[Run, xr.Dataset]:
    """A training run, and its leading curvature eigenvalues after the numbers of updates in ``at``.

    Returns the `Run` and ``eigenvalue``, ``residual``, ``converged`` over (step, kind, mode) beside
    ``stability_limit`` = 2 (1 + momentum)/lr, as `curvature` does. Always on the full task, also with
    mini-batches. Each measurement of conditioned weights is exact in law given the run up to it; it leaves the
    run as it is. ``options`` are those of `train`. ValueError as in `train` and `curvature`.

    >>> import neural_limits as nl
    >>> run, found = nl.track_curvature(nl.MLP(1), nl.tasks.toy(), nl.MuP(gamma=2.0), nl.SGD(0.5), width=128,
    ...                                 steps=20, at=(0, 20), weights="dense")
    >>> bool((found.eigenvalue < found.stability_limit).all())
    True
    """
    parametrization, optimizer = parametrization or MuP(), optimizer or SGD(lr=0.1)
    watch = CurvatureWatch(network, task, parametrization, optimizer, width=width, count=count, kinds=kinds)
    run = train(
        network, task, parametrization, optimizer, width=width, steps=steps, watch=watch, watch_steps=at, **options
    )
    return run, watch.dataset()
