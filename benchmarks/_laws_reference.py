"""What `benchmarks/laws.py` measures against: no code shared with the library, more digits than it has."""

from __future__ import annotations

from decimal import Decimal, localcontext

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from scipy.special import airy

PI = Decimal("3.1415926535897932384626433832795028841971693993751058209749445923")
DIGITS = 50


def marchenko_pastur(x: float | Decimal, ratio: float) -> tuple[Decimal, Decimal]:
    """(density, distribution function) inside the bulk, the textbook's closed forms in 50 digits."""
    with localcontext(prec=DIGITS):
        x, c = Decimal(x), Decimal(ratio)
        low, high = (1 - c.sqrt()) ** 2, (1 + c.sqrt()) ** 2
        root, r = ((high - x) * (x - low)).sqrt(), ((high - x) / (x - low)).sqrt()
        sum_ = PI * max(c, 2 * c - 1) + root - (1 + c) * _arctan((r * r - 1) / (2 * r))
        if c != 1:
            sum_ += (1 - c) * _arctan((low * r * r - high) / (2 * (1 - c) * r))
        return root / (2 * PI * c * x), sum_ / (2 * PI * c)


def marchenko_pastur_quantile(q: float, ratio: float, start: float) -> Decimal:
    """The x with distribution function q in the bulk: Newton's method until nothing moves."""
    with localcontext(prec=DIGITS):
        c, x = Decimal(ratio), Decimal(start)
        low, high = (1 - c.sqrt()) ** 2, (1 + c.sqrt()) ** 2
        x = min(max(x, low + (high - low) / 10**6), high - (high - low) / 10**6)
        for _ in range(60):
            density, below = marchenko_pastur(x, ratio)
            new = x - (below - Decimal(q)) / density
            new = (x + low) / 2 if new <= low else (x + high) / 2 if new >= high else new
            if abs(new - x) < Decimal(10) ** -30:
                return new
            x = new
        raise RuntimeError(f"no quantile at {q} for ratio {ratio}")


def _arctan(x: Decimal) -> Decimal:
    for _ in range(6):  # arctan x = 2 arctan(x/(1 + √(1 + x²)))
        x = x / (1 + (1 + x * x).sqrt())
    power, total, k = x, x, 1
    while abs(power) > Decimal(10) ** -(DIGITS + 5):
        power, k = -power * x * x, k + 2
        total += power / k
    return 64 * total


def silverstein(x: NDArray[np.float64], t: NDArray[np.float64], ratio: float) -> NDArray[np.longdouble]:
    """Density inside the bulk from m(z) itself: z = −1/m̃ + c ∫ t/(1 + t m̃) dH, in extended precision.

    The fixed-point iteration at Im z = ½, then Newton's method down a ladder of heights to the real line, where the
    solutions off it are one pair of conjugates.
    """
    t = t.astype(np.longdouble)
    m = iterated(x + 0.5j, t, ratio).astype(np.clongdouble)
    x = x.astype(np.longdouble)
    for height in [*(0.5 * 0.8 ** np.arange(1, 90)), 0.0]:
        for _ in range(6 if height else 30):
            share = t / (1 + m[:, None] * t)
            error = -1 / m + ratio * share.mean(1) - (x + 1j * np.longdouble(height))
            m = m - error / (1 / m**2 - ratio * (share**2).mean(1))
        m = np.where(m.imag < 0, m.conj(), m)
    if np.abs(error).max() > 1e-13 or (m.imag <= 0).any():
        raise RuntimeError("the reference did not converge")
    return m.imag / (np.longdouble(np.pi) * ratio)


def iterated(z: NDArray[np.complex128], t: NDArray[np.floating], ratio: float) -> NDArray[np.complexfloating]:
    """m̃(z) by m̃ ← −1/(z − c ∫ t/(1 + t m̃) dH), a contraction above the real line."""
    m = -1 / z
    for _ in range(2000):
        new = -1 / (z - ratio * (t / (1 + m[:, None] * t)).mean(1))
        if np.abs(new - m).max() < 1e-15:
            break
        m = (m + new) / 2
    return new


def tracy_widom(s: NDArray[np.float64]) -> NDArray[np.float64]:
    """F₁ by Painlevé II, q″ = s q + 2 q³, q ~ Ai, from s = 8 down; about 1e-12 for s > −5."""
    start = 8.0
    value, slope, _, _ = airy(start)

    def right(x: float, y: NDArray[np.float64]) -> list[float]:
        return [y[1], x * y[0] + 2 * y[0] ** 3, -y[0], -y[4], -(y[0] ** 2)]

    # q, q', ∫_s q, ∫_s (x − s) q², ∫_s q²; beyond the start q is Ai
    grid = np.linspace(start, 20, 4001)
    tail = airy(grid)[0]
    first = [np.trapezoid(tail, grid), np.trapezoid((grid - start) * tail**2, grid), np.trapezoid(tail**2, grid)]
    order = np.argsort(s)[::-1]
    found = solve_ivp(right, (start, s.min()), [value, slope, *first], "DOP853", s[order], rtol=1e-13, atol=1e-16)
    out = np.empty_like(s)
    out[order] = np.exp(-(found.y[2] + found.y[3]) / 2)
    return out
