"""When an outlier leaves the bulk."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ..weights import ConditionedMatrix
from ._known_block import KnownBlock
from ._outliers import bulk_edge, known_block

LIMIT_SHARE = 1 / 16  # of the width that the touched rank may be for the limit form to hold


def edge_eigenvalue(weight: ConditionedMatrix | KnownBlock) -> float:
    """λ_min F(edge): positive while all of the spectrum is bulk, negative once an outlier has escaped.

    Uses the infinite-width self energies, whose sign change is smooth in time: the outlier's own distance
    from the edge grows only quadratically after the escape and detects it late. NaN where the touched rank is
    above a sixteenth of the width, as there the bulk is no longer mostly unseen.
    """
    if isinstance(weight, KnownBlock):
        return weight.smallest_eigenvalue(weight.edge)
    if weight.rank > LIMIT_SHARE * min(weight.shape):
        return float("nan")
    return known_block(weight, bulk="limit").smallest_eigenvalue(bulk_edge(weight)[0])


def escape_step(steps: ndarray, eigenvalues: Float[ndarray, " k"]) -> float:
    """The first time at which λ_min F(edge), given at ``steps``, crosses zero, interpolated linearly.

    NaN if it never does; the first step if it is negative from the start.

    >>> escape_step(np.array([0, 10, 20]), np.array([1.0, 0.5, -0.5]))
    15.0
    """
    steps, eigenvalues = np.asarray(steps, float), np.asarray(eigenvalues, float)
    negative = np.flatnonzero(eigenvalues < 0)
    if len(negative) == 0:
        return float("nan")
    k = int(negative[0])
    if k == 0:
        return float(steps[0])
    before, after = eigenvalues[k - 1], eigenvalues[k]
    return float(steps[k - 1] + (steps[k] - steps[k - 1]) * before / (before - after))
