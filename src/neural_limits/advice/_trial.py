"""One setting of the network, trained at any rate: how near to the limit of stability it came, and its loss."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy import ndarray

from ..landscape import track_curvature
from ..networks import MLP, Network
from ..parametrizations import Parametrization
from ..tasks import Task
from ..training import SGD, Run, train

MEASUREMENTS = 24  # steps at which curvature is measured; all of them in shorter runs
RANK = 25  # touched directions for each sample that a run may reach (docs/touched-rank.md)


@dataclass(frozen=True)
class Trial:
    """A network of one width and seed."""

    network: Network
    task: Task
    parametrization: Parametrization
    optimizer: SGD
    width: int
    seed: int
    steps: int
    weights: str
    options: dict[str, Any] = field(default_factory=dict)

    def at(self, lr: float) -> SGD:
        """The optimizer at another lr, its other rates in the same proportion."""
        factor = lr / self.optimizer.lr

        def scaled(rate: float | None) -> float | None:
            return None if rate is None else factor * rate

        optimizer = self.optimizer
        ends = scaled(optimizer.lr_input), scaled(optimizer.lr_output)
        return replace(optimizer, lr=lr, lr_input=ends[0], lr_output=ends[1])

    def sharpness(self, lr: float, steps: int | None = None) -> ndarray:
        """lr λ/(1 + momentum) at each measured step, λ the leading Gauss-Newton eigenvalue; inf once diverged."""
        steps = self.steps if steps is None else steps
        at = measured_steps(steps)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # which form of weights is cheaper was decided before
            run, found = track_curvature(
                self.network, self.task, self.parametrization, self.at(lr), width=self.width, steps=steps, at=at,
                count=1, kinds=("gauss_newton",), seed=self.seed, weights=self.weights, **self.options,
            )  # fmt: skip
        _check_memory(run)
        values = np.full(len(at), np.inf)
        known = found.eigenvalue.values[:, 0, 0]
        values[: len(known)] = 2 * known / float(found.stability_limit)
        return np.where(np.isfinite(values), values, np.inf)

    def losses(self, lr: float) -> ndarray:
        """The loss at steps 0..steps; inf where it was not reached or is not finite."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            run = train(
                self.network, self.task, self.parametrization, self.at(lr), width=self.width, steps=self.steps,
                seed=self.seed, weights=self.weights, **self.options,
            )  # fmt: skip
        _check_memory(run)
        loss = run.data.loss.values
        return np.where(np.isfinite(loss), loss, np.inf)  # NaN beyond a divergence


def _check_memory(run: Run) -> None:
    """MemoryError where bases could not grow: such a run says nothing about its rate."""
    if run.status == "rank_exhausted":
        raise MemoryError(run.message)


def measured_steps(steps: int) -> tuple[int, ...]:
    """All steps of a short run, or so many evenly spaced ones with both ends.

    >>> measured_steps(3), len(measured_steps(1000)), measured_steps(1000)[-1]
    ((0, 1, 2, 3), 24, 1000)
    """
    return tuple(sorted({round(step) for step in np.linspace(0, steps, min(steps + 1, MEASUREMENTS))}))


def cheaper_form(network: Network, width: int, samples: int) -> str:
    """Conditioned weights for an MLP much wider than the directions that its samples touch, else dense."""
    return "conditioned" if isinstance(network, MLP) and width > 2 * RANK * samples else "dense"
