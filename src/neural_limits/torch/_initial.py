"""Which law the model's own initial values follow, so that they can be brought to the scheme's.

The root mean square of a parameter is compared with its counterpart's. If the ratio is, within four standard errors,
that of a known law (constant, 1/√fan_in, 1/√fan_out, Xavier, 1/fan_in; each with or without 1/√depth), the law's
exact ratio is taken, so that the scheme's factor does not depend on the draw; otherwise the measured ratio.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from ._schemes import Size


class Own(NamedTuple):
    """Ratio of the model's own initial values to the base's: its part due to depth, and the whole."""

    depth: float
    whole: float


def finite_rms(name: str, value: torch.Tensor, argument: str) -> float:
    """Root mean square; ValueError if an entry is not finite or there are no values (meta device)."""
    if value.is_meta:
        raise ValueError(f"`{argument}` must hold its initial values; {name} is on the meta device.")
    if not bool(torch.isfinite(value).all()):
        raise ValueError(f"`{argument}` must have finite weights; {name} has a NaN or an infinity.")
    return float(value.detach().double().square().mean().sqrt()) if value.numel() else 0.0


def own_ratio(
    value: torch.Tensor, base_value: torch.Tensor, rms: tuple[float, float], fan_in: Size, fan_out: Size, depth: float
) -> Own:
    """The ratio of root mean squares ``rms`` (model, base), as a law where one fits."""
    measured = rms[0] / rms[1]
    xavier = (fan_in.value + fan_out.value) / (fan_in.base + fan_out.base)
    usual = (1.0, fan_in.ratio**-0.5)
    others = (fan_out.ratio**-0.5, xavier**-0.5, 1 / fan_in.ratio)
    error = math.hypot(_relative_error(value, rms[0]), _relative_error(base_value, rms[1]))
    for widths in (usual, others):  # Xavier's is close to 1/√fan_in where only inputs scale
        laws = [Own(part, width * part) for part in dict.fromkeys((1.0, depth**-0.5)) for width in widths]
        nearest = min(laws, key=lambda law: abs(math.log(law.whole / measured)))
        if abs(math.log(nearest.whole / measured)) < 4 * error + 1e-6:
            return nearest
    return Own(1.0, measured)


def _relative_error(value: torch.Tensor, rms: float) -> float:
    """Relative standard error of a root mean square: half the standard error of the mean square."""
    squares = value.detach().double().square() / rms**2
    return float(squares.std()) / (2 * value.numel() ** 0.5) if value.numel() > 1 else 1.0
