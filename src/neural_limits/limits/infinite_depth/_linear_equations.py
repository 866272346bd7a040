"""What the linear theory has in common at finite and infinite depth: indices, boundary conditions, residuals.

For φ(h) = h the backward vectors do not depend on the sample, so that a state is z = (h, g) with h indexed by
a = (step k, sample i), K·P entries, and g by the step, K entries. All laws are Gaussian: only covariances are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray


@dataclass(frozen=True)
class Problem:
    """Data, rates and the number K of forward passes that are active."""

    gram: Float[ndarray, "P P"]  # C = X Xᵀ/d
    y: Float[ndarray, " P"]
    active: int
    lr: float
    lr_input: float
    lr_output: float
    sigma_w: float
    reused: bool

    @property
    def samples(self) -> int:
        return len(self.y)

    @property
    def features(self) -> int:
        """K·P, the size of h."""
        return self.active * self.samples

    @cached_property
    def step(self) -> ndarray:
        """The step of each entry of h."""
        return np.repeat(np.arange(self.active), self.samples)

    @cached_property
    def before(self) -> ndarray:
        """1 where a step (column) is earlier than that of an entry of h (row): (K·P, K)."""
        return (np.arange(self.active) < self.step[:, None]).astype(float)

    @cached_property
    def past(self) -> ndarray:
        """1 where an entry of h (column) is of an earlier step than the row: (K, K·P). Not `before` transposed."""
        return (self.step < np.arange(self.active)[:, None]).astype(float)

    @cached_property
    def until(self) -> ndarray:
        """1 where an entry of h (column) is of the same or an earlier step than the row: (K, K·P)."""
        return (self.step <= np.arange(self.active)[:, None]).astype(float)

    @cached_property
    def start(self) -> ndarray:
        """Covariance of h_0 without training, zero for g: P_0."""
        size = self.features + self.active
        p = np.zeros((size, size))
        p[: self.features, : self.features] = np.tile(self.gram, (self.active, self.active))
        return p

    def by_step(self, matrix: ndarray) -> ndarray:
        """Sums the last axis, K·P, over samples."""
        return matrix.reshape(*matrix.shape[:-1], self.active, self.samples).sum(-1)

    def boundary(self, chi: Float[ndarray, " KP"]) -> tuple[ndarray, ndarray]:
        """B̂ = [B; 1] and F̂ = [-F, 1]: h_0 = start + B g_0 and g_L = v + F h_L through trained U and v."""
        k = self.active
        tiled = np.tile(self.gram, (k, k))
        b = -self.lr_input * self.by_step(tiled * chi) * self.before
        f = -self.lr_output * chi * self.past
        return np.vstack([b, np.eye(k)]), np.hstack([-f, np.eye(k)])

    def drifts(self, state: State, chi: ndarray, size: float) -> tuple[ndarray, ndarray]:
        """What the learned part adds: -size χ Φ (…, K·P, K) and -size χ G (…, K, K·P), over earlier steps."""
        forward = -size * self.by_step(state.features * chi) * self.before
        backward = -size * chi * state.gradients[..., self.step] * self.past
        return forward, backward


class State(NamedTuple):
    """The order parameters at every layer l = 1..L, or at every node of t."""

    features: Float[ndarray, "l KP KP"]  # Φ
    gradients: Float[ndarray, "l K K"]  # G
    forward: Float[ndarray, "l KP K"]  # R, or r
    backward: Float[ndarray, "l K KP"]  # S, or s
    outputs: Float[ndarray, " KP"]


class Solved(NamedTuple):
    """A state and the kernels at all times 0 ≤ t ≤ 1."""

    state: State
    times: ndarray
    features: ndarray
    gradients: ndarray


def symmetric(matrix: ndarray) -> ndarray:
    """The symmetric part."""
    return (matrix + matrix.swapaxes(-1, -2)) / 2


def enlarged(state: State, problem: Problem) -> State:
    """A state with one more step, which starts as a copy of the last one (zeros where it cannot be known)."""
    p, k = problem.samples, problem.active
    h, g = np.arange(k * p), np.arange(k)
    h[-p:] -= p if k > 1 else 0
    g[-1] -= 1 if k > 1 else 0
    return State(
        state.features[:, h][:, :, h], state.gradients[:, g][:, :, g], state.forward[:, h][:, :, g] * problem.before,
        state.backward[:, g][:, :, h] * problem.until, state.outputs[h],
    )  # fmt: skip


def first_guess(problem: Problem, layers: int) -> State:
    """The untrained network of depth zero."""
    p = problem.samples
    return State(
        np.broadcast_to(problem.gram, (layers, p, p)), np.ones((layers, 1, 1)), np.zeros((layers, p, 1)),
        np.zeros((layers, 1, p)), np.zeros(p),
    )  # fmt: skip
