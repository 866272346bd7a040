"""Training dynamics of infinitely wide and deep networks, the spectra of their weights, and learning rates."""

from importlib.metadata import PackageNotFoundError as _NotInstalled
from importlib.metadata import version as _version

from . import laws as laws
from . import networks as networks
from . import parametrizations as parametrizations
from . import spectra as spectra
from . import tasks as tasks
from . import training as training
from . import weights as weights
from .networks import MLP as MLP
from .parametrizations import NTK as NTK
from .parametrizations import MuP as MuP
from .parametrizations import Standard as Standard
from .tasks import Task as Task
from .training import SGD as SGD
from .training import Adam as Adam
from .training import Run as Run
from .training import member as member
from .training import train as train
from .training import train_ensemble as train_ensemble

try:
    __version__ = _version("neural-limits")
except _NotInstalled:  # run from a source tree that is not installed
    __version__ = "0+unknown"
