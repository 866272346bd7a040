"""Deterministic and sampled limits: infinite depth; deep linear networks; outputs in proportion to the width."""

from . import extensive_outputs as extensive_outputs
from . import infinite_depth as infinite_depth
from . import proportional as proportional
from .extensive_outputs import many_outputs as many_outputs
from .extensive_outputs import many_outputs_flow as many_outputs_flow
from .proportional import deep_linear as deep_linear
