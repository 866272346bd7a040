"""The laws of hidden weights with many outputs and a fixed readout."""

from __future__ import annotations

from ...laws import SingularValues, VarianceProfile
from ._population import descent, population_law
from ._samples import finite_sample_law
from ._setting import Setting
from ._solution import ManyOutputs, solution

MOST_SAMPLE_NODES = 512  # a side; a law of 512 x 512 nodes takes seconds


def many_outputs(
    output_ratio: float,
    width_ratio: float = 1.0,
    *,
    lr: float,
    steps: int,
    teacher: float = 1.0,
    sigma_w: float = 1.0,
    sample_ratio: float | None = None,
    label_noise: float = 0.0,
    gamma: float = 1.0,
) -> ManyOutputs:
    """Law of the hidden singular values of f = V M x/γ after k steps, C outputs in proportion to the width.

    M_{k+1} = M_k − η Vᵀ(V M_k − γ A): given V, M_k has independent Gaussian columns of covariance Σ(VᵀV)/D and a
    generalised Marchenko-Pastur law. With ``sample_ratio`` the loss is that of P samples with label noise; in the
    eigenbases of VᵀV and XXᵀ/P the entries of M_k are independent, of variance s(l, μ)/D: a variance profile.

    Ratios κ = C/N ``output_ratio``, c = N/D ``width_ratio``, P/D ``sample_ratio``; ``teacher`` a and ``sigma_w`` σ are
    the scales of A's and M₀'s entries times √D, ``label_noise`` σ_ε that of the labels; ``steps`` k. See ``Setting``.
    Singular values are in operator norm. ValueError as ``Setting``; where the quadrature does not settle the
    status is "no_convergence". Cost: 0.1 s without samples; about a second with them.

    Source: arXiv 2605.07870; the law is exact in the limit, for any k.

    >>> limit = many_outputs(output_ratio=0.5, width_ratio=1.0, lr=0.2, steps=10, teacher=3.0)
    >>> round(limit.edge, 6), [round(number, 3) for number in limit.largest(width=1024)]
    (4.434658, [4.413, 0.023])
    """
    setting = Setting(output_ratio, width_ratio, lr, steps, teacher, sigma_w, sample_ratio, label_noise, gamma)
    ratios, teacher = (setting.output_ratio, setting.width_ratio), setting.gamma * setting.teacher
    if setting.sample_ratio is None:
        shrink, slope = descent(setting.lr, setting.steps), setting.lr * setting.steps

        def whole(nodes: int) -> SingularValues:
            return SingularValues(population_law(*ratios, shrink, slope, teacher, setting.sigma_w, nodes))

        return solution(setting, setting.width_ratio, whole)
    samples, noise = setting.sample_ratio, setting.gamma * setting.label_noise

    def finite(nodes: int) -> VarianceProfile:
        return finite_sample_law(*ratios, samples, setting.lr, setting.steps, teacher, setting.sigma_w, noise, nodes)

    return solution(setting, setting.width_ratio, finite, ends=lambda law: ((law.edge,),), most=MOST_SAMPLE_NODES)
