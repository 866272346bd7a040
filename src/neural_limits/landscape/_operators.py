"""Which operator measures which kind of curvature on which network, as products with NumPy vectors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy import ndarray

from ..networks import MLP, Network, Parameters
from ..parametrizations import Rules
from ..weights import ConditionedMatrix, DecoupledMatrix, DenseMatrix, Stack
from ._autodiff import hessian_product, kernel_product, parameter_count
from ._kernel import tangent_kernel
from ._metric import Rates, output_factor
from ._second_order import Hessian

KINDS = ("ntk", "gauss_newton", "hessian")
FORMED = 2000  # up to this many rows (samples × outputs) an MLP's kernel is formed: cheaper than products with it


class Operator(NamedTuple):
    """A symmetric operator on vectors of this size."""

    product: Callable[[ndarray], ndarray]
    size: int


class Point(NamedTuple):
    """Where the curvature is taken."""

    network: Network
    loss: str
    parameters: Parameters
    rules: Rules
    rates: Rates
    x: Float[Array, "P d"]
    y: Float[Array, "P C"]

    @property
    def conditioned(self) -> bool:
        """Whether the hidden weights are conditioned; ValueError for weights and networks without an exact way."""
        hidden = [w.layers if isinstance(w, Stack) else w for w in self.parameters.hidden]
        if any(isinstance(w, DecoupledMatrix) for w in hidden):
            raise ValueError(
                '`weights` with backward="decoupled" move by no gradient of a loss, so there is no curvature; train '
                'with backward="reused".'
            )
        conditioned = any(isinstance(w, ConditionedMatrix) for w in hidden)
        if conditioned and not isinstance(self.network, MLP):
            raise ValueError(
                f"`network` {type(self.network).__name__} has no curvature on conditioned weights; train it with "
                'weights="dense", or use an MLP.'
            )
        if not conditioned and not all(isinstance(w, DenseMatrix) for w in hidden):
            raise ValueError("`weights` must be conditioned or dense for a curvature.")
        return conditioned


def operators(point: Point, kinds: tuple[str, ...], products: int) -> dict[str, Operator]:
    """The operator of each kind, made for about so many products; what two kinds share is computed once."""
    made = _kernels(point, [kind for kind in kinds if kind != "hessian"])
    if "hessian" in kinds:
        made["hessian"] = _hessian(point, products)
    return {kind: made[kind] for kind in kinds}


def _kernels(point: Point, kinds: list[str]) -> dict[str, Operator]:
    """The tangent kernel and Fᵀ Θ F, formed where that is cheaper, and always on conditioned weights."""
    conditioned, size = point.conditioned, point.y.size
    if not kinds:
        return {}
    if isinstance(point.network, MLP) and (conditioned or size <= FORMED):
        formed, outputs = tangent_kernel(point.network, point.parameters, point.rules, point.rates, point.x)
        kernel = np.asarray(formed, np.float64)
        if "gauss_newton" not in kinds or point.loss == "mse":
            return dict.fromkeys(kinds, Operator(lambda v: kernel @ v, size))
        factor = np.asarray(output_factor(point.loss, outputs), np.float64)

        def weighted(v: ndarray) -> ndarray:
            inner = np.einsum("pij,pj->pi", factor, v.reshape(outputs.shape))
            return np.einsum("pji,pj->pi", factor, (kernel @ inner.ravel()).reshape(outputs.shape)).ravel()

        both = {"ntk": Operator(lambda v: kernel @ v, size), "gauss_newton": Operator(weighted, size)}
        return {kind: both[kind] for kind in kinds}
    network, _, *at = point[:-1]
    losses = {"ntk": None, "gauss_newton": None if point.loss == "mse" else point.loss}
    return {kind: Operator(_numpy(point, partial(kernel_product, network, losses[kind], *at)), size) for kind in kinds}


def _hessian(point: Point, products: int) -> Operator:
    """By hand in products with the weights where they are conditioned, else by automatic differentiation."""
    if point.conditioned and isinstance(point.network, MLP):
        exact = Hessian(*point, products=products)  # type: ignore[arg-type]
        return Operator(_numpy(point, exact.product), exact.size)
    return Operator(_numpy(point, partial(hessian_product, *point)), parameter_count(point.parameters))


def _numpy(point: Point, product: Callable[[Array], Array]) -> Callable[[ndarray], ndarray]:
    """The product with NumPy vectors, in the weights' precision inside."""
    dtype = point.parameters.input.dtype
    return lambda vector: np.asarray(product(jnp.asarray(vector, dtype)), np.float64)
