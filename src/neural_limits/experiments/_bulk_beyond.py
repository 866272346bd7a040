"""Where no law is known: both layers trained from a start of order one, and nonlinear hidden layers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy import ndarray

from ..laws import largest_singular_value
from ..limits.extensive_outputs import ManyOutputs, Setting
from ._bulk_laws import AGREES, SOURCE, UNTRAINED, WIDTH, bulk_distance, distance, law
from ._bulk_networks import over_seeds, singular_values
from ._experiment import Mean, Say, Verdict, decide, mean_of

SAMPLES = 1024  # for as many inputs as neurons
OUTPUTS = (4, 64, 256)
RATE, STEPS, TEACHER, SEEDS = 0.03, 50, 3.0, 2  # both layers of the linear network stay stable
LEVEL = float(largest_singular_value(WIDTH, WIDTH, WIDTH**-0.5).threshold(0.05))

Pointwise = Callable[[ndarray], ndarray]
MEAN_RELU = float(1 / np.sqrt(2 * np.pi))  # taken off: a mean makes one mode of the readout as stiff as N is large
ACTIVATIONS: dict[str, tuple[Pointwise, Pointwise]] = {  # and the derivative, of the activation where it is cheaper
    "linear": (lambda h: h, np.ones_like),
    "tanh": (np.tanh, lambda h: 1 - np.tanh(h) ** 2),
    "relu": (lambda h: np.maximum(h, 0) - np.float32(MEAN_RELU), lambda h: (h > 0).astype(h.dtype)),
}


class Student(NamedTuple):
    """f = V φ(M x): the activation, whether V is trained too, and a linear teacher or one with a hidden layer."""

    activation: str
    trained: bool
    teacher: str = "linear"

    def __str__(self) -> str:
        teacher = "" if self.teacher == "linear" else ", teacher with a hidden layer"
        return f"{self.activation}, {'both layers trained' if self.trained else 'readout fixed'}{teacher}"


STUDENTS = (
    *(Student(a, t) for t in (False, True) for a in ACTIVATIONS),
    Student("tanh", True, "network"), Student("relu", True, "network"),
)  # fmt: skip


class Spectrum(NamedTuple):
    """Singular values (seed, mode) of one student with C outputs, and its loss per output, before and after."""

    values: ndarray
    losses: ndarray

    def bulk_distance(self, outputs: int) -> Mean:
        """Of all but the C largest to the untrained law."""
        return distance(self.values[:, outputs:], UNTRAINED.cdf)


Found = dict[tuple[Student, int], Spectrum]


def linear_laws(found: Found) -> dict[int, ManyOutputs]:
    """The law of the linear network with a fixed readout at every C, at the same rate, steps and samples."""
    shared = {"lr": RATE, "steps": STEPS, "teacher": TEACHER, "sample_ratio": SAMPLES / WIDTH}
    return {c: law(Setting(c / WIDTH, **shared)) for c in sorted({c for _, c in found})}  # type: ignore[arg-type]


def beyond(quick: bool, say: Say) -> Found:
    """Every student at every number of outputs."""
    found = {}
    for student in [s for s in STUDENTS if s.teacher == "linear" and s.activation != "relu"] if quick else STUDENTS:
        say(f"beyond the law: {student}")
        for count in OUTPUTS[::2] if quick else OUTPUTS:
            runs = over_seeds(partial(descend, student, count), SEEDS)
            found[student, count] = Spectrum(runs[:, :-2], runs[:, -2:])
    return found


def descend(student: Student, outputs: int, seed: int) -> ndarray:
    """Singular values of M after full-batch gradient descent, then the loss per output before and after; float32."""
    rng = np.random.default_rng([seed, outputs])
    phi, slope = ACTIVATIONS[student.activation]
    v, m, a = (_white(rng, rows, WIDTH) for rows in (outputs, WIDTH, outputs))
    x = _white(rng, WIDTH, SAMPLES) * np.float32(SAMPLES**0.5)
    y = np.float32(TEACHER) * (a @ (phi(_white(rng, WIDTH, WIDTH) @ x) if student.teacher == "network" else x))
    before = after = float("nan")
    rate = np.float32(RATE / SAMPLES)
    for step in range(STEPS + 1):
        h = m @ x
        hidden = phi(h)
        error = v @ hidden - y
        after = float(np.mean(error**2)) / 2
        before = before if step else after
        if step == STEPS:
            break
        back = (v.T @ error) * slope(h)
        if student.trained:
            v = v - rate * (error @ hidden.T)
        m -= rate * (back @ x.T)
    return np.append(singular_values(m.astype(float)), [before, after])


def _white(rng: np.random.Generator, rows: int, columns: int) -> ndarray:
    """Entries N(0, 1/columns)."""
    return rng.standard_normal((rows, columns), dtype=np.float32) * np.float32(columns**-0.5)


def beyond_verdicts(found: Found, laws: dict[int, ManyOutputs]) -> list[Verdict]:
    """The control against its law; of the others what was measured. ``laws``: the linear one at every C."""
    rows = []
    for student in dict.fromkeys(s for s, _ in found):
        spectra = {c: found[student, c] for c in laws}
        rows.append(_control(spectra, laws) if student == Student("linear", False) else _open(student, spectra, laws))
    return rows


def _control(spectra: dict[int, Spectrum], laws: dict[int, ManyOutputs]) -> Verdict:
    apart = {c: distance(s.values, laws[c].cdf) for c, s in spectra.items()}
    text = "distance " + ", ".join(f"{d} (C = {c})" for c, d in apart.items())
    claim = f"linear, readout fixed, P = {SAMPLES // WIDTH} D samples (control): the spectrum follows the law"
    holds = all(d.value < AGREES for d in apart.values())
    return Verdict(claim, SOURCE, text, f"below {AGREES:g}", decide(holds))


def _open(student: Student, spectra: dict[int, Spectrum], laws: dict[int, ManyOutputs]) -> Verdict:
    listed = lambda texts: ", ".join(str(t) for t in texts)  # noqa: E731
    tops = listed(mean_of(s.values[:, 0]) for s in spectra.values())
    beyond = listed(f"{(s.values > LEVEL).sum(1).mean():g}" for s in spectra.values())
    bulks = listed(f"{s.bulk_distance(c).value:.3f}" for c, s in spectra.items())
    edges = listed(f"{x.edge:.3f}" for x in laws.values())
    text = (
        f"C = {listed(spectra)}: top singular value {tops} (linear law {edges}); "
        f"{beyond} beyond the untrained edge ({listed(f'{(1 - x.cdf(LEVEL)) * WIDTH:.0f}' for x in laws.values())}); "
        f"distance of all but the C largest to the untrained law {bulks} "
        f"({listed(f'{bulk_distance(x, c):.3f}' for c, x in laws.items())}); "
        f"loss per output {listed(f'{s.losses[:, 1].mean():.2g}' for s in spectra.values())}"
    )
    claim = f"{student}: the bulk restructures as that of the linear network with a fixed readout"
    return Verdict(claim, "none", text, "no theory", decide(False, resolved=False))
