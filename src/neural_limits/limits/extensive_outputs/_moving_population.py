"""The bulk of a law whose population moves with the point it is asked at, the population a piecewise density."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Complex, Float
from numpy import ndarray

ROUGH, FINE, ROUNDS = 1e-2, 1e-13, 60  # relative steps of Newton's method on the way down, and at the end
LOWEST = 1e-12  # height above the real line, relative to y, from which the last step goes to it
NARROW = 1e-6  # pieces this narrow beside their distance from u count as atoms
IN_GAP = 1e-9  # Im u/|u| below this is rounding, off the pieces


class Pieces(NamedTuple):
    """Weights w of pieces t ∈ [left, right], each uniform, a row per point y; and how fast their ends move with y."""

    left: Float[ndarray, "p m"]
    right: Float[ndarray, "p m"]
    left_speed: Float[ndarray, "p m"]
    right_speed: Float[ndarray, "p m"]
    weights: Float[ndarray, " m"]


class Bulk(NamedTuple):
    """Density of the companion law per unit y, and its mass below y."""

    density: Float[ndarray, " p"]
    below: Float[ndarray, " p"]


def bulk(pieces: Pieces, ratio: float, y: Float[ndarray, " p"]) -> Bulk:
    """How the mass below y grows, where at each y the population is that of ``pieces``.

    x(u) = (1 − c) u + c u² Σ w⟨1/(u − t)⟩ = y,  ⟨1/(u − t)⟩ = log((u − left)/(u − right))/(right − left);
    mass 1 + (1/π) Im[−log u + c Σ w⟨log u − log(u − t) − t/(u − t)⟩], whose derivative by y is
    (1/π) Im[−1/u + c Σ w⟨(∂t/∂y)/(u − t)⟩]: at fixed y the mass is stationary in u.
    """
    u = _solve(pieces, ratio, y)
    mean = _mean_inverse(pieces, u)
    middle, speed = (pieces.left + pieces.right) / 2, (pieces.left_speed + pieces.right_speed) / 2
    width, spread = pieces.right - pieces.left, pieces.right_speed - pieces.left_speed
    rate = np.divide(spread, width, out=np.zeros_like(width), where=width != 0)
    off = (u[:, None] - middle) * mean - 1
    moving = (speed * mean + np.where(_narrow(pieces, u), 0, rate * off)) @ pieces.weights
    density = np.maximum((-1 / u + ratio * moving).imag / np.pi, 0.0)
    pole = (u[:, None] * mean - 1) @ pieces.weights
    logs = np.log(u) * pieces.weights.sum() - _mean_log(pieces, u) @ pieces.weights
    below = 1 + (-np.log(u) + ratio * (logs - pole)).imag / np.pi
    # Within a piece v may be as small as e^{−2zt}, yet it is the bulk; off the pieces a v of rounding is a gap.
    low, high = np.minimum(pieces.left, pieces.right), np.maximum(pieces.left, pieces.right)
    within = ((u.real[:, None] >= low) & (u.real[:, None] <= high) & (low < high)).any(1)
    return Bulk(np.where(within | (u.imag > IN_GAP * np.abs(u)), density, 0.0), np.clip(below, 0.0, 1.0))


def _solve(pieces: Pieces, ratio: float, y: Float[ndarray, " p"]) -> Complex[ndarray, " p"]:
    """u with x(u) = y, the limit from above: Newton's method from far above the real line, a quarter as high a step."""
    reach = np.maximum(np.abs(pieces.left).max(1), np.abs(pieces.right).max(1))
    height = 4 * (1 + ratio) * (reach + y)
    u = y + 1j * height
    while (height > LOWEST * y).any():
        height = np.maximum(height / 4, LOWEST * y / 2)
        u = _newton(pieces, ratio, y + 1j * height, u, ROUGH)
    return _newton(pieces, ratio, y + 0j, u, FINE)


def _newton(
    pieces: Pieces, ratio: float, z: Complex[ndarray, " p"], u: Complex[ndarray, " p"], tolerance: float
) -> Complex[ndarray, " p"]:
    for _ in range(ROUNDS):
        sums = _mean_inverse(pieces, u) @ pieces.weights
        slopes = (1 / ((u[:, None] - pieces.left) * (u[:, None] - pieces.right))) @ pieces.weights
        x = (1 - ratio) * u + ratio * u * u * sums
        step = (x - z) / ((1 - ratio) + 2 * ratio * u * sums - ratio * u * u * slopes)
        # On the solution Im u ≥ Im z; a step past the real line is cut to half the way there.
        room = u.imag - np.maximum(z.imag, 0) / 2
        step *= np.divide(room, 2 * step.imag, out=np.ones_like(room), where=step.imag > room)
        u = u - step
        if (np.abs(step) <= tolerance * np.abs(u)).all():
            break
    return u


def _narrow(pieces: Pieces, u: Complex[ndarray, " p"]) -> ndarray:
    return np.abs(pieces.right - pieces.left) < NARROW * np.abs(u[:, None] - pieces.left)


def _mean_inverse(pieces: Pieces, u: Complex[ndarray, " p"]) -> Complex[ndarray, "p m"]:
    """⟨1/(u − t)⟩ of every piece; above the real line the difference of two logarithms is that of the ratio."""
    first, last, width = u[:, None] - pieces.left, u[:, None] - pieces.right, pieces.right - pieces.left
    narrow = _narrow(pieces, u)
    return np.where(narrow, 2 / (first + last), np.log(first / last) / np.where(narrow, 1.0, width))


def _mean_log(pieces: Pieces, u: Complex[ndarray, " p"]) -> Complex[ndarray, "p m"]:
    """⟨log(u − t)⟩ of every piece."""
    first, last, width = u[:, None] - pieces.left, u[:, None] - pieces.right, pieces.right - pieces.left
    narrow = _narrow(pieces, u)
    whole = (first * np.log(first) - last * np.log(last)) / np.where(narrow, 1.0, width) - 1
    return np.where(narrow, np.log((first + last) / 2), whole)
