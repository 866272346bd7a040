"""The spectrum of the neural tangent kernel of a deep linear network in training: bulk edge and outlier.

Θ = γ₀² N J Jᵀ/P = (1/α) A [C_b¹ 1 + (1/ν) Σ_l C_b^{l+1} A_lᵀA_l] Aᵀ with A = X/√D and A_l = M^{l-1}…M⁰. Gradient
descent at rate η is stable while η λ_max(Θ) < 2. The resolvent is parametrised by μ > 0, one scalar of the top layer,
from which those of all other layers follow explicitly; λ(μ) falls from infinity at μ = 0 to the edge of the bulk.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.linalg import solve_triangular
from scipy.optimize import brentq, minimize_scalar
from threadpoolctl import threadpool_limits

from ._dmft import OrderParameters
from ._setting import Setting

# Where the determinant is looked at, as fractions of μ at the edge. λ - edge is quadratic in μ there, so even points
# resolve outliers near the edge; logarithmic ones those far from it.
SCAN = np.concatenate([np.geomspace(1e-4, 0.03, 12), np.linspace(0.05, 1 - 1e-6, 60)])


class Scalars(NamedTuple):
    """The resolvent's scalars at one μ: m_l and G_l of layers 1..L (from index 1), and those of the inputs."""

    m: list[ndarray]
    g: list[ndarray]  # G_0 .. G_L
    tau: ndarray
    kappa: ndarray
    eigenvalue: ndarray  # λ(μ)


def scalars(mu: ndarray | float, order: OrderParameters, setting: Setting, step: int) -> Scalars:
    """λ(μ) and the scalars of every layer, from the backward norms c_l = C_b^l(step, step)."""
    depth, nu = setting.depth, setting.width_ratio
    norms = [float(layer.c_xx[0, step, step]) for layer in order.layers]
    mu = np.asarray(mu, float)
    m, g = [mu] * (depth + 1), [mu] * (depth + 1)
    g[depth] = np.full_like(mu, 1 / nu)
    for l in range(depth, 0, -1):
        ratio = nu if l == 1 else 1.0
        variance = setting.sigma[l - 1] ** 2
        below = variance * ratio * g[l] / (1 - m[l] * g[l])
        g[l - 1] = below + norms[l - 1] / nu if l > 1 else below + norms[0]
        m[l - 1] = m[l] / (variance + m[l] * g[l - 1])
    tau = m[0]
    kappa = g[0] / (1 - tau * g[0])
    return Scalars(m, g, tau, kappa, 1 / tau + kappa / _ratio(setting))


def bulk_edge(order: OrderParameters, setting: Setting, step: int) -> tuple[float, float]:
    """The upper edge of the bulk, min λ(μ) over 0 < μ < ν, and where it is taken."""
    value = lambda log_mu: float(scalars(np.exp(log_mu), order, setting, step).eigenvalue)  # noqa: E731
    top = np.log(setting.width_ratio)
    grid = top + np.log(np.concatenate([np.geomspace(1e-9, 0.1, 60), np.linspace(0.11, 1 - 1e-9, 90)]))
    i = int(np.argmin(scalars(np.exp(grid), order, setting, step).eigenvalue))
    bounds = grid[max(i - 1, 0)], grid[min(i + 1, len(grid) - 1)]
    found = minimize_scalar(value, bounds=bounds, method="bounded", options={"xatol": 1e-10})
    return float(found.fun), float(np.exp(found.x))


def outlier(order: OrderParameters, setting: Setting, step: int) -> float:
    """The largest eigenvalue of Θ above the bulk after ``step`` updates, NaN where there is none.

    The smallest root μ of det(1 - T(μ)), T of size 4k(L + 1), below the edge's μ. T couples neighbouring layers
    only, so it is eliminated layer by layer: the determinant is a product of L determinants of size 2k.
    Cost: about 80 times O(L (2k)³).
    """
    if step == 0:
        return float("nan")  # untrained: nothing but a bulk
    _, mu_edge = bulk_edge(order, setting, step)
    with threadpool_limits(1, "blas"):  # threads cost more than they bring at these sizes
        root = _smallest_root(mu_edge, order, setting, step)
    return float(scalars(root, order, setting, step).eigenvalue)


def _smallest_root(mu_edge: float, order: OrderParameters, setting: Setting, step: int) -> float:
    """Where the determinant first changes its sign, from μ = 0 up; NaN if it does not before the edge."""
    blocks = _Blocks.at(order, step)
    sign = lambda mu: _determinant(mu, order, setting, step, blocks)[0]  # noqa: E731
    before = 1.0  # T vanishes as μ → 0
    previous = 0.0
    for mu in SCAN * mu_edge:
        now = sign(mu)
        if now * before < 0:
            signed = lambda x: _signed_root(x, order, setting, step, blocks)  # noqa: E731
            return float(brentq(signed, max(previous, 1e-3 * mu), mu, xtol=1e-15 * mu, rtol=1e-14))
        before, previous = now, mu
    return float("nan")


