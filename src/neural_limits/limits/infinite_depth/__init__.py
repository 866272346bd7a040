"""Infinite depth: residual networks under depth-muP as depth and width go to infinity (Neural Feature Dynamics)."""

from ._coupling import Coupling as Coupling
from ._coupling import accumulated as accumulated
from ._coupling import initial_gap as initial_gap
from ._coupling import local_coupling as local_coupling
from ._coupling import total_coupling as total_coupling
from ._init_kernels import expectations as expectations
from ._init_kernels import kernels_at_init as kernels_at_init
from ._linear import linear as linear
from ._particles import check_ladder as check_ladder
from ._particles import extrapolate as extrapolate
from ._particles import solve as solve
from ._paths import Noise as Noise
from ._paths import coarser as coarser
from ._paths import draw_noise as draw_noise
from ._paths import paths as paths
from ._solution import Solution as Solution
from ._trajectories import Trajectories as Trajectories
from ._trajectories import flat as flat
from ._trajectories import gram as gram
from ._trajectories import layer_weight as layer_weight
from ._trajectories import trajectories as trajectories
