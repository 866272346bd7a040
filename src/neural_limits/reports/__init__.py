"""Figures from datasets, and one self-contained HTML page a run or sweep: no network, scripts for sweeps only."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
