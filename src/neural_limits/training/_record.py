"""Outliers and overlaps of the hidden weights at chosen steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from numpy import ndarray
from scipy.linalg import svd
from scipy.sparse.linalg import svds

from ..networks import Parameters
from ..spectra import Outliers, edge_eigenvalue, outliers
from ..weights import ConditionedMatrix, DenseMatrix, WeightMatrix, matrices, on_host

Watch = Callable[[int, Parameters], None]


class Found(NamedTuple):
    """The outliers of one weight at one record, and what they are measured against."""

    values: ndarray
    left: ndarray  # squared overlaps with the learned part's singular vectors
    right: ndarray
    edge: float
    threshold: float
    edge_eigenvalue: float


class Records:
    """Takes the outliers of every hidden weight when asked, and keeps the time it took.

    Overlaps are those of the i-th outlier's singular vectors with the i-th singular vectors of the learned part,
    M minus its decayed start, which dense weights keep a copy of for the purpose.
    """

    def __init__(self, parameters: Parameters, stops: Sequence[int]) -> None:
        self.stops = tuple(stops)
        self.taken: list[list[Found]] = []  # record by record, layer by layer
        self.seconds = 0.0
        dense = [w for w in matrices(parameters.hidden) if isinstance(w, DenseMatrix)] if self.stops else []
        self._start = [(np.array(on_host(w.value)), float(w.std)) for w in dense]

    def take(self, step: int, parameters: Parameters) -> None:
        """Outliers and overlaps of all hidden weights now; ``step`` must be the next of the stops."""
        begun = time.perf_counter()
        weights = matrices(parameters.hidden)
        self.taken.append([self._found(l, w) for l, w in enumerate(weights)])
        self.seconds += time.perf_counter() - begun

    def _found(self, layer: int, weight: WeightMatrix) -> Found:
        found = outliers(weight)  # type: ignore[arg-type]
        below = edge_eigenvalue(weight) if isinstance(weight, ConditionedMatrix) else float("nan")
        return Found(found.values, *self._overlaps(layer, weight, found), found.edge, found.threshold, below)

    def _overlaps(self, layer: int, weight: WeightMatrix, found: Outliers) -> tuple[ndarray, ndarray]:
        if found.count == 0:
            return np.zeros(0), np.zeros(0)
        left, right = self._learned_directions(layer, weight, found.count)
        k = min(found.count, len(left))
        squared = [
            np.array([overlap(e[i])[i] ** 2 for i in range(k)] + [np.nan] * (found.count - k))
            for overlap, e in ((found.left_overlap, left), (found.right_overlap, right))
        ]
        return squared[0], squared[1]

    def _learned_directions(self, layer: int, weight: WeightMatrix, count: int) -> tuple[ndarray, ndarray]:
        """Leading singular vectors (rows) of the learned part."""
        if isinstance(weight, ConditionedMatrix):
            u, _, vt = svd(np.asarray(weight.core, np.float64), full_matrices=False)
            lift = lambda basis, c: on_host(jnp.asarray(c, basis.dtype) @ basis)  # noqa: E731
            return lift(weight.left_basis, u.T[:count]), lift(weight.right_basis, vt[:count])
        value, (start, std) = on_host(weight.value), self._start[layer]  # type: ignore[attr-defined]
        learned = value - start * (float(weight.std) / std)  # type: ignore[attr-defined]
        k = min(count, min(learned.shape) - 1)
        u, s, vt = svds(
            learned, k=k, v0=np.random.default_rng(0).standard_normal(min(learned.shape)).astype(value.dtype)
        )
        order = np.argsort(-s)
        return u.T[order], vt[order]
