"""The setting of a run with many outputs: checked once, where it is built."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..._checks import positive_float, positive_int


@dataclass(frozen=True)
class Setting:
    """C outputs, width N and input dimension D diverge at fixed κ = C/N and c = N/D.

    V (C × N) iid N(0, 1/N) is fixed, M₀ (N × D) iid N(0, σ²/D), teacher A (C × D) iid N(0, a²/D), x ~ N(0, 1_D).
    f = V M x/γ, gradient descent at rate η γ² on ½ E|f − A x|² (``sample_ratio`` None), or on P = sample_ratio · D
    samples of labels A x + ε, ε ~ N(0, σ_ε²). γ enters as a → γ a, σ_ε → γ σ_ε.

    ValueError for ratios, rates or scales out of range, for label noise without samples, and for a rate at which
    gradient descent is not stable: η l₊ μ₊ ≥ 2, l₊ = (1 + √κ)², μ₊ = (1 + √(D/P))² (1 without samples).

    >>> Setting(output_ratio=0.5, width_ratio=1.0, lr=0.2, steps=10, teacher=3.0).largest_rate
    0.6862915010152396
    """

    output_ratio: float
    width_ratio: float = 1.0
    lr: float = 0.1
    steps: int = 10
    teacher: float = 1.0
    sigma_w: float = 1.0
    sample_ratio: float | None = None
    label_noise: float = 0.0
    gamma: float = 1.0

    def __post_init__(self) -> None:
        put = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731
        for name in ("output_ratio", "width_ratio", "lr", "gamma"):
            put(name, positive_float(name, getattr(self, name)))
        for name in ("teacher", "sigma_w", "label_noise"):
            put(name, positive_float(name, getattr(self, name), zero=True))
        put("steps", positive_int("steps", self.steps, least=0))
        if self.sample_ratio is not None:
            put("sample_ratio", positive_float("sample_ratio", self.sample_ratio))
        elif self.label_noise > 0:
            raise ValueError("`label_noise` needs a `sample_ratio`; over infinitely many samples it averages out.")
        if self.lr >= self.largest_rate:
            raise ValueError(
                f"`lr` must be below {self.largest_rate:.6g}, where gradient descent becomes unstable; got {self.lr:g}."
            )
        if self.sigma_w == 0 and (self.teacher == 0 or self.steps == 0):
            raise ValueError("`sigma_w` must be positive where `teacher` or `steps` is zero; the weights are zero.")

    @property
    def largest_rate(self) -> float:
        """2/(l₊ μ₊): gradient descent is stable below it."""
        top = (1 + math.sqrt(self.output_ratio)) ** 2
        if self.sample_ratio is not None:
            top *= (1 + math.sqrt(1 / self.sample_ratio)) ** 2
        return 2 / top
