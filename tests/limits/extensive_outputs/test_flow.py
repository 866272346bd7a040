"""Gradient flow with many outputs: a fixed readout's edge, and both layers trained from a small start."""

from typing import Any

import numpy as np
import pytest

import neural_limits as nl
from neural_limits.limits.extensive_outputs._quadrature import endpoint_nodes, marchenko_pastur_nodes

START = {"output_ratio": 0.5, "teacher": 3.0, "train_readout": True}


def flow(width: int, ratio: float, teacher: float, scale: float, time: float, seed: int) -> Any:
    """Singular values of M after flow of both layers, by a classical Runge-Kutta scheme."""
    rng, outputs, steps = np.random.default_rng(seed), round(ratio * width), round(40 * time) + 1
    v, m = (scale * rng.standard_normal((rows, width)) / width**0.5 for rows in (outputs, width))
    a, h = teacher * rng.standard_normal((outputs, width)) / width**0.5, time / steps

    def slope(v: Any, m: Any) -> Any:
        error = a - v @ m
        return error @ m.T, v.T @ error

    for _ in range(steps):
        k1 = slope(v, m)
        k2 = slope(v + h / 2 * k1[0], m + h / 2 * k1[1])
        k3 = slope(v + h / 2 * k2[0], m + h / 2 * k2[1])
        k4 = slope(v + h * k3[0], m + h * k3[1])
        v, m = (x + h / 6 * (p + 2 * q + 2 * r + s) for x, p, q, r, s in zip((v, m), k1, k2, k3, k4, strict=True))
    return np.linalg.svd(m, compute_uv=False)


def test_fixed_readout() -> None:
    """The reference edge, and descent at a small rate on the way there."""
    assert nl.limits.many_outputs_flow(0.5, 3.0, 2.0).edge == pytest.approx(4.321680, abs=6e-7)
    slow = nl.limits.many_outputs(0.5, lr=2e-4, steps=10_000, teacher=3.0)
    assert slow.edge == pytest.approx(4.321680, abs=2e-3)


@pytest.mark.parametrize(("time", "edge"), [(0.5, 0.1011), (1.0, 1.0822), (1.5, 2.2376)])
def test_trained_readout_reference_edges(time: float, edge: float) -> None:
    limit = nl.limits.many_outputs_flow(**START, time=time, init_scale=0.01)
    assert limit.edge == pytest.approx(edge, abs=6e-5)
    assert limit.status == "completed"


def test_untouched_and_learned_singular_values_part() -> None:
    """The N − C directions that no output reaches stay at the start's scale: a component with half of the mass."""
    limit = nl.limits.many_outputs_flow(**START, time=1.0, init_scale=0.01)
    np.testing.assert_allclose(limit.masses, [0.5, 0.5], atol=1e-6)
    assert limit.support[0][1] < 0.01 < limit.support[1][0]


def test_late_singular_values_are_roots_of_the_teachers() -> None:
    """t → ∞: σ = √σ(A); also at times where e^{2zt} would overflow."""
    limit = nl.limits.many_outputs_flow(**START, time=30.0, init_scale=0.01)
    assert limit.edge == pytest.approx((3 * (1 + 0.5**0.5)) ** 0.5, abs=1e-6)
    assert nl.limits.many_outputs_flow(**START, time=1e4, init_scale=0.01).edge == pytest.approx(limit.edge, abs=1e-6)
    law = nl.laws.QuarterCircle(256, 512, std=3 / 512**0.5)
    limit, roots = nl.limits.many_outputs_flow(**START, time=6.0, init_scale=0.01), np.linspace(1.3, 2.2, 7)
    np.testing.assert_allclose(limit.cdf(roots), 0.5 + law.cdf(roots**2) / 2, atol=1e-3)
    np.testing.assert_allclose(limit.pdf(roots), law.pdf(roots**2) * roots, rtol=3e-2)


@pytest.mark.parametrize(("ratio", "scale", "time"), [(0.5, 0.01, 1.2), (0.25, 0.05, 1.0), (2.0, 0.1, 0.5)])
def test_flow_of_both_layers(ratio: float, scale: float, time: float) -> None:
    """Above ten times the start's scale, the share of singular values above s, and the top one."""
    width, limit = 160, nl.limits.many_outputs_flow(ratio, 3.0, time, train_readout=True, init_scale=scale)
    values = np.array([flow(width, ratio, 3.0, scale, time, seed) for seed in range(6)])
    assert 10 * scale < 0.8 * limit.edge
    s = np.linspace(10 * scale, limit.edge, 40)
    above = (values.ravel() > s[:, None]).mean(1)
    assert np.abs(above - (1 - limit.cdf(s))).max() < 0.015
    top, largest = values[:, 0], limit.largest(width)
    assert abs(top.mean() - largest.mean) < 4 * largest.sd / 6**0.5
    assert limit.edge - top.mean() > 0


def test_density_is_the_slope_of_the_distribution() -> None:
    limit = nl.limits.many_outputs_flow(**START, time=1.5, init_scale=0.01)
    s, h = np.array([0.3, 1.0, 1.8, 2.2]), 1e-5
    np.testing.assert_allclose(limit.pdf(s), (limit.cdf(s + h) - limit.cdf(s - h)) / (2 * h), rtol=1e-3)
    np.testing.assert_allclose(limit.cdf(limit.quantile([0.6, 0.9])), [0.6, 0.9], atol=1e-9)
    np.testing.assert_array_equal(limit.pdf([-1.0, 0.0, 5.0, np.inf]), 0)
    np.testing.assert_array_equal(limit.cdf([-1.0, 0.0, 5.0, np.inf]), [0, 0, 1, 1])


@pytest.mark.parametrize("ratio", [0.5, 1.0, 2.0])
def test_both_quadratures_agree(ratio: float) -> None:
    values, weights = marchenko_pastur_nodes(ratio, 100)
    roots, others = endpoint_nodes(ratio, 200)
    for power in (0, 1, 2):
        exact = weights[:100] @ values[:100] ** power
        assert others @ roots ** (2 * power) == pytest.approx(
            exact, rel=1e-8
        )  # 1e-14 off ratio one, where l^-1/2 is cut


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"init_scale": 1.0}, "`init_scale` must be at most 0.1 .*train_readout=False has one for any start"),
        ({"width_ratio": 2.0}, "`width_ratio` must be 1 with a trained readout"),
        ({"time": -1.0}, "`time` must be zero or positive"),
        ({"output_ratio": 0.0}, "`output_ratio` must be positive"),
    ],
)
def test_bad_input(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nl.limits.many_outputs_flow(**{**START, "time": 1.0, "init_scale": 0.01, **change})
