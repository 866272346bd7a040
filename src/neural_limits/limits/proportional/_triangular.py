"""Products with triangular and symmetric matrices that read each number they need from memory once.

A long run is bound by memory: its matrices do not fit the cache, and each is used once or twice a step. So products
go over panels of rows: the zero half is not read, and what is used twice is used while it is in the cache.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

PANEL = 128  # rows; with a thousand columns a panel is a megabyte, about a core's cache


def row_times_lower(row: Float[ndarray, "B m"], lower: Float[ndarray, "B m t"]) -> Float[ndarray, "B t"]:
    """row @ lower."""
    t = lower.shape[2]
    if t <= PANEL:
        return np.matmul(row[:, None], lower)[:, 0]
    result = np.zeros((len(row), t))
    for i in range(0, lower.shape[1], PANEL):
        panel = lower[:, i : i + PANEL, : i + PANEL]
        result[:, : i + PANEL] += np.matmul(row[:, None, i : i + PANEL], panel)[:, 0]
    return result


def lower_times_column(lower: Float[ndarray, "B m t"], column: Float[ndarray, "B t"]) -> Float[ndarray, "B m"]:
    """lower @ column."""
    m = lower.shape[1]
    if m <= PANEL:
        return np.matmul(lower, column[:, :, None])[:, :, 0]
    pieces = [(lower[:, i : i + PANEL, : i + PANEL], column[:, : i + PANEL, None]) for i in range(0, m, PANEL)]
    return np.concatenate([np.matmul(a, b)[:, :, 0] for a, b in pieces], axis=1)


def row_and_column(
    row: Float[ndarray, "B m"], lower: Float[ndarray, "B m t"], column: Float[ndarray, "B t"]
) -> tuple[Float[ndarray, "B t"], Float[ndarray, "B m"]]:
    """row @ lower and lower @ column, reading the matrix once."""
    batch, m, t = lower.shape
    if m <= PANEL:
        return row_times_lower(row, lower), lower_times_column(lower, column)
    left, right = np.zeros((batch, t)), np.empty((batch, m))
    for i in range(0, m, PANEL):
        panel = lower[:, i : i + PANEL, : i + PANEL]
        left[:, : i + PANEL] += np.matmul(row[:, None, i : i + PANEL], panel)[:, 0]
        right[:, i : i + PANEL] = np.matmul(panel, column[:, : i + PANEL, None])[:, :, 0]
    return left, right


def symmetric_times(matrix: Float[ndarray, "B m m"], vector: Float[ndarray, "B m"]) -> Float[ndarray, "B m"]:
    """matrix @ vector, reading the lower half only."""
    m = matrix.shape[1]
    if m <= PANEL:
        return np.matmul(vector[:, None], matrix)[:, 0]
    result = np.zeros_like(vector)
    for i in range(0, m, PANEL):
        rows = slice(i, i + PANEL)
        panel = matrix[:, rows, :i]
        result[:, :i] += np.matmul(vector[:, None, rows], panel)[:, 0]
        result[:, rows] += np.matmul(panel, vector[:, :i, None])[:, :, 0]
        result[:, rows] += np.matmul(matrix[:, rows, rows], vector[:, rows, None])[:, :, 0]
    return result
