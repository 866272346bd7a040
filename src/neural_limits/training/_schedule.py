"""Learning-rate schedules: warm-up, then a decay to the end of the run."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from .._checks import one_of, positive_float, positive_int

SHAPES = ("constant", "linear", "cosine", "inverse-sqrt")


@dataclass(frozen=True)
class Schedule:
    """Factor of every rate at each step: it rises linearly over ``warmup`` steps, then decays to ``final``.

    f_t = (t + 1)/warmup for t < warmup; after that with u = (t - warmup)/(steps - warmup) in [0, 1]

        constant 1,   linear 1 - (1 - final) u,   cosine final + (1 - final)(1 + cos π u)/2,
        inverse-sqrt √(w/(w + t - warmup)), w = max(warmup, 1)

    Decoupled weight decay shrinks by lr f_t λ, as in PyTorch. ValueError for another shape, a negative warm-up, or a
    final factor above one.

    >>> Schedule(warmup=2, shape="linear").factors(4).tolist()
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """

    warmup: int = 0
    shape: str = "constant"
    final: float = 0.0

    def __post_init__(self) -> None:
        positive_int("warmup", self.warmup, least=0)
        one_of("shape", self.shape, SHAPES)
        if positive_float("final", self.final, zero=True) > 1:
            raise ValueError(f"`final` must be at most 1, the factor after warm-up; got {self.final!r}.")

    def factors(self, steps: int) -> Float[ndarray, " T"]:
        """f_t for t = 0..steps, of which the last is never used; a run shorter than the warm-up ends within it."""
        time = np.arange(steps + 1)
        rising = (time + 1) / max(self.warmup, 1)
        return np.where(time < self.warmup, rising, self._after(np.maximum(time - self.warmup, 0), steps))

    def _after(self, since: ndarray, steps: int) -> ndarray:
        share = since / max(steps - self.warmup, 1)
        if self.shape == "linear":
            return 1 - (1 - self.final) * share
        if self.shape == "cosine":
            return self.final + (1 - self.final) * (1 + np.cos(math.pi * share)) / 2
        if self.shape == "inverse-sqrt":
            w = max(self.warmup, 1)
            return np.sqrt(w / (w + since))
        return np.ones_like(share)
