"""How a quantity of a network of finite width errs from its limit, and what a run costs: fits to pilot runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy import optimize, stats

DOUBT = 1e-3  # probability below which means over widths are said not to follow limit + bias/n


class FiniteSize(NamedTuple):
    """Mean over networks limit + bias/n, variance over them variance/n, from the pilot widths of at least ``least``.

    Standard errors beside the numbers; ``variance_freedom`` degrees of freedom.
    """

    limit: float
    limit_stderr: float
    bias: float
    bias_stderr: float
    variance: float
    variance_freedom: int
    least: int

    def error(self, width: float, seeds: int = 1) -> tuple[float, float]:
        """√(E bias²/n² + variance/(n seeds)) of a mean over seeds, and the standard error of this number.

        E bias² = bias² + its variance: a bias that the pilot cannot exclude is allowed for.
        """
        bias, scatter = (self.bias**2 + self.bias_stderr**2) / width**2, self.variance / (width * seeds)
        total = (bias + scatter) ** 0.5
        doubts = 2 * abs(self.bias) * self.bias_stderr / width**2, scatter * (2 / self.variance_freedom) ** 0.5
        return total, float(np.hypot(*doubts) / (2 * total)) if total else 0.0

    def seeds_for(self, error: float, width: float) -> int | None:
        """The fewest seeds of a width that reach an error; None where the bias alone is larger."""
        room = error**2 - (self.bias**2 + self.bias_stderr**2) / width**2
        return max(1, int(np.ceil(self.variance / (width * room) * (1 - 1e-9)))) if room > 0 else None


def fit_finite_size(widths: Sequence[int], samples: Sequence[Float[ndarray, " s"]]) -> FiniteSize:
    """The fit to values of single networks, a group for each width; narrowest widths left out until it is good.

    Weighted least squares of the means in 1/n, with one variance/n pooled over the groups. Good: the residuals' χ² has
    a probability above `DOUBT`; a fit to two widths cannot be doubted.

    >>> found = fit_finite_size([10, 100], [np.array([1.9, 2.1]), np.array([1.0, 1.2])])
    >>> round(found.limit, 9), round(found.bias, 9), round(found.variance, 9)
    (1.0, 10.0, 1.1)
    """
    n = np.array(widths, float)
    order = np.argsort(n)
    groups = [np.asarray(samples[i], float) for i in order]
    n = n[order]
    while True:
        fit, probability = _fit(n, groups)
        if probability > DOUBT or len(np.unique(n)) <= 2:
            return fit
        kept = n > n[0]
        n, groups = n[kept], [g for g, keep in zip(groups, kept, strict=True) if keep]


def _fit(n: Float[ndarray, " w"], groups: Sequence[ndarray]) -> tuple[FiniteSize, float]:
    """The fit, and how probable its residuals are."""
    counts = np.array([len(g) for g in groups])
    means = np.array([g.mean() for g in groups])
    freedom = int(np.sum(counts - 1))
    variance = float(sum(size * np.sum((g - g.mean()) ** 2) for size, g in zip(n, groups, strict=True)) / freedom)
    design, weights = np.stack([np.ones_like(n), 1 / n], 1), n * counts
    normal = np.linalg.inv(design.T @ (weights[:, None] * design))
    limit, bias = normal @ (design.T @ (weights * means))
    errors = np.sqrt(variance * np.diag(normal))
    residual = float(np.sum(weights * (means - limit - bias / n) ** 2))
    spare = len(n) - 2
    probability = float(stats.f.sf(residual / (spare * variance), spare, freedom)) if spare and variance else 1.0
    found = FiniteSize(float(limit), float(errors[0]), float(bias), float(errors[1]), variance, freedom, int(n[0]))
    return found, probability


class Cost(NamedTuple):
    """Seconds of a run: fixed + slope · n^power."""

    fixed: float
    slope: float
    power: int

    def seconds(self, width: float) -> float:
        """Of one run."""
        return self.fixed + self.slope * width**self.power


def fit_cost(widths: Sequence[int], seconds: Sequence[float], power: int) -> Cost:
    """Neither part negative, relative errors squared.

    >>> fit_cost([10, 20], [1.1, 1.2], 1)
    Cost(fixed=1.0, slope=0.01, power=1)
    """
    n, t = np.array(widths, float), np.array(seconds, float)
    scale = n.max() ** power
    design = np.stack([np.ones_like(n), n**power / scale], 1) / t[:, None]
    fixed, slope = optimize.nnls(design, np.ones_like(t))[0]
    return Cost(float(f"{fixed:.12g}"), float(f"{slope / scale:.12g}"), power)
