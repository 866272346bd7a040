"""The views there are."""

from __future__ import annotations

from ._deep_linear import DeepLinearLimit
from ._infinite_depth import InfiniteDepth
from ._view import View
from ._wide_network import WideNetwork

VIEWS: dict[str, type[View]] = {
    "network": WideNetwork,
    "deep-linear": DeepLinearLimit,
    "infinite-depth": InfiniteDepth,
}
