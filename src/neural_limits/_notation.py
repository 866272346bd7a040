"""The symbols of the theory, the names they have in the code, and their units: one place.

Shape aliases used in signatures (jaxtyping): ``n`` rows of a weight (its outputs), ``p`` columns (its
inputs), ``m`` vectors handled at once, ``r`` touched rank. Blocks of vectors are stored *vectors first*:
a block of m vectors of length n is an array (m, n), so that the width is always the last, contiguous axis.
"""

from __future__ import annotations

from typing import NamedTuple


class Symbol(NamedTuple):
    """How a quantity is written in the theory, what it is, and its unit."""

    symbol: str
    meaning: str
    unit: str


NOTATION: dict[str, Symbol] = {
    # settings
    "width": Symbol("n", "neurons in each hidden layer", "1"),
    "hidden": Symbol("L", "hidden weight matrices between input and readout", "1"),
    "samples": Symbol("P", "training samples", "1"),
    "inputs": Symbol("d", "input dimension", "1"),
    "outputs_count": Symbol("C", "network outputs", "1"),
    "gamma": Symbol("γ", "output scale: the readout is divided by it", "1"),
    "sigma_w": Symbol("σ_w", "initial standard deviation of hidden operators, times √n", "1"),
    "lr": Symbol("η", "learning rate before the parametrization's factors", "1"),
    "tolerance": Symbol("tol", "relative size below which a new direction is not kept", "1"),
    "output_ratio": Symbol("κ", "outputs over width, C/N", "1"),
    "width_ratio": Symbol("c", "width over input dimension, N/D", "1"),
    "sample_ratio": Symbol("1/ψ", "samples over input dimension, P/D", "1"),
    "teacher": Symbol("a", "standard deviation of the teacher's entries, times √D", "1"),
    # results
    "loss": Symbol("L", "training loss", "loss"),
    "accuracy": Symbol("acc", "fraction of samples classified right", "1"),
    "outputs": Symbol("f", "network outputs", "output"),
    "singular_value": Symbol("σ", "singular values outside the bulk (outliers), largest first", "operator norm"),
    "edge": Symbol("σ_edge", "upper edge of the bulk", "operator norm"),
    "threshold": Symbol("σ_thr", "edge plus the Tracy-Widom margin; outliers are counted above it", "operator norm"),
    "edge_eigenvalue": Symbol("λ_min F(σ_edge)", "positive before an outlier escapes, negative after", "operator norm"),
    "overlap_left": Symbol(
        "|⟨u,û⟩|²", "squared overlap of the outlier's left singular vector with the learned part's", "1"
    ),
    "overlap_right": Symbol(
        "|⟨v,v̂⟩|²", "squared overlap of the outlier's right singular vector with the learned part's", "1"
    ),
    "rank_left": Symbol("r_B", "touched directions on the left (backward vectors)", "1"),
    "rank_right": Symbol("r_A", "touched directions on the right (features)", "1"),
    "feature_kernel": Symbol("Φ", "mean over neurons of φ(h) φ(h) for two (step, sample) pairs", "1"),
    "gradient_kernel": Symbol("G", "mean over neurons of g g for two (step, sample) pairs, g = n ∂f/∂h", "1"),
    "train_loss": Symbol("|χ|²/P", "mean squared error on the training samples, labels with noise", "1"),
    "test_loss": Symbol("|v|²/D", "mean squared error on fresh inputs, labels without noise", "1"),
    "diverged_at": Symbol("t", "step at which the loss left all bounds; NaN where it did not", "1"),
    "backward_overlap": Symbol("C_b", "overlap per neuron of the backward vectors b^l of two steps", "1"),
    "forward_overlap": Symbol("C_c", "overlap per neuron of the gradient's forward images c^l of two steps", "1"),
    "error_overlap": Symbol("C_v", "overlap per input of the error vectors of two steps", "1"),
    "residual_overlap": Symbol("C_χ", "overlap per sample of the residuals of two steps", "1"),
    "discarded": Symbol("δ²", "largest relative squared norm left outside the basis so far", "1"),
    "eigenvalue": Symbol("λ", "largest curvature eigenvalues, in the metric of the rates at lr = 1", "loss"),
    "residual": Symbol("|A v - λ v|", "an exact eigenvalue lies within this of the one found", "loss"),
    "converged": Symbol("✓", "whether the residual is within the tolerance", "1"),
    "stability_limit": Symbol("2(1+m)/η", "gradient descent is linearly stable while λ lies below it", "loss"),
    "stable_lr": Symbol("η*", "largest rate with η λ ≤ 2 (1 + momentum) along the whole run", "1"),
    "naive_lr": Symbol("2/λ(0)", "rate at which the initial curvature is at the limit of stability", "1"),
    "divergence_lr": Symbol("η_div", "rate above which the last loss exceeds the first", "1"),
    "matched_lr": Symbol("η", "rate at which the losses of all widths are compared", "1"),
    "matched_loss": Symbol("L", "training loss at the matched rate", "loss"),
    "pdf": Symbol("f", "density of the singular values, an atom at zero left out", "per unit singular value"),
    "cdf": Symbol("F", "share of the singular values at or below", "1"),
    "low": Symbol("σ₋", "lower end of a component of the bulk", "operator norm"),
    "high": Symbol("σ₊", "upper end of a component of the bulk", "operator norm"),
    "mass": Symbol("∫f", "share of the singular values in a component", "1"),
    "slope": Symbol("d log η*/d log n", "exponent of the largest stable rate in the width", "1"),
    "slope_stderr": Symbol("δ", "standard error of the slope over seeds", "1"),
}


def attributes(name: str) -> dict[str, str]:
    """The attributes of a dataset's variable: symbol, meaning, units.

    >>> attributes("edge")["units"]
    'operator norm'
    """
    symbol, meaning, unit = NOTATION[name]
    return {"symbol": symbol, "long_name": meaning, "units": unit}
