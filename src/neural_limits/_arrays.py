"""Array arguments: one conversion, one line when it fails."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def real_array(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """The values in float64, infinities allowed; ValueError for NaN or for what is not a real number.

    >>> real_array("x", [0, 1])
    array([0., 1.])
    """
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"`{name}` must hold real numbers; got an array of type {array.dtype}.")
    array = array.astype(np.float64)
    if np.isnan(array).any():
        raise ValueError(f"`{name}` must not hold NaN; {np.isnan(array).sum()} of {array.size} values do.")
    return array


def probability_array(name: str, values: ArrayLike, *, least: float = 0.0, most: float = 1.0) -> NDArray[np.float64]:
    """The values in float64, all in [least, most]; ValueError naming the first that is not."""
    array = real_array(name, values)
    outside = (array < least) | (array > most)
    if outside.any():
        raise ValueError(f"`{name}` must lie in [{least:g}, {most:.17g}]; got {array[outside].flat[0]!s}.")
    return array
