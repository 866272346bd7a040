"""Networks written once in matrix products, run on any form of weight."""

from ._activations import ACTIVATIONS as ACTIVATIONS
from ._activations import Activation as Activation
from ._activations import resolve_activation as resolve_activation
from ._activations import value_and_slope as value_and_slope
from ._mlp import MLP as MLP
from ._network import Gradients as Gradients
from ._network import Network as Network
from ._network import Parameters as Parameters
from ._resnet import ResNet as ResNet
from ._resnet import ResTrace as ResTrace
from ._resnet import Signals as Signals
