"""Random-matrix laws of untrained weights: bulk densities, edges, and the top singular value's scatter."""

from ._largest import Largest as Largest
from ._largest import LargestSingularValue as LargestSingularValue
from ._largest import largest_singular_value as largest_singular_value
from ._law import Law as Law
from ._marchenko_pastur import MarchenkoPastur as MarchenkoPastur
from ._quarter_circle import QuarterCircle as QuarterCircle
from ._silverstein import Silverstein as Silverstein
from ._singular_values import SingularValues as SingularValues
from ._tracy_widom import TracyWidom as TracyWidom
from ._variance_profile import VarianceProfile as VarianceProfile
