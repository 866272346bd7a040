"""The bulk of a law whose population moves with the point it is asked at, the population a piecewise density."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Complex, Float
from numpy import ndarray

STEP = 16  # from one height to the next
ROUGH, FINE, ROUNDS = 1e-2, 1e-13, 60  # relative steps of Newton's method on the way down, and at the end
LOST = 1e-6  # residual relative to the larger of y and |u| that is no solution
LOWEST = 1e-12  # height above the real line, relative to y, from which the last step goes to it
NARROW = 1e-6  # pieces this narrow beside their distance from u count as atoms
IN_GAP = 1e-9  # Im u/|u| below this is rounding, off the pieces


class Pieces(NamedTuple):
    """Weights w of pieces t ∈ [left, right], a row per point y, and how fast their ends move with y.

    The density of a piece is (w/Δ)(1 + β (t − middle)/Δ), Δ = right − left.
    """

    left: Float[ndarray, "p m"]
    right: Float[ndarray, "p m"]
    left_speed: Float[ndarray, "p m"]
    right_speed: Float[ndarray, "p m"]
    weights: Float[ndarray, " m"]
    tilt: Float[ndarray, "p m"]

    @property
    def middle(self) -> Float[ndarray, "p m"]:
        """(left + right)/2."""
        return (self.left + self.right) / 2

    @property
    def width(self) -> Float[ndarray, "p m"]:
        """Δ, of either sign."""
        return self.right - self.left


class Bulk(NamedTuple):
    """Density of the companion law per unit y, and its mass below y."""

    density: Float[ndarray, " p"]
    below: Float[ndarray, " p"]


def tilts(left: ndarray, right: ndarray, weights: ndarray) -> ndarray:
    """β of every piece from its neighbours' densities, at most 2 so that no density is negative.

    Zero at the ends, and where neighbours turn back.
    """
    middle, width = (left + right) / 2, right - left
    with np.errstate(divide="ignore", invalid="ignore"):
        height = weights / np.abs(width)
        slope = (height[:, 2:] - height[:, :-2]) / (middle[:, 2:] - middle[:, :-2])
        inner = np.clip(slope * width[:, 1:-1] / height[:, 1:-1], -2, 2)
    onward = (np.diff(middle)[:, 1:] * np.diff(middle)[:, :-1] > 0) & np.isfinite(inner)
    tilt = np.zeros_like(width)
    tilt[:, 1:-1] = np.where(onward, inner, 0.0)
    return tilt


def bulk(pieces: Pieces, ratio: float, y: Float[ndarray, " p"]) -> Bulk:
    """How the mass below y grows, where at each y the population is that of ``pieces``.

    x(u) = (1 − c) u + c u² Σ w⟨1/(u − t)⟩ = y, the mean over a piece in closed form;
    mass 1 + (1/π) Im[−log u + c Σ w⟨log u − log(u − t) − t/(u − t)⟩], whose derivative by y is
    (1/π) Im[−1/u + c Σ w⟨(∂t/∂y)/(u − t)⟩]: at fixed y the mass is stationary in u.
    """
    u = _solve(pieces, ratio, y)
    mean, _ = _mean_inverse(pieces, u)
    speed, spread = (pieces.left_speed + pieces.right_speed) / 2, pieces.right_speed - pieces.left_speed
    narrow = _narrow(pieces, u)
    rate = np.divide(spread, pieces.width, out=np.zeros_like(spread), where=~narrow)
    moving = (speed * mean + rate * ((u[:, None] - pieces.middle) * mean - 1)) @ pieces.weights
    density = np.maximum((-1 / u + ratio * moving).imag / np.pi, 0.0)
    pole = (u[:, None] * mean - 1) @ pieces.weights
    logs = np.log(u) * pieces.weights.sum() - _mean_log(pieces, u) @ pieces.weights
    below = 1 + (-np.log(u) + ratio * (logs - pole)).imag / np.pi
    # Within a piece v may be as small as e^{−2zt}, yet it is the bulk; off the pieces a v of rounding is a gap.
    low, high = np.minimum(pieces.left, pieces.right), np.maximum(pieces.left, pieces.right)
    within = ((u.real[:, None] >= low) & (u.real[:, None] <= high) & (low < high)).any(1)
    return Bulk(np.where(within | (u.imag > IN_GAP * np.abs(u)), density, 0.0), np.clip(below, 0.0, 1.0))


def _solve(pieces: Pieces, ratio: float, y: Float[ndarray, " p"]) -> Complex[ndarray, " p"]:
    """u with x(u) = y, the limit from above: Newton's method from far above, ``STEP`` times lower at a time."""
    reach = np.maximum(np.abs(pieces.left).max(1), np.abs(pieces.right).max(1))
    height = 4 * (1 + ratio) * (reach + y)
    u = y + 1j * height
    while (height > LOWEST * y).any():
        height = np.maximum(height / STEP, LOWEST * y / 2)
        u = _newton(pieces, ratio, y + 1j * height, u, ROUGH)
    u = _newton(pieces, ratio, y + 0j, u, FINE)
    sums, _ = _mean_inverse(pieces, u)
    missed = np.abs((1 - ratio) * u + ratio * u * u * (sums @ pieces.weights) - y) > LOST * np.maximum(y, np.abs(u))
    if missed.any():
        raise RuntimeError(f"the bulk's equation did not converge at y = {y[missed][0]:.17g}; please report it.")
    return u


