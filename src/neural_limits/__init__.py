"""Training dynamics of infinitely wide and deep networks, the spectra of their weights, and learning rates."""

from importlib.metadata import PackageNotFoundError as _NotInstalled
from importlib.metadata import version as _version

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)

try:
    __version__ = _version("neural-limits")
except _NotInstalled:  # run from a source tree that is not installed
    __version__ = "0+unknown"
