"""Gradient flow with many outputs: readout fixed, or trained from a small start."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..._checks import positive_float
from ...laws import SingularValues
from ._population import flow, population_law
from ._solution import ManyOutputs, solution
from ._trained_readout import TrainedReadout

SMALL = 0.1  # largest init_scale/√a of a trained readout; see ``many_outputs_flow``


def many_outputs_flow(
    output_ratio: float,
    teacher: float,
    time: float,
    train_readout: bool = False,
    init_scale: float = 1.0,
    width_ratio: float = 1.0,
) -> ManyOutputs:
    """Law of the hidden singular values of f = V M x after gradient flow for ``time`` t.

    With a fixed readout it is ``many_outputs`` for η → 0, η k = t, and ``init_scale`` its ``sigma_w``. With a trained
    one both start at ``init_scale`` s₀ (entries N(0, s₀²/N), N = D): see ``TrainedReadout``. There s₀ must be small,
    s₀ ≤ 0.1 √a: the imbalance MMᵀ − VᵀV = O(s₀²), which flow conserves, is left out.

    κ = C/N ``output_ratio``, a ``teacher``, c = N/D ``width_ratio``; singular values are in operator norm. ValueError
    for values out of range, for a trained readout with ``width_ratio`` other than 1 or a start of order one.
    Cost: 0.1 s; with a trained readout .pdf takes 5 ms a point, .support seconds.

    Source: arXiv 2605.07870; Riccati flow of both layers after Fukumizu (1998).

    >>> round(many_outputs_flow(output_ratio=0.5, teacher=3.0, time=2.0).edge, 6)
    4.32168
    >>> trained = many_outputs_flow(output_ratio=0.5, teacher=3.0, time=1.5, train_readout=True, init_scale=0.01)
    >>> round(trained.edge, 6)
    2.237602
    """
    setting = FlowSetting(output_ratio, teacher, time, train_readout, init_scale, width_ratio)
    ratio, a, time = setting.output_ratio, setting.teacher, setting.time
    if setting.train_readout:

        def trained(nodes: int) -> TrainedReadout:
            return TrainedReadout(ratio, a, time, setting.init_scale, nodes)

        return solution(setting, 1.0, trained, ends=lambda law: ((law.edge,),))

    def fixed(nodes: int) -> SingularValues:
        return SingularValues(
            population_law(ratio, setting.width_ratio, flow(time), time, a, setting.init_scale, nodes)
        )

    return solution(setting, setting.width_ratio, fixed)


@dataclass(frozen=True)
class FlowSetting:
    """The arguments of ``many_outputs_flow``, checked."""

    output_ratio: float
    teacher: float
    time: float
    train_readout: bool
    init_scale: float
    width_ratio: float

    def __post_init__(self) -> None:
        for name in ("output_ratio", "teacher", "init_scale", "width_ratio"):
            object.__setattr__(self, name, positive_float(name, getattr(self, name)))
        object.__setattr__(self, "time", positive_float("time", self.time, zero=True))
        if not self.train_readout:
            return
        if self.width_ratio != 1:
            raise ValueError(f"`width_ratio` must be 1 with a trained readout; got {self.width_ratio:g}.")
        most = SMALL * np.sqrt(self.teacher)
        if self.init_scale > most:
            raise ValueError(
                f"`init_scale` must be at most {SMALL:g} sqrt(teacher) = {most:.3g} with a trained readout; got "
                f"{self.init_scale:g}. No limit is known from a start of order one: train_readout=False has one for "
                "any start, and `neural-limits experiment bulk-restructuring` shows dense networks with both trained."
            )
