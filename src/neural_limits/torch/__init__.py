"""For PyTorch models: parametrize them. The only package of neural_limits that imports torch."""

try:
    import torch as _torch  # noqa: F401
except ImportError as _missing:
    raise ImportError("neural_limits.torch needs PyTorch: pip install 'neural-limits[torch]'.") from _missing

from ._parametrize import parametrize as parametrize
from ._parametrized import Parametrized as Parametrized
