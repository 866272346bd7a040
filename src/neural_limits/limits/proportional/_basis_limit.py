"""Deep linear networks in the proportional limit by exact conditioning without chance: deterministic, any query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ..._checks import positive_float, positive_int
from ...spectra import KnownBlock, find_roots
from ._basis_matrix import BasisMatrix, Space, padded
from ._below_bulk import roots_below
from ._lanczos import largest_eigenvalue
from ._setting import DIVERGED, Setting

EDGE = 1e-12  # outliers are looked for from this far above the edge, where the self energies have a slope


class Matrices(NamedTuple):
    """M⁰..M^{L-1}, and A = X/√D (None in one pass, where each batch is new)."""

    weights: list[BasisMatrix]
    data: BasisMatrix | None

    def with_room(self, vectors: int) -> Matrices:
        """A copy whose spaces have room for ``vectors`` more directions, to look without leaving a trace."""
        every = [*self.weights, *([self.data] if self.data else [])]
        old = {id(s): s for m in every for s in (m.rows, m.columns)}
        new = {key: Space(s.ratio, s.room + vectors, s.size) for key, s in old.items()}
        return Matrices([m.copied(new) for m in self.weights], self.data.copied(new) if self.data else None)


@dataclass(frozen=True)
class BasisLimit:
    """What `basis_limit` found: losses over step = 0..steps (NaN after divergence), vectors, and the matrices.

    ``b`` and ``c`` hold for each layer l = 1..L the vectors b^l and c^l of every step reached, in coordinates with
    ⟨b, b'⟩ = b·b'/N, so that C_b^l = ``b[l - 1] @ b[l - 1].T``; likewise ``v``, ``q`` (over D) and ``chi`` (over P;
    empty in one pass).
    """

    setting: Setting
    status: str
    message: str
    train_loss: Float[ndarray, " steps"]
    test_loss: Float[ndarray, " steps"]
    b: Float[ndarray, "l reached n"]
    c: Float[ndarray, "l reached n"]
    v: Float[ndarray, "reached d"]
    q: Float[ndarray, "reached d"]
    chi: Float[ndarray, "reached p"]
    matrices: Matrices

    @property
    def covariances(self) -> dict[str, ndarray]:
        """C_b and C_c (layer, step, step), C_v, C_q and C_chi (step, step), over the steps reached."""
        vectors = {"C_b": self.b, "C_c": self.c, "C_v": self.v, "C_q": self.q, "C_chi": self.chi}
        return {name: x @ x.swapaxes(-1, -2) for name, x in vectors.items()}

    def outliers(self, layer: int, step: int) -> Float[ndarray, " k"]:
        """Singular values of M^layer above its bulk after ``step`` updates, largest first."""
        m, block = self._known_block(layer, step)
        if m.sigma == 0:  # no bulk: all of the learned part stands out
            values = np.linalg.svd(block.core, compute_uv=False)
            return values[values > m.tolerance * values[0]]
        return find_roots(block, block.edge * (1 + EDGE)).values

    def outliers_below(self, layer: int, step: int) -> Float[ndarray, " k"]:
        """Singular values of M^layer below its bulk, in (0, sigma |1 - √(n/p)|), smallest first."""
        _, block = self._known_block(layer, step)
        return roots_below(block)

    def _known_block(self, layer: int, step: int) -> tuple[BasisMatrix, KnownBlock]:
        step, m = self._reached(step), self.matrices.weights[layer]
        f, cross = m.shape_ratio, m.core(0)
        gram_left = m.left.image @ m.left.image.T / f - cross @ cross.T
        gram_right = f * m.right.image @ m.right.image.T - cross.T @ cross
        return m, KnownBlock(m.core(step), gram_left, gram_right, m.sigma**2 * f, m.sigma**2)

    def ntk_matvec(self, u: Float[ndarray, " p"], step: int, matrices: Matrices) -> Float[ndarray, " p"]:
        """Θ u after ``step`` updates, for u on the samples; ``matrices`` (a copy with room) learn from the look.

        Θ = (1/α) A [C_b¹ + (1/ν) Σ_l C_b^{l+1} A_lᵀ A_l] Aᵀ with A_l = M^{l-1} … M⁰ and C_b at (step, step).
        """
        weights, data = matrices
        if data is None:
            raise ValueError("the NTK on the samples needs a full batch; got `batch_ratio`, which draws new ones.")
        back = data.rmatvec(u)
        energies = [float(b[step] @ b[step]) for b in self.b[1:]] + [1.0]
        features, total = back, float(self.b[0][step] @ self.b[0][step]) * back
        forward = []
        for m in weights:
            features = m.matvec(features, step)
            forward.append(features)
        pulled = np.zeros_like(features)
        for m, h, energy in zip(weights[::-1], forward[::-1], energies[::-1], strict=True):
            pulled = m.rmatvec(energy * h + pulled, step)
        total = total + pulled / self.setting.width_ratio
        return data.matvec(total) / data.rows.ratio

    def ntk_lanczos(self, step: int, iterations: int = 60) -> float:
        """The largest eigenvalue of Θ after ``step`` updates, by Lanczos from the first residuals.

        To rounding where the leading mode is an outlier; low by O(iterations⁻²) at a bulk edge.
        ValueError in one pass, where no fixed samples exist, and for steps that were not reached.
        """
        step, iterations = self._reached(step), positive_int("iterations", iterations)
        matrices = self.matrices.with_room(2 * iterations)
        start = padded(self.chi[0], matrices.data.rows) if matrices.data else self.chi[0]
        return largest_eigenvalue(lambda u: self.ntk_matvec(u, step, matrices), start, iterations)

    def _reached(self, step: int) -> int:
        if positive_int("step", step, least=0) >= len(self.v):
            raise ValueError(f"`step` must be below the {len(self.v)} that were reached; got {step}.")
        return step


def basis_limit(setting: Setting, tolerance: float = 1e-8) -> BasisLimit:
    """One run in the limit N, D, P → ∞ at fixed ratios, without sampling and without a closed set of equations.

    Each vector of the run is a row of coordinates; every look of a random matrix along a new direction brings one
    new orthonormal direction (`BasisMatrix`). With M⁰ = W⁰/√D, M^l = W^l/√N, A = X/√D, h = η γ₀, one step is

        b^L = w, b^l = M^{lᵀ} b^{l+1}, v = M^{0ᵀ} b¹/(γ₀ ν) - w*, χ = A v - σ_ε ε, q = Aᵀχ/α, c⁰ = q, c^{l+1} = M^l c^l;
        w -= h c^L, M^l -= (h/N) b^{l+1} c^{lᵀ}, M⁰ -= (h/D) b¹ qᵀ.

    In one pass q = v + √((|v|²/D + σ_ε²)/α_B) g with g new at every step. Training loss |χ|²/P (of the new batch
    in one pass), test loss |v|²/D. ``tolerance``: relative size of a direction that is kept; the error of a loss
    is 1e-12 at 1e-8 and 1e-8 at 1e-6. Divergence is a status. Cost O(L T³).

    >>> run = basis_limit(Setting(depth=2, width_ratio=1, sample_ratio=2, lr=0.05, gamma=2, sigma_w=0.5, steps=10))
    >>> run.train_loss.shape, round(run.ntk_lanczos(10), 6) > 1
    ((11,), True)
    """
    tolerance = positive_float("tolerance", tolerance)
    s, times = setting, setting.steps + 1
    matrices, teacher, noise, w = _initial(s, tolerance)
    passes: list[_Pass] = []
    status, message = "completed", ""
    for t in range(times):
        now = _pass(s, matrices, teacher, noise, w)
        if t and not now.train <= DIVERGED * max(1.0, passes[0].train):
            status, message = "diverged", f"the loss grew to {now.train:.3g} at step {t}; lower `lr`."
            break
        passes.append(now)
        if t < s.steps:
            for m, left, right in zip(matrices.weights, now.b, [now.q, *now.c], strict=False):
                m.learn(left, right, s.step_size)
            w = w - s.step_size * now.c[-1]
    train, test, b, c, v, q, chi = (np.array(x) for x in zip(*passes, strict=True))
    train, test = (np.pad(x, (0, times - len(passes)), constant_values=np.nan) for x in (train, test))
    return BasisLimit(s, status, message, train, test, b.swapaxes(0, 1), c.swapaxes(0, 1), v, q, chi, matrices)


class _Pass(NamedTuple):
    """One pass backward and forward: losses before the update, and all vectors."""

    train: float
    test: float
    b: list[ndarray]  # layers 1..L
    c: list[ndarray]
    v: ndarray
    q: ndarray
    chi: ndarray


def _initial(s: Setting, tolerance: float) -> tuple[Matrices, ndarray, ndarray, ndarray]:
    """The matrices, the teacher w*, the label noise σ_ε ε and the readout w."""
    times = s.steps + 1
    d = Space(1.0, 2 * times + 1)  # each step brings at most two directions; teacher, noise and readout are given
    widths = [Space(s.width_ratio, 2 * times + 1) for _ in range(s.depth)]
    shapes = zip(widths, [d, *widths], s.sigma, strict=False)
    weights = [BasisMatrix(rows, columns, std, tolerance) for rows, columns, std in shapes]
    teacher, w = d.fresh(), s.sigma[-1] * widths[-1].fresh()
    if s.sample_ratio is None or s.online:
        return Matrices(weights, None), teacher, np.zeros(0), w
    p = Space(s.sample_ratio, times + 1)
    return Matrices(weights, BasisMatrix(p, d, 1.0, tolerance)), teacher, s.label_noise * p.fresh(), w


def _pass(s: Setting, matrices: Matrices, teacher: ndarray, noise: ndarray, w: ndarray) -> _Pass:
    weights, data = matrices
    b = [w]
    for m in weights[:0:-1]:
        b.insert(0, m.rmatvec(b[0]))
    v = weights[0].rmatvec(b[0]) / (s.gamma0 * s.width_ratio) - teacher
    test = float(v @ v)
    if data is None:
        assert s.batch_ratio is not None
        chi, train = noise, test + s.label_noise**2
        q = v + (train / s.batch_ratio) ** 0.5 * weights[0].columns.fresh()
    else:
        chi = data.matvec(v) - noise
        train, q = float(chi @ chi), data.rmatvec(chi) / data.rows.ratio
    c = [weights[0].matvec(q)]
    for m in weights[1:]:
        c.append(m.matvec(c[-1]))
    return _Pass(train, test, b, c, v, q, chi)
