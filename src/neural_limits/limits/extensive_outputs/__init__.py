"""Outputs in proportion to the width: the law of the hidden singular values, bulk included."""

from ._closing import closing_ratio as closing_ratio
from ._flow import many_outputs_flow as many_outputs_flow
from ._population import few_outputs_outlier as few_outputs_outlier
from ._setting import Setting as Setting
from ._solution import ManyOutputs as ManyOutputs
from ._solve import many_outputs as many_outputs