def _newton(
    pieces: Pieces, ratio: float, z: Complex[ndarray, " p"], u: Complex[ndarray, " p"], tolerance: float
) -> Complex[ndarray, " p"]:
    for _ in range(ROUNDS):
        sums, slopes = (part @ pieces.weights for part in _mean_inverse(pieces, u))
        x = (1 - ratio) * u + ratio * u * u * sums
        step = (x - z) / ((1 - ratio) + 2 * ratio * u * sums + ratio * u * u * slopes)
        # On the solution Im u ≥ Im z; a step past the real line is cut to half the way there.
        room = u.imag - np.maximum(z.imag, 0) / 2
        step *= np.divide(room, 2 * step.imag, out=np.ones_like(room), where=step.imag > room)
        u = u - step
        if (np.abs(step) <= tolerance * np.abs(u)).all():
            break
    return u


def _narrow(pieces: Pieces, u: Complex[ndarray, " p"]) -> ndarray:
    return np.abs(pieces.right - pieces.left) < NARROW * np.abs(u[:, None] - pieces.left)


def _mean_inverse(pieces: Pieces, u: Complex[ndarray, " p"]) -> tuple[Complex[ndarray, "p m"], Complex[ndarray, "p m"]]:
    """⟨1/(u − t)⟩ of every piece and its derivative by u; the two logarithms' difference is that of their ratio."""
    first, last, narrow = u[:, None] - pieces.left, u[:, None] - pieces.right, _narrow(pieces, u)
    width = np.where(narrow, 1.0, pieces.width)
    log, slope = np.log(first / last), -width / (first * last)
    tilted = 1 + pieces.tilt * (first + last) / (2 * width)
    mean, by_u = (tilted * log - pieces.tilt) / width, (tilted * slope + pieces.tilt * log / width) / width
    middle = 2 / (first + last)
    return np.where(narrow, middle, mean), np.where(narrow, -middle * middle, by_u)


def _mean_log(pieces: Pieces, u: Complex[ndarray, " p"]) -> Complex[ndarray, "p m"]:
    """⟨log(u − t)⟩ of every piece."""
    first, last, narrow = u[:, None] - pieces.left, u[:, None] - pieces.right, _narrow(pieces, u)
    width = np.where(narrow, 1.0, pieces.width)
    a, b = np.log(first), np.log(last)
    even = (first * a - last * b) / width - 1
    odd = (first + last) / 2 * even - (first**2 * (a - 0.5) - last**2 * (b - 0.5)) / (2 * width)
    return np.where(narrow, np.log((first + last) / 2), even + pieces.tilt * odd / width)
