"""Deep linear networks in the proportional limit: width, input dimension and samples diverge together."""

from ._basis_limit import BasisLimit as BasisLimit
from ._basis_limit import basis_limit as basis_limit
from ._finite import DeepLinearNetwork as DeepLinearNetwork
from ._finite import deep_linear_network as deep_linear_network
from ._outliers import WeightOutliers as WeightOutliers
from ._setting import Setting as Setting
from ._solution import DeepLinear as DeepLinear
from ._solve import deep_linear as deep_linear
