"""The run store: one folder a run, files written whole or not at all, and no pickle anywhere."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
