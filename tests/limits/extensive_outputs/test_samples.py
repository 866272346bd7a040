"""Gauss nodes of Marchenko-Pastur, and the law of many outputs after training on finitely many samples."""

import numpy as np
import pytest
from scipy.integrate import quad

from neural_limits.limits.extensive_outputs._quadrature import marchenko_pastur_nodes


@pytest.mark.parametrize("kappa", [1 / 32, 0.5, 0.999, 1.0, 1.001, 3.0])
def test_nodes_integrate_against_the_density(kappa: float) -> None:
    values, weights = marchenko_pastur_nodes(kappa, 40)
    low, high = (1 - np.sqrt(kappa)) ** 2, (1 + np.sqrt(kappa)) ** 2
    assert abs(weights.sum() - 1) < 1e-13
    assert (weights > 0).all()
    assert low - 1e-12 < values[:40].min() < values[:40].max() < high + 1e-12
    assert weights[:40].sum() == pytest.approx(min(1, kappa), abs=1e-13)

    def bulk(theta: float) -> float:  # the density in l = middle − half cos θ, where it is smooth
        l = low + 4 * np.sqrt(kappa) * np.sin(theta / 2) ** 2
        return 2 * kappa * np.sin(theta) ** 2 / (np.pi * l) * np.exp(-l) / (1 + l)

    exact = quad(bulk, 0, np.pi, epsabs=1e-14, limit=400, points=[1e-4, 1e-2])[0] + max(0, 1 - kappa)
    assert abs(weights @ (np.exp(-values) / (1 + values)) - exact) < 1e-12
