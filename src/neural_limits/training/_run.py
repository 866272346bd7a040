"""The result of a training run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Float
from numpy import ndarray

from ..networks import Network, Parameters
from ..parametrizations import Rules
from ..weights import WeightMatrix, matrices
from ._optimizer import Optimizer


@dataclass(frozen=True)
class Run:
    """A training run: how it ended, what was recorded, and the trained network.

    ``status`` is ``completed``, ``diverged`` or ``rank_exhausted``, with a one-line ``message`` and remedy in
    the latter two; ``data`` holds what was recorded up to then (docs/results.md lists the variables);
    ``weights`` the hidden weight matrices, first layer first.
    """

    status: str
    message: str
    data: xr.Dataset
    parameters: Parameters = field(repr=False)
    network: Network
    rules: Rules = field(repr=False)
    optimizer: Optimizer
    timing: dict[str, float] = field(default_factory=dict, repr=False)

    @property
    def weights(self) -> tuple[WeightMatrix, ...]:
        """The hidden weight matrices; of two-layer blocks all first layers, then all second ones."""
        return matrices(self.parameters.hidden)

    def predict(self, x: Float[ndarray, "P d"] | Any) -> Float[ndarray, "P C"]:
        """Outputs for new inputs (P, d). On conditioned weights this looks along new directions of a copy."""
        inputs = jnp.asarray(x, self.parameters.input.dtype)
        if inputs.ndim != 2 or inputs.shape[1] != self.parameters.input.shape[0]:
            raise ValueError(f"`x` must have shape (samples, {self.parameters.input.shape[0]}); got {inputs.shape}.")
        outputs, _, _ = self.network.forward(self.parameters, inputs, self.rules)
        return np.asarray(outputs)
