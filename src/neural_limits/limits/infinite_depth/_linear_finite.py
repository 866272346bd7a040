"""The linear theory at infinite width and finite depth L: one sweep of its fixed point."""

from __future__ import annotations

import numpy as np

from ._linear_equations import Problem, Solved, State, symmetric


def sweep(problem: Problem, state: State) -> Solved:
    """The order parameters that follow from those given. Cost O(L (K P)³).

    z_l = M_l z_{l-1} + N_l (ξ_l, ζ_l) with boundary values at both ends; the solution is
    z_l = y_l + T_l B̂ Q (1 v - F̂ y_L), where y is the path from h_0 with g_0 = 0.
    """
    layers, kp, k = len(state.features), problem.features, problem.active
    chi = (state.outputs - np.tile(problem.y, k)) / problem.samples
    noise = problem.sigma_w / layers**0.5
    d, e = problem.drifts(state, chi, problem.lr / layers)
    d, e = d + noise * state.forward, e + noise * state.backward
    m, n = np.zeros((2, layers, kp + k, kp + k))
    m[:, :kp, :kp], m[:, :kp, kp:] = np.eye(kp) - d @ e, d
    m[:, kp:, :kp], m[:, kp:, kp:] = -e, np.eye(k)
    n[:, :kp, :kp], n[:, :kp, kp:], n[:, kp:, kp:] = noise * np.eye(kp), -noise * d, -noise * np.eye(k)
    white = np.zeros((layers, kp + k, kp + k))
    white[:, :kp, :kp], white[:, kp:, kp:] = state.features, state.gradients

    to, rest, free = _paths(m, n @ white @ n.swapaxes(1, 2), problem.start)
    b, f = problem.boundary(chi)
    bq = b @ np.linalg.inv(f @ to[-1] @ b)  # B̂ Q
    a = to @ bq @ f
    cross = a @ (rest @ free)
    c = to @ bq @ np.ones((k, 1))
    covariance = symmetric(free - cross - cross.swapaxes(1, 2) + a @ free[-1] @ a.swapaxes(1, 2) + c @ c.swapaxes(1, 2))
    features, gradients = covariance[:, :kp, :kp], covariance[:, kp:, kp:]
    outputs = covariance[-1, np.arange(kp), kp + problem.step]
    response = bq @ (f @ (rest[1:] @ n))
    forward = -(to[:-1] @ response)[:, :kp, kp:] * problem.before
    backward = (n - to[1:] @ response)[:, kp:, :kp] * problem.until
    keep = float(problem.reused)
    new = State(features[:-1], gradients[1:], keep * forward, keep * backward, outputs)
    return Solved(new, np.arange(layers + 1) / layers, features, gradients)


def _paths(m: np.ndarray, noise: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """T_l = M_l … M_1, V_l = M_L … M_{l+1} and the covariance of the unconstrained path, l = 0..L."""
    layers, size = len(m), m.shape[-1]
    to, rest, free = np.empty((3, layers + 1, size, size))
    to[0], rest[-1], free[0] = np.eye(size), np.eye(size), start
    for l in range(layers):
        to[l + 1] = m[l] @ to[l]
        free[l + 1] = m[l] @ free[l] @ m[l].T + noise[l]
        rest[layers - 1 - l] = rest[layers - l] @ m[layers - 1 - l]
    return to, rest, free
