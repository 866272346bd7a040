"""The list of experiments."""

from __future__ import annotations

from ._experiment import Experiment
from .bulk_restructuring import BULK_RESTRUCTURING
from .coupling import COUPLING
from .digits_outliers import DIGITS_OUTLIERS
from .edge_of_stability import EDGE_OF_STABILITY
from .exactness_in_law import EXACTNESS_IN_LAW
from .gradient_independence import GRADIENT_INDEPENDENCE
from .infinite_depth import INFINITE_DEPTH
from .learning_rate_transfer import LEARNING_RATE_TRANSFER
from .muon_outliers import MUON_OUTLIERS
from .nondegeneracy import NONDEGENERACY
from .outlier_escape import OUTLIER_ESCAPE
from .proportional_limit import PROPORTIONAL_LIMIT
from .real_models import REAL_MODELS
from .two_layer_blocks import TWO_LAYER_BLOCKS


def registry() -> dict[str, Experiment]:
    """All experiments by name.

    >>> "outlier-escape" in registry()
    True
    """
    experiments = (
        OUTLIER_ESCAPE, EXACTNESS_IN_LAW, DIGITS_OUTLIERS, INFINITE_DEPTH, COUPLING, NONDEGENERACY,
        GRADIENT_INDEPENDENCE, TWO_LAYER_BLOCKS, PROPORTIONAL_LIMIT, EDGE_OF_STABILITY,
        LEARNING_RATE_TRANSFER, BULK_RESTRUCTURING, REAL_MODELS, MUON_OUTLIERS,
    )  # fmt: skip
    return {experiment.name: experiment for experiment in experiments}
