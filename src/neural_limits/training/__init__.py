"""Losses, optimizers and the training loop, the same for both forms of weights."""

from ._adam import Adam as Adam
from ._checkpoint import CheckpointError as CheckpointError
from ._checkpoint import checkpoint_step as checkpoint_step
from ._losses import loss_named as loss_named
from ._muon import Muon as Muon
from ._optimizer import Optimizer as Optimizer
from ._record import Watch as Watch
from ._run import Run as Run
from ._schedule import Schedule as Schedule
from ._setup import prepare as prepare
from ._sgd import SGD as SGD
from ._train import member as member
from ._train import train as train
from ._train import train_ensemble as train_ensemble
from ._updates import relative_rates as relative_rates
