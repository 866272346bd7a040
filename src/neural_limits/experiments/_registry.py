"""The list of experiments."""

from __future__ import annotations

from ._experiment import Experiment
from .digits_outliers import DIGITS_OUTLIERS
from .exactness_in_law import EXACTNESS_IN_LAW
from .outlier_escape import OUTLIER_ESCAPE


def registry() -> dict[str, Experiment]:
    """All experiments by name.

    >>> "outlier-escape" in registry()
    True
    """
    experiments = (OUTLIER_ESCAPE, EXACTNESS_IN_LAW, DIGITS_OUTLIERS)
    return {experiment.name: experiment for experiment in experiments}
