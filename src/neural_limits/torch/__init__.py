"""For PyTorch models: parametrize them, watch their spectra, check that rates transfer; all that imports torch."""

try:
    import torch as _torch  # noqa: F401
except ModuleNotFoundError:
    raise ImportError(
        "neural_limits.torch needs PyTorch; install it with: pip install 'neural-limits[torch]'"
    ) from None

from ._callbacks import lightning_callback as lightning_callback
from ._callbacks import trainer_callback as trainer_callback
from ._coordinate_check import CoordinateCheck as CoordinateCheck
from ._coordinate_check import coordinate_check as coordinate_check
from ._monitor import SpectralMonitor as SpectralMonitor
from ._parametrize import parametrize as parametrize
from ._parametrized import Parametrized as Parametrized
from ._sinks import tensorboard_sink as tensorboard_sink
from ._sinks import wandb_sink as wandb_sink
from ._transfer import TransferCheck as TransferCheck
from ._transfer import transfer_check as transfer_check
