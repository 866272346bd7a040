"""Real models in PyTorch: outliers and bulk of an MLP on Fashion-MNIST and of a small GPT, under muP, over width."""

from __future__ import annotations

from ._experiment import Experiment, Result, Say
from ._real_figures import classes_figure, spectra_figure, widths_figure
from ._real_runs import FULL, QUICK, dataset, run_all
from ._real_verdicts import MUP, verdicts


def run(quick: bool, say: Say) -> Result:
    """An MLP with two hidden layers (SGD, AdamW, Muon; 2, 5, 10 classes) and a GPT of two blocks (AdamW, Muon)."""
    plan = QUICK if quick else FULL
    found = run_all(plan, say)
    figures = {
        "classes": classes_figure(found),
        "widths": widths_figure(found),
        "spectra": spectra_figure(found),
    }
    captions = {
        "classes": f"MLP of width {plan.classes_width} on Fashion-MNIST, ReLU, muP: the largest singular values of its "
        "hidden weight over training (seed 0; dashed: initial edge), and how many of both hidden weights stand above "
        f"the initial bulk after {plan.mlp_steps} updates, means over {plan.seeds} seeds with standard errors.",
        "widths": f"At the end of training ({plan.mlp_steps} and {plan.gpt_steps} updates), over width: the largest "
        "singular value, the relative shift of the median one, and the stable rank of the change of the weights; means "
        f"over {plan.seeds} seeds with standard errors.",
        "spectra": "All singular values of a weight before and after training (seed 0), in units of its initial edge.",
    }
    return Result(dataset(found), verdicts(found), figures, captions)


REAL_MODELS = Experiment(
    "real-models",
    "In an MLP on Fashion-MNIST and a small GPT under muP, SGD and AdamW grow outliers of one size at all widths and "
    "leave the bulk, and Muon moves the whole bulk.",
    MUP,
    2,
    20,
    run,
)
