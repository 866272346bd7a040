"""Networks written once in matrix products, run on any form of weight."""

from ._activations import ACTIVATIONS as ACTIVATIONS
from ._activations import Activation as Activation
from ._activations import resolve_activation as resolve_activation
from ._mlp import MLP as MLP
from ._mlp import Gradients as Gradients
from ._mlp import Parameters as Parameters
