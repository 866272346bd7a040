"""Grids of trials: resumable, on local processes or Ray, with the folder as the only truth."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
