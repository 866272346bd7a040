"""Leading Hessian and Gauss-Newton eigenvalues of a model on a probe batch, in the metric of its optimizer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from .._checks import one_of
from ._matrices import is_sharded

KINDS = ("hessian", "gauss_newton", "ntk")
MOST, ROOM, KEEP = 60, 12, 4  # products; vectors held, and kept at a restart: each has the size of the model
TOLERANCE = 1e-3  # of the residual, relative; the error of an isolated eigenvalue is about its square

Product = Callable[[Tensor], Tensor]


class Probe(NamedTuple):
    """A batch, the mean loss ``loss(outputs, targets)`` of it, and what is measured on it."""

    inputs: Any
    targets: Any
    loss: Callable[[Tensor, Any], Tensor]
    kinds: tuple[str, ...]


def checked_probe(probe: Any, loss: Any, kinds: Sequence[str]) -> Probe | None:
    """The probe, or None; ValueError unless it is (inputs, targets) with a loss."""
    if probe is None:
        return None
    if not isinstance(probe, Sequence) or len(probe) != 2:
        raise ValueError(f"`probe` must be (inputs, targets); got {type(probe).__name__}.")
    if not callable(loss):
        raise ValueError(f"`loss` must be a function of (outputs, targets) where a probe is given; got {loss!r}.")
    return Probe(probe[0], probe[1], loss, tuple(one_of("kinds", kind, KINDS) for kind in kinds))


def measure_curvature(
    model: nn.Module, probe: Probe, optimizer: torch.optim.Optimizer | None, starts: dict[str, Tensor], seed: int
) -> dict[str, Any]:
    """Largest eigenvalues of R^½ H R^½, R^½ Jᵀ ∂²ℓ J R^½ and R^½ Jᵀ J R^½/P; ``starts`` is renewed.

    R holds the step of each parameter along its gradient: its group's lr; for Adam lr/(√v̂ + ε); 1 without an
    optimizer. J is the derivative of all outputs, P the number of rows of outputs. So each eigenvalue is lr λ, and
    ``limit`` is where the optimizer's linear dynamics turns unstable: 2 (1 + m) for SGD with momentum m,
    2 (1 + β₁)/(1 − β₁) for Adam, None where none is known. The model is taken in evaluation mode and float32.
    """
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if any(map(is_sharded, named.values())):
        raise ValueError("`probe` must be None for a sharded model: its curvature takes whole parameters.")
    roots, limit, metric = _metric(named, optimizer)
    named = {name: p for name, p in named.items() if name in roots}
    row: dict[str, Any] = {"status": "completed", "metric": metric, "limit": limit}
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH), _no_autocast(named):
            products = _products(model, named, probe, roots)
            for kind, product in products.items():
                value, residual, vector, count = leading_eigenvalue(
                    product, starts.get(kind), sum(p.numel() for p in named.values()), next(iter(named.values())), seed
                )
                row |= {kind: value, f"{kind}_residual": residual, f"{kind}_products": count}
                starts[kind] = vector
                if not math.isfinite(value):
                    row["status"] = "non_finite"
                    starts.pop(kind)
                elif residual > TOLERANCE * abs(value) and row["status"] == "completed":
                    row["status"] = "no_convergence"
    finally:
        for module, training in modes.items():
            module.training = training
    return row


def leading_eigenvalue(
    product: Product, start: Float[Tensor, " k"] | None, size: int, like: Tensor, seed: int
) -> tuple[float, float, Float[Tensor, " k"], int]:
    """Largest eigenvalue of a symmetric product, its residual and vector, products made: Lanczos, thick restarts.

    Every vector is orthogonalised twice against all that are held. A start gets a tenth of random direction, so that
    another eigenvalue that has overtaken is seen.
    """
    noise = torch.randn(size, generator=torch.Generator().manual_seed(seed)).to(like.device)
    noise = noise / torch.linalg.vector_norm(noise)
    vector = noise if start is None else start.to(noise) + 0.1 * noise
    basis = (vector / torch.linalg.vector_norm(vector))[None]
    known = np.zeros((0, 0))
    for count in range(1, min(MOST, size) + 1):
        image = product(basis[-1])
        along = basis @ image
        left = image - along @ basis
        left = left - (basis @ left) @ basis
        length = torch.linalg.vector_norm(left)
        numbers = torch.cat([along, length[None]]).double().cpu().numpy()
        if not np.isfinite(numbers).all():
            return math.nan, math.nan, basis[-1], count
        known = np.pad(known, (0, 1))
        known[-1], known[:, -1] = numbers[:-1], numbers[:-1]
        values, vectors = np.linalg.eigh(known)
        residual = float(numbers[-1] * abs(vectors[-1, -1]))
        if residual <= TOLERANCE * abs(values[-1]) or numbers[-1] <= 1e-7 * np.abs(values).max():
            break
        if len(basis) == ROOM:
            keep = torch.as_tensor(np.ascontiguousarray(vectors[:, -KEEP:].T)).to(basis)
            basis, known = keep @ basis, np.diag(values[-KEEP:])
            vectors = np.eye(KEEP)
        basis = torch.cat([basis, (left / length)[None]])
    chosen = torch.as_tensor(vectors[:, -1]).to(basis)
    return float(values[-1]), residual, chosen @ basis[: len(chosen)], count


def _products(
    model: nn.Module, named: dict[str, nn.Parameter], probe: Probe, roots: dict[str, Any]
) -> dict[str, Product]:
    """The products by kind; one graph of the forward pass serves all."""
    values = {name: p.detach().float().requires_grad_() for name, p in named.items()}
    leaves = list(values.values())
    others = {n: b.float() if b.is_floating_point() else b for n, b in model.named_buffers()}
    others |= {n: p.detach().float() for n, p in model.named_parameters() if n not in values}
    inputs = probe.inputs if isinstance(probe.inputs, tuple) else (probe.inputs,)
    inputs = tuple(x.float() if isinstance(x, Tensor) and x.is_floating_point() else x for x in inputs)
    outputs = functional_call(model, values | others, inputs)
    if not isinstance(outputs, Tensor):
        raise ValueError(f"`model` must return one tensor for the curvature; got {type(outputs).__name__}.")
    root = torch.cat([torch.as_tensor(roots[n]).to(p).expand_as(p).reshape(-1) for n, p in values.items()])

    def flat(parts: Sequence[Tensor]) -> Tensor:
        return root * torch.cat([part.reshape(-1) for part in parts]).detach()

    def unflat(vector: Tensor) -> list[Tensor]:
        parts = (root * vector).split([p.numel() for p in leaves])
        return [part.view_as(p) for part, p in zip(parts, leaves, strict=True)]

    def derivative(of: Any, by: Any, along: Any) -> tuple[Tensor, ...]:
        return torch.autograd.grad(of, by, along, retain_graph=True, materialize_grads=True)

    made: dict[str, Product] = {}
    if "hessian" in probe.kinds:
        loss = probe.loss(outputs, probe.targets)
        slope = torch.autograd.grad(loss, leaves, create_graph=True, materialize_grads=True)
        made["hessian"] = lambda v: flat(_second(slope, leaves, unflat(v)))
    dual = torch.zeros_like(outputs, requires_grad=True)
    pulled = torch.autograd.grad(outputs, leaves, dual, create_graph=True, materialize_grads=True)
    point = outputs.detach().requires_grad_()
    at_outputs = torch.autograd.grad(probe.loss(point, probe.targets), point, create_graph=True)

    def tangent(v: Tensor) -> Tensor:
        """J v: the pulled-back dual is Jᵀ u, linear in u, so its derivative along v is J v."""
        return derivative(pulled, dual, unflat(v))[0]

    if "gauss_newton" in probe.kinds:
        made["gauss_newton"] = lambda v: flat(
            derivative(outputs, leaves, _second(at_outputs, [point], [tangent(v)])[0])
        )
    if "ntk" in probe.kinds:
        rows = outputs.numel() // outputs.shape[-1]
        made["ntk"] = lambda v: flat(derivative(outputs, leaves, tangent(v))) / rows
    return made


def _second(slope: Sequence[Tensor], by: Sequence[Tensor], along: Sequence[Tensor]) -> Sequence[Tensor]:
    """The derivative of ⟨slope, along⟩; zero where the slope is constant."""
    pairs = [(s, a) for s, a in zip(slope, along, strict=True) if s.requires_grad]
    if not pairs:
        return [torch.zeros_like(x) for x in by]
    return torch.autograd.grad(
        [s for s, _ in pairs], by, [a for _, a in pairs], retain_graph=True, materialize_grads=True
    )


def _metric(
    named: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer | None
) -> tuple[dict[str, Any], float | None, str]:
    """R^½ of the parameters that move, the limit and the metric's name."""
    if optimizer is None:
        return dict.fromkeys(named, 1.0), None, "none"
    names = {id(p): name for name, p in named.items()}
    adam = isinstance(optimizer, torch.optim.Adam)  # AdamW is one
    roots: dict[str, Any] = {}
    limits = []
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if id(parameter) in names:
                state = optimizer.state.get(parameter, {})
                rate = _adam_rate(group, state) if adam and "exp_avg_sq" in state else float(group["lr"])
                roots[names[id(parameter)]] = rate.sqrt() if isinstance(rate, Tensor) else math.sqrt(rate)
        limits.append(_limit(optimizer, group))
    known = [limit for limit in limits if limit is not None]
    ready = all(isinstance(root, Tensor) for root in roots.values()) if adam else True
    return roots, min(known) if known and ready else None, "adam" if adam and ready else "lr"


def _adam_rate(group: dict[str, Any], state: dict[str, Any]) -> Tensor:
    """lr/(√v̂ + ε)."""
    second = state["max_exp_avg_sq"] if group.get("amsgrad") else state["exp_avg_sq"]
    corrected = second.float() / (1 - float(group["betas"][1]) ** float(state["step"]))
    return float(group["lr"]) / (corrected.sqrt() + group["eps"])


def _limit(optimizer: torch.optim.Optimizer, group: dict[str, Any]) -> float | None:
    """lr λ at which gradient descent with this momentum, or frozen-preconditioner Adam, turns unstable."""
    if isinstance(optimizer, torch.optim.SGD):
        m = float(group["momentum"])
        nesterov = 1 + 2 * m if group["nesterov"] else 1.0
        return 2 * (1 + m) / nesterov if group["dampening"] == 0 else None
    if isinstance(optimizer, torch.optim.Adam):
        first = float(group["betas"][0])
        return 2 * (1 + first) / (1 - first)
    return None


def _no_autocast(named: dict[str, nn.Parameter]) -> Any:
    return torch.autocast(next(iter(named.values())).device.type, enabled=False)