class _Blocks(NamedTuple):
    """Order parameters at times before ``step``, (k, k)."""

    input: dict[str, ndarray]
    layers: list[dict[str, ndarray]]
    response: ndarray
    residual: ndarray

    @classmethod
    def at(cls, order: OrderParameters, step: int) -> _Blocks:
        k = slice(0, step)
        cut = lambda pair: {name: value[0, k, k] for name, value in vars(pair).items()}  # noqa: E731
        return cls(cut(order.input), [cut(p) for p in order.layers], order.response[0, k, k], order.residual[0, k, k])


def _signed_root(mu: float, *where: object) -> float:
    """The determinant with its magnitude compressed, so that a root finder can use it."""
    sign, log = _determinant(mu, *where)  # type: ignore[arg-type]
    return sign * float(np.exp(np.clip(log, -600, 600) / 8))


def _determinant(
    mu: float, order: OrderParameters, setting: Setting, step: int, blocks: _Blocks
) -> tuple[float, float]:
    """Sign and logarithm of det(1 - T(μ))."""
    s = scalars(mu, order, setting, step)
    reflected = _inputs(s, setting, blocks)
    sign, log = 1.0, 0.0
    for l in range(1, setting.depth + 1):
        from_above, back, through, up = _layer(l, s, setting, blocks.layers[l - 1])
        matrix = np.eye(len(back)) - back @ reflected
        its_sign, its_log = np.linalg.slogdet(matrix)
        sign, log = sign * its_sign, log + its_log
        if l < setting.depth:
            reflected = up + through @ reflected @ np.linalg.solve(matrix, from_above)
    return float(sign), float(log)


def _inputs(s: Scalars, setting: Setting, blocks: _Blocks) -> Float[ndarray, "k2 k2"]:
    """What samples and inputs send back up, (x⁰, e⁰), for what comes down, (y⁰, a⁰)."""
    p, r, chi = blocks.input, blocks.response, blocks.residual
    alpha, gamma0, nu, h = _ratio(setting), setting.gamma0, setting.width_ratio, setting.step_size
    variance = setting.sigma[0] ** 2
    g0, tau = float(s.g[0]), float(s.tau)
    q0, gain = 1 / (1 - tau * g0), 1 / (alpha * float(s.eigenvalue) - float(s.kappa))
    zero, eye = np.zeros_like(r), np.eye(len(r))
    loop = q0 * g0 * gain * (p["k_xy"] @ r)  # strictly causal
    down_y = lambda block: np.hstack([block, zero])  # noqa: E731  acting on y⁰
    down_a = lambda block: np.hstack([zero, block])  # noqa: E731  acting on a⁰
    w = solve_triangular((eye - loop).T, down_a(q0 / alpha * p["k_yy"].T), lower=False)
    pi = gain * alpha * (r.T @ w)
    source = variance / gamma0 * down_y(p["k_xx"]) + down_a(p["c_yx"].T)
    source = q0 * (source + g0 * (gain * p["k_xy"] @ (chi @ w) + p["c_xx"] @ pi))
    z = gain * (r @ solve_triangular(eye - loop, source, lower=True) + chi @ w)
    x0 = p["k_yy"] @ z + tau * variance / gamma0 * down_y(p["k_yx"]) + p["c_yx"] @ pi + tau * down_a(p["c_yy"])
    rho = variance / (gamma0 * nu) * (p["k_xx"].T @ pi + tau * down_a(p["k_yx"].T))
    return q0 * np.vstack([x0, rho - h * x0])


def _layer(l: int, s: Scalars, setting: Setting, p: dict[str, ndarray]) -> tuple[ndarray, ndarray, ndarray, ndarray]:
    """How layer l passes on what arrives: above → down, below → down, below → up, above → up."""
    m, g, h = float(s.m[l]), float(s.g[l]), setting.step_size
    ratio = setting.width_ratio if l == 1 else 1.0
    lower, upper = setting.sigma[l - 1] ** 2, setting.sigma[l] ** 2
    q = 1 / (1 - m * g)
    zero = np.zeros_like(p["c_xx"])
    y_above, y_below = np.hstack([upper * p["k_xx"], p["c_yx"].T]), g * np.hstack([lower * p["k_xy"], p["c_xx"]])
    kappa_above, kappa_below = np.hstack([zero, p["k_yy"].T]), g * np.hstack([zero, p["k_xy"].T])
    x_below, x_above = np.hstack([lower * p["k_yy"], p["c_yx"]]), m * np.hstack([upper * p["k_yx"], p["c_yy"]])
    rho_below, rho_above = np.hstack([zero, p["k_xx"].T]), m * np.hstack([zero, p["k_yx"].T])
    down = lambda y, kappa: q * np.vstack([y, ratio * (lower * kappa - h * y)])  # noqa: E731
    up = lambda x, rho: q * np.vstack([x, upper * rho - h * x])  # noqa: E731
    return down(y_above, kappa_above), down(y_below, kappa_below), up(x_below, rho_below), up(x_above, rho_above)


def _ratio(setting: Setting) -> float:
    """α of the samples that Θ is taken over."""
    return float(setting.batch_ratio if setting.online else setting.sample_ratio)  # type: ignore[arg-type]
