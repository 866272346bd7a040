"""Leading curvature eigenvalues of a trained network, beside the rate's limit of stability."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
import xarray as xr

from .._checks import one_of, positive_int
from .._notation import attributes
from ..networks import Network, Parameters
from ..parametrizations import Rules
from ..spectra import Eigenvalues, leading_eigenvalues
from ..tasks import Task
from ..training import Optimizer, Run
from ._metric import rates_of, stability_limit
from ._operators import KINDS, Point, operators

TOLERANCE = 1e-3  # of residuals, relative; the error of an isolated eigenvalue is about its square
ITERATIONS = 40
USUAL = 8  # iterations that most networks need


def curvature(
    run: Run,
    task: Task,
    *,
    count: int = 5,
    kinds: Sequence[str] = ("ntk", "hessian"),
    optimizer: Optimizer | None = None,
    tolerance: float = TOLERANCE,
    max_iterations: int = ITERATIONS,
    seed: int = 0,
) -> xr.Dataset:
    """The ``count`` largest curvature eigenvalues of a run's network on a task, all samples at once.

    In the metric of gradient descent, R the table of every weight's rate at lr = 1 (parametrization, and the
    optimizer's own rates relative to lr), J = ∂outputs/∂weights, H the Hessian of the mean loss:

        ntk            Θ = (1/P) J R Jᵀ
        gauss_newton   (1/P) Fᵀ J R Jᵀ F,  F Fᵀ = ∂²ℓ/∂f²;  the same as ntk for squared error
        hessian        R^½ H R^½

    so that gradient descent on a quadratic loss is stable while lr λ < 2 (1 + momentum). For softmax compare
    gauss_newton or hessian, not ntk, with that limit. Weight decay adds its λ to each Hessian eigenvalue; it
    is left out here. ``optimizer`` replaces the run's.

    Returns ``eigenvalue``, ``residual``, ``converged`` over (kind, mode) and ``stability_limit``; attributes
    ``status`` (completed, no_convergence, diverged) and ``message``. Exact on dense weights; exact in law, up
    to a basis tolerance of 10⁻⁶, on conditioned weights of an MLP, which are looked at on a copy. ValueError
    for Adam (no fixed metric), conditioned residual networks, decoupled weights, unknown kinds. Cost: the
    kernel of an MLP C backward passes and (P C)² numbers; else 2 passes and, for the Hessian, 4 a product,
    (count + 2) products an iteration, 5 to 20 iterations;
    on conditioned weights each product touches P more directions on each side. Source: docs/curvature.md.

    >>> import neural_limits as nl
    >>> task = nl.tasks.toy()
    >>> run = nl.train(nl.MLP(1), task, nl.MuP(gamma=2.0), nl.SGD(0.5), width=256, steps=50, weights="dense")
    >>> found = nl.curvature(run, task, count=2)
    >>> found.eigenvalue.dims, found.attrs["status"], float(found.stability_limit)
    (('kind', 'mode'), 'completed', 4.0)
    """
    return measure(
        run.network, run.parameters, run.rules, task, optimizer or run.optimizer, count=count, kinds=kinds,
        tolerance=tolerance, max_iterations=max_iterations, seed=seed,
    )  # fmt: skip


def measure(
    network: Network,
    parameters: Parameters,
    rules: Rules,
    task: Task,
    optimizer: Optimizer,
    *,
    count: int = 5,
    kinds: Sequence[str] = ("ntk", "hessian"),
    tolerance: float = TOLERANCE,
    max_iterations: int = ITERATIONS,
    seed: int = 0,
) -> xr.Dataset:
    """`curvature` of weights that need not come from a run."""
    count = positive_int("count", count)
    kinds = tuple(one_of("kinds", kind, KINDS) for kind in kinds)
    if task.inputs != parameters.input.shape[0] or task.outputs != parameters.output.shape[0]:
        raise ValueError(
            f"`task` must fit the network: it has {task.inputs} inputs and {task.outputs} outputs, the weights "
            f"{parameters.input.shape[0]} and {parameters.output.shape[0]}."
        )
    x, y = (jnp.asarray(values, parameters.input.dtype) for values in (task.x, task.y))
    point = Point(network, task.loss, parameters, rules, rates_of(network, parameters, rules, optimizer), x, y)
    found = [
        leading_eigenvalues(
            operator.product, operator.size, min(count, operator.size), tolerance=tolerance,
            max_iterations=max_iterations, seed=seed,
        )
        for operator in operators(point, kinds, USUAL * (count + 2)).values()
    ]  # fmt: skip
    return _dataset(kinds, found, count, optimizer)


def _dataset(kinds: tuple[str, ...], found: list[Eigenvalues], count: int, optimizer: Optimizer) -> xr.Dataset:
    """eigenvalue, residual, converged (kind, mode); NaN beyond an operator's size."""
    fill = {"eigenvalue": np.nan, "residual": np.nan, "converged": False}
    values = {name: np.full((len(kinds), count), value) for name, value in fill.items()}
    for row, each in enumerate(found):
        size = len(each.values)
        values["eigenvalue"][row, :size], values["residual"][row, :size] = each.values, each.residuals
        values["converged"][row, :size] = each.converged
    data = xr.Dataset(coords={"kind": list(kinds), "mode": np.arange(count)})
    for name, value in values.items():
        data[name] = (("kind", "mode"), value, attributes(name))
    data["stability_limit"] = ((), stability_limit(optimizer), attributes("stability_limit"))
    data.attrs.update(zip(("status", "message"), _status(kinds, found), strict=True))
    return data


def _status(kinds: tuple[str, ...], found: list[Eigenvalues]) -> tuple[str, str]:
    states = [each.status for each in found]
    if "diverged" in states:
        return "diverged", "the network's outputs or weights are not finite; lower `lr`."
    if "no_convergence" in states:
        late = ", ".join(kind for kind, state in zip(kinds, states, strict=True) if state != "completed")
        return "no_convergence", f"eigenvalues of {late} have not converged; raise `max_iterations` or `tolerance`."
    return "completed", ""
