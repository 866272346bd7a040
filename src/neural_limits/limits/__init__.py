"""Deterministic and sampled limits: infinite depth."""

from . import infinite_depth as infinite_depth
