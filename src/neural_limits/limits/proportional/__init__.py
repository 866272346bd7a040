"""Deep linear networks in the proportional limit: width, input dimension and samples diverge together."""

from ._setting import Setting as Setting
