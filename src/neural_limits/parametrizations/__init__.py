"""How multipliers, initial deviations and rates depend on width: one table each."""

from ._tables import NTK as NTK
from ._tables import DepthMuP as DepthMuP
from ._tables import LayerRule as LayerRule
from ._tables import MuP as MuP
from ._tables import Parametrization as Parametrization
from ._tables import Rules as Rules
from ._tables import Standard as Standard
