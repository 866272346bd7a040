"""Matrices of noise with planted spikes, and files of them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def planted() -> Callable[..., np.ndarray]:
    """``planted(rows, columns, strengths, seed)``: noise of std 1/√columns and orthogonal spikes of these strengths."""

    def make(rows: int, columns: int, strengths: tuple[float, ...] = (), seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        noise = rng.standard_normal((rows, columns)) / columns**0.5
        left = np.linalg.qr(rng.standard_normal((rows, len(strengths))))[0]
        right = np.linalg.qr(rng.standard_normal((columns, len(strengths))))[0]
        return noise + (left * np.array(strengths)) @ right.T

    return make


@pytest.fixture
def forbidden(tmp_path: Path) -> Path:
    """A file that a pickle in `Evil` would make."""
    return tmp_path / "executed"
