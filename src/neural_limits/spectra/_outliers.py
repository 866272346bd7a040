"""Outliers of a trained weight: values, count, and the overlaps of their singular vectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy import ndarray

from .._checks import positive_float
from ..laws import largest_singular_value
from ..weights import ConditionedMatrix, DenseMatrix, on_host
from ._empirical import leading_singular_triplets
from ._known_block import KnownBlock
from ._roots import find_roots

FALSE_ALARM = 1e-3  # probability that an untrained matrix shows an outlier; shifts the threshold by O(n^-2/3)

Overlap = Callable[[ndarray], ndarray]


@dataclass(frozen=True)
class Outliers:
    """Singular values above the bulk of one weight matrix, largest first.

    ``values`` (count), in units of the operator; ``edge`` of the bulk, τ(√n + √p); ``threshold``, the level
    that an untrained matrix exceeds with probability ``false_alarm`` (Tracy-Widom), above which outliers are
    counted. Overlaps are absolute values |⟨u, e⟩| in [0, 1], as the sign of a singular vector is arbitrary.
    """

    values: Float[ndarray, " k"]
    edge: float
    threshold: float
    false_alarm: float
    _left: Overlap = field(repr=False)
    _right: Overlap = field(repr=False)
    shape: tuple[int, int] = (0, 0)

    @property
    def count(self) -> int:
        """How many outliers there are."""
        return len(self.values)

    def left_overlap(self, e: ndarray | Array) -> Float[ndarray, " k"]:
        """|⟨u_i, e⟩| of each outlier's left singular vector with a direction e of length n (normalised here).

        ValueError for a direction of another length, zero or not finite. Exact for e in the span of the
        touched directions; otherwise the part of e inside it.
        """
        return np.abs(self._left(_unit("e", e, self.shape[0])))

    def right_overlap(self, e: ndarray | Array) -> Float[ndarray, " k"]:
        """|⟨v_i, e⟩| of each outlier's right singular vector with a direction e of length p (normalised here)."""
        return np.abs(self._right(_unit("e", e, self.shape[1])))


def outliers(
    weight: ConditionedMatrix | DenseMatrix,
    *,
    threshold: float | None = None,
    false_alarm: float = FALSE_ALARM,
) -> Outliers:
    """The singular values of a weight above its bulk.

    Conditioned weights: predicted from what training has touched, by the two-level theory (`KnownBlock`);
    dense weights: measured by Lanczos. ``threshold`` replaces the Tracy-Widom level and may not lie below
    the edge. Errors of a prediction: O(n^-1/2) fluctuations from run to run, about 0.2 % of the edge just
    above the threshold. Cost: O(n r²) for the Gram matrices, then small matrices.
    Source: docs/theory.md (two-level theory); arXiv 2605.07870 for the setting.

    >>> import jax
    >>> from neural_limits.weights import ConditionedMatrix
    >>> found = outliers(ConditionedMatrix.create(jax.random.key(0), 1000, 1000, std=1000**-0.5))
    >>> found.count, round(found.edge, 6)
    (0, 2.0)
    """
    rows, columns = weight.shape
    edge, level = bulk_edge(weight, false_alarm)
    if threshold is not None:
        level = positive_float("threshold", threshold)
        if level < edge:
            raise ValueError(f"`threshold` must not lie below the bulk's edge {edge:.6g}; got {threshold!r}.")
    if isinstance(weight, DenseMatrix):
        values, u, v = leading_singular_triplets(on_host(weight.value), level)
        return Outliers(values, edge, level, false_alarm, lambda e: u @ e, lambda e: v @ e, (rows, columns))
    roots = find_roots(known_block(weight), level)
    tau, left, right = float(weight.std), int(weight.rank_left), int(weight.rank_right)

    def left_overlap(e: ndarray) -> ndarray:
        on_basis = _apply(weight.left_basis, e)
        outside = _apply(weight.right_image, e) - _apply(weight.right_image, _lift(weight.left_basis, on_basis))
        return roots.left_basis @ on_basis[:left] + tau * (roots.left_image @ outside[:right])

    def right_overlap(e: ndarray) -> ndarray:
        on_basis = _apply(weight.right_basis, e)
        outside = _apply(weight.left_image, e) - _apply(weight.left_image, _lift(weight.right_basis, on_basis))
        return roots.right_basis @ on_basis[:right] + tau * (roots.right_image @ outside[:left])

    return Outliers(roots.values, edge, level, false_alarm, left_overlap, right_overlap, (rows, columns))


def bulk_edge(weight: ConditionedMatrix | DenseMatrix, false_alarm: float = FALSE_ALARM) -> tuple[float, float]:
    """Edge of the bulk and the threshold above it, from the size and the present scale of the bulk."""
    law = largest_singular_value(*weight.shape, std=float(weight.std))
    return law.edge, float(law.threshold(false_alarm))


def known_block(weight: ConditionedMatrix, *, bulk: str = "conditional") -> KnownBlock:
    """What is known of a conditioned weight, in float64.

    ``bulk="conditional"`` integrates out exactly what is unseen, an (n - r_B) × (p - r_A) matrix: right at
    any touched rank. ``bulk="limit"`` integrates out n × p as in the limit of infinite width: its smallest
    eigenvalue at the edge is a smooth order parameter, used for the escape step.
    """
    rows, columns = weight.shape
    tau = float(weight.std)
    right_image, left_image = weight.right_image, weight.left_image
    cross = _double(weight.cross)
    gram_right = _double(right_image @ right_image.T) - cross.T @ cross
    gram_left = _double(left_image @ left_image.T) - cross @ cross.T
    left, right = int(weight.rank_left), int(weight.rank_right)
    missing = (left, right) if bulk == "conditional" else (0, 0)
    core = (_double(weight.core) + tau * cross)[:left, :right]
    return KnownBlock(
        core,
        tau**2 * gram_left[:left, :left],
        tau**2 * gram_right[:right, :right],
        tau**2 * (rows - missing[0]),
        tau**2 * (columns - missing[1]),
    )


def _double(array: Array) -> ndarray:
    return on_host(array).astype(np.float64, copy=False)


def _apply(basis: Array, e: ndarray) -> ndarray:
    return _double(basis @ jnp.asarray(e, basis.dtype))


def _lift(basis: Array, coordinates: ndarray) -> ndarray:
    return _double(jnp.asarray(coordinates, basis.dtype) @ basis)


def _unit(name: str, e: ndarray | Array, length: int) -> ndarray:
    direction = np.asarray(e, np.float64)
    if direction.shape != (length,):
        raise ValueError(f"`{name}` must be one direction of length {length}; got shape {direction.shape}.")
    norm = np.linalg.norm(direction)
    if not np.isfinite(norm) or norm == 0:
        raise ValueError(f"`{name}` must be finite and not zero; its norm is {norm}.")
    return direction / norm
