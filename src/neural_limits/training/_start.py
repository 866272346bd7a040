"""The state before the first step, on one device or made in pieces over several."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from ..networks import Network, Parameters
from ..parametrizations import Rules
from ..weights import ConditionedMatrix, DecoupledMatrix, DenseMatrix, WeightMatrix, particle_shardings
from ._loop import History, Setting, State
from ._optimizer import Optimizer


class Form(NamedTuple):
    """How hidden weights are held."""

    weights: str
    tolerance: float
    capacity: int
    dtype: Any
    backward: str = "reused"

    def make(self, key: Array, width: int, std: Array | float) -> WeightMatrix:
        """An untrained square weight."""
        options: dict[str, Any] = {"std": std, "dtype": self.dtype}
        decoupled = self.backward == "decoupled"
        if self.weights == "dense":
            dense = DecoupledMatrix.create_dense if decoupled else DenseMatrix.create
            return dense(key, width, width, **options)
        options |= {"tolerance": self.tolerance, "capacity": self.capacity}
        conditioned = DecoupledMatrix.create_conditioned if decoupled else ConditionedMatrix.create
        return conditioned(key, width, width, **options)


@partial(jax.jit, static_argnames=("network", "sizes", "form", "mesh"))
def initial_parameters(
    keys: Array, rules: Rules, network: Network, sizes: tuple[int, int, int], form: Form, mesh: Mesh | None = None
) -> Parameters:
    """Initial weights for one key or a batch of keys, in one compiled call; on a mesh no device draws all of them."""

    def init(key: Array) -> Parameters:
        return network.init(key, *sizes, rules, form.make, form.dtype)

    parameters = init(keys) if keys.ndim == 0 else jax.vmap(init)(keys)
    if mesh is None:
        return parameters
    return lax.with_sharding_constraint(parameters, particle_shardings(parameters, mesh, sizes[-1]))


def initial_state(
    parameters: Parameters, optimizer: Optimizer, history: Callable[[], History], mesh: Mesh | None, width: int
) -> State:
    """With the optimizer's state and the empty history; on a mesh both are made where they stay."""
    if mesh is None:
        return State(parameters, optimizer.init(parameters), history())
    places = particle_shardings(jax.eval_shape(optimizer.init, parameters), mesh, width)
    moments = jax.jit(optimizer.init, out_shardings=places)(parameters)
    return State(parameters, moments, jax.jit(history, out_shardings=_copies(mesh))())


def copied(setting: Setting, mesh: Mesh | None) -> Setting:
    """Its arrays on every device of a mesh."""
    if mesh is None:
        return setting
    return jax.tree.map(lambda x: jax.device_put(x, _copies(mesh)) if isinstance(x, jax.Array) else x, setting)


def _copies(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec())
