"""Dense networks with many outputs, trained step by step on their matrices; nothing here knows a law."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.sparse.linalg import svds
from threadpoolctl import threadpool_limits

from ..limits.extensive_outputs import Setting

RUNGE_KUTTA = 0.06  # step of the flow: the fastest mode grows by e^0.3 in it, so that 1e-4 of it is lost in the end

Matrix = Float[ndarray, "n d"]


class Flow(NamedTuple):
    """Both layers trained by gradient flow on the population, from entries N(0, s₀²/N), N = D."""

    output_ratio: float
    teacher: float
    time: float
    init_scale: float


def hidden(case: Setting | Flow, width: int, seed: int) -> Matrix:
    """The trained hidden matrix of one dense network."""
    return flowed(case, width, seed) if isinstance(case, Flow) else descended(case, width, seed)


def outputs(output_ratio: float, width: int) -> int:
    """C of a network with N = ``width``."""
    return max(1, round(output_ratio * width))


def descended(setting: Setting, width: int, seed: int) -> Matrix:
    """M after k steps M ← M − η Vᵀ(V M Ŝ − Y Xᵀ/P), the readout V fixed; Ŝ = 1, Y Xᵀ/P = A on the population."""
    rng = np.random.default_rng([seed, width])
    c, d = outputs(setting.output_ratio, width), round(width / setting.width_ratio)
    v = rng.standard_normal((c, width)) / width**0.5
    m = setting.sigma_w * rng.standard_normal((width, d)) / d**0.5
    a = setting.gamma * setting.teacher * rng.standard_normal((c, d)) / d**0.5
    second = None
    if setting.sample_ratio is not None:
        samples = round(setting.sample_ratio * d)
        x = rng.standard_normal((d, samples))
        second = x @ x.T / samples
        noise = setting.gamma * setting.label_noise * rng.standard_normal((c, samples))
        a = a @ second + noise @ x.T / samples
    for _ in range(setting.steps):
        now = v @ m if second is None else v @ m @ second
        m -= setting.lr * (v.T @ (now - a))
    return m


def flowed(flow: Flow, width: int, seed: int) -> Matrix:
    """M after time t of dM = Vᵀ(A − V M) dt, dV = (A − V M) Mᵀ dt, by the classical Runge-Kutta method."""
    rng = np.random.default_rng([seed, width])
    c = outputs(flow.output_ratio, width)
    v = flow.init_scale * rng.standard_normal((c, width)) / width**0.5
    m = flow.init_scale * rng.standard_normal((width, width)) / width**0.5
    a = flow.teacher * rng.standard_normal((c, width)) / width**0.5
    count = int(np.ceil(flow.time / RUNGE_KUTTA))
    h = flow.time / count

    def slope(m: ndarray, v: ndarray) -> tuple[ndarray, ndarray]:
        error = a - v @ m
        return v.T @ error, error @ m.T

    for _ in range(count):
        first = slope(m, v)
        second = slope(m + h / 2 * first[0], v + h / 2 * first[1])
        third = slope(m + h / 2 * second[0], v + h / 2 * second[1])
        last = slope(m + h * third[0], v + h * third[1])
        sums = [p + 2 * q + 2 * r + s for p, q, r, s in zip(first, second, third, last, strict=True)]
        m, v = m + h / 6 * sums[0], v + h / 6 * sums[1]
    return m


def singular_values(m: Matrix) -> Float[ndarray, " k"]:
    """All of them, largest first, to 1e-8 of the largest; by the smaller Gram matrix, ten times faster than svd."""
    gram = m @ m.T if m.shape[0] <= m.shape[1] else m.T @ m
    return np.sqrt(np.maximum(np.linalg.eigvalsh(gram)[::-1], 0.0))


def top(m: Matrix) -> float:
    """The largest singular value."""
    return float(svds(m, 1, return_singular_vectors=False, v0=np.ones(min(m.shape)))[0])


def over_seeds(measure: Callable[[int], ndarray | float], seeds: int) -> ndarray:
    """``measure`` of every seed, first axis; seeds share the processors, each on one."""
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
        return np.array(list(pool.map(measure, range(seeds))))


def spectra(case: Setting | Flow, width: int, seeds: int) -> Float[ndarray, "seed mode"]:
    """Singular values of trained networks, largest first."""
    return over_seeds(lambda seed: singular_values(hidden(case, width, seed)), seeds)
