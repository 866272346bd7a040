"""Spectra of trained weights: outliers, edges, overlaps, escape; predicted and measured."""

from ._bulk import LEAST_VALUES as LEAST_VALUES
from ._diagnose import diagnose as diagnose
from ._diagnosis import Diagnosis as Diagnosis
from ._empirical import leading_singular_triplets as leading_singular_triplets
from ._empirical import top_singular_values as top_singular_values
from ._escape import edge_eigenvalue as edge_eigenvalue
from ._escape import escape_step as escape_step
from ._independent import independent_outliers as independent_outliers
from ._independent import independent_spikes as independent_spikes
from ._kernels import OrderParameters as OrderParameters
from ._kernels import outliers_from_order_parameters as outliers_from_order_parameters
from ._known_block import KnownBlock as KnownBlock
from ._lanczos import Eigenvalues as Eigenvalues
from ._lanczos import leading_eigenvalues as leading_eigenvalues
from ._outliers import Outliers as Outliers
from ._outliers import bulk_edge as bulk_edge
from ._outliers import known_block as known_block
from ._outliers import outliers as outliers
from ._roots import find_roots as find_roots
