"""The linear theory at infinite width and depth, by Chebyshev collocation in t = l/L."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy import ndarray
from numpy.polynomial import chebyshev

from ._linear_equations import Problem, Solved, State, symmetric


@cache
def nodes(count: int) -> tuple[ndarray, ndarray, ndarray]:
    """Chebyshev points t_0 = 0 … t_last = 1, the derivative at them, and the integral from 0 to them."""
    x = -np.cos(np.pi * np.arange(count) / (count - 1))
    to_series = np.linalg.inv(chebyshev.chebvander(x, count - 1))
    unit = np.eye(count)
    slope = np.stack([chebyshev.chebval(x, chebyshev.chebder(c)) for c in unit], axis=1) @ to_series
    area = np.stack([chebyshev.chebval(x, chebyshev.chebint(c, lbnd=-1)) for c in unit], axis=1) @ to_series
    return (x + 1) / 2, 2 * slope, area / 2


def sweep(problem: Problem, state: State) -> Solved:
    """The order parameters at the nodes that follow from those given. Cost O((nodes K P)³).

    T' = m T, and Cov z_t = T_t [(1 - Π) N_t (1 - Π)ᵀ + Π (N_1 - N_t) Πᵀ + c cᵀ] T_tᵀ with
    Π = B̂ (F̂ T_1 B̂)⁻¹ F̂ T_1 and N_t = P_0 + ∫_0^t T⁻¹ σ² diag(Φ, G) T⁻ᵀ.
    """
    count, kp, k = len(state.features), problem.features, problem.active
    times, slope, area = nodes(count)
    chi = (state.outputs - np.tile(problem.y, k)) / problem.samples
    d, e = problem.drifts(state, chi, problem.lr)
    m, white = np.zeros((2, count, kp + k, kp + k))
    m[:, :kp, kp:] = d + problem.sigma_w**2 * state.forward
    m[:, kp:, :kp] = -(e + problem.sigma_w**2 * state.backward)
    white[:, :kp, :kp], white[:, kp:, kp:] = state.features, state.gradients

    to = _transfer(m, slope)
    back = np.linalg.inv(to)
    rate = problem.sigma_w**2 * back @ white @ back.swapaxes(1, 2)
    noise = problem.start + np.tensordot(area, rate, 1)
    b, f = problem.boundary(chi)
    bq = b @ np.linalg.inv(f @ to[-1] @ b)
    pi = bq @ f @ to[-1]
    c = bq @ np.ones((k, 1))
    stay = np.eye(kp + k) - pi
    inner = stay @ noise @ stay.T + pi @ (noise[-1] - noise) @ pi.T + c @ c.T
    covariance = symmetric(to @ inner @ to.swapaxes(1, 2))
    features, gradients = covariance[:, :kp, :kp], covariance[:, kp:, kp:]
    outputs = covariance[-1, np.arange(kp), kp + problem.step]
    response = -to @ pi @ back
    keep = float(problem.reused)
    forward = -keep * response[:, :kp, kp:] * problem.before
    backward = keep * response[:, kp:, :kp] * problem.until
    return Solved(State(features, gradients, forward, backward, outputs), times, features, gradients)


def _transfer(m: ndarray, slope: ndarray) -> ndarray:
    """T at the nodes: T' = m T, T_0 = 1."""
    count, size = len(m), m.shape[-1]
    system = np.einsum("ij,ab->iajb", slope, np.eye(size))
    system[np.arange(count), :, np.arange(count), :] -= m
    known = system[1:, :, 0].reshape(-1, size)
    solved = np.linalg.solve(system[1:, :, 1:].reshape(len(known), -1), -known)
    return np.concatenate([np.eye(size)[None], solved.reshape(count - 1, size, size)])
