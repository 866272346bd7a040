"""One file per claim: each returns a labelled dataset, a verdict and figures."""

from ._experiment import Context as Context
from ._experiment import Experiment as Experiment
from ._experiment import Result as Result
from ._experiment import Verdict as Verdict
from ._registry import registry as registry
