"""Deterministic and sampled limits: infinite depth; deep linear networks in the proportional limit."""

from . import infinite_depth as infinite_depth
from . import proportional as proportional
from .proportional import deep_linear as deep_linear
