"""Curvature of the loss around trained weights, in the metric in which gradient descent moves them.

Above `training`, whose runs, losses and rates it takes; training knows nothing of it.
"""

from ._curvature import KINDS as KINDS
from ._curvature import curvature as curvature
from ._curvature import measure as measure
from ._track import CurvatureWatch as CurvatureWatch
from ._track import track_curvature as track_curvature
