"""The public names; each is imported when it is first used, so that `neural-limits --help` need not wait for JAX."""

from . import advice as advice
from . import checkpoints as checkpoints
from . import landscape as landscape
from . import laws as laws
from . import limits as limits
from . import networks as networks
from . import parametrizations as parametrizations
from . import spectra as spectra
from . import sweeps as sweeps
from . import tasks as tasks
from . import training as training
from . import weights as weights
from .advice import Advice as Advice
from .advice import WidthAdvice as WidthAdvice
from .advice import advise_learning_rate as advise_learning_rate
from .advice import advise_width as advise_width
from .checkpoints import Audit as Audit
from .checkpoints import audit as audit
from .landscape import CurvatureWatch as CurvatureWatch
from .landscape import curvature as curvature
from .landscape import track_curvature as track_curvature
from .networks import MLP as MLP
from .networks import ResNet as ResNet
from .parametrizations import NTK as NTK
from .parametrizations import DepthMuP as DepthMuP
from .parametrizations import MuP as MuP
from .parametrizations import Standard as Standard
from .sweeps import open_sweep as open_sweep
from .sweeps import sweep as sweep
from .tasks import Task as Task
from .training import SGD as SGD
from .training import Adam as Adam
from .training import Muon as Muon
from .training import Run as Run
from .training import Schedule as Schedule
from .training import member as member
from .training import train as train
from .training import train_ensemble as train_ensemble

__version__: str
