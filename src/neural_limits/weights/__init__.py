"""Weight matrices seen through their products only: dense, conditioned, decoupled pairs, and stacks of them."""

from ._basis import room_needed as room_needed
from ._conditioned import ConditionedMatrix as ConditionedMatrix
from ._conditioned import check_tolerance as check_tolerance
from ._conditioned import pad_core as pad_core
from ._contract import WeightMatrix as WeightMatrix
from ._decoupled import DecoupledMatrix as DecoupledMatrix
from ._dense import DenseMatrix as DenseMatrix
from ._sharding import Devices as Devices
from ._sharding import on_host as on_host
from ._sharding import particle_mesh as particle_mesh
from ._sharding import particle_shardings as particle_shardings
from ._stack import Stack as Stack
from ._stack import Weights as Weights
from ._stack import matrices as matrices
from ._stack import resize as resize
from ._stack import with_bases as with_bases
