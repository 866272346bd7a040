"""Run by the peer's interpreter: curvlinops' operators and SciPy's `eigsh` on a network whose weights are in a file.

    python _curvature_peer.py NETWORK.npz ANSWERS.json

An answer is the largest eigenvalue, the best time with the operator's construction, and the products made.
"""

import json
import sys
import time
from importlib.metadata import version

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor, nn

TOLERANCE, REPEATS = 1e-3, 3  # of the residual, relative: as `neural_limits.torch` stops


def network_of(matrices: list[np.ndarray]) -> nn.Module:
    """x -> M_k tanh(... tanh(M_1 x)), matrices of (outputs, inputs)."""
    layers: list[nn.Module] = []
    for matrix in matrices:
        layer = nn.Linear(*matrix.shape[::-1], bias=False)
        layer.weight.data = torch.tensor(matrix)
        layers += [layer, nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def largest(operator: LinearOperator, tolerance: float = TOLERANCE) -> tuple[float, int]:
    """The largest eigenvalue by Lanczos with restarts, and the products it took."""
    products = 0

    def counted(vector: np.ndarray) -> np.ndarray:
        nonlocal products
        products += 1
        return np.asarray(operator @ vector.astype(operator.dtype))

    start = np.random.default_rng(0).standard_normal(operator.shape[0])
    wrapped = LinearOperator(operator.shape, counted, dtype=operator.dtype)
    return float(eigsh(wrapped, k=1, which="LA", tol=tolerance, v0=start, return_eigenvectors=False)[0]), products


def operators(model: nn.Module, x: Tensor, y: Tensor) -> dict:
    """What makes each operator; the kernel's is J Jᵀ/P on outputs, the smaller side."""
    from curvlinops import (
        GGNLinearOperator,
        HessianLinearOperator,
        JacobianLinearOperator,
        TransposedJacobianLinearOperator,
    )

    parameters, data = list(model.parameters()), [(x, y)]
    options = {"check_deterministic": False}

    def kernel() -> LinearOperator:
        ahead, back = (
            made(model, parameters, data, **options).to_scipy()
            for made in (JacobianLinearOperator, TransposedJacobianLinearOperator)
        )
        return LinearOperator((ahead.shape[0],) * 2, lambda v: ahead @ (back @ v) / len(x), dtype=ahead.dtype)

    loss = nn.CrossEntropyLoss()
    return {
        "hessian": lambda: HessianLinearOperator(model, loss, parameters, data, **options).to_scipy(),
        "gauss_newton": lambda: GGNLinearOperator(model, loss, parameters, data, **options).to_scipy(),
        "ntk": kernel,
    }


def main(source: str, target: str) -> None:
    with np.load(source) as file:
        model = network_of([file[name] for name in sorted(file.files) if name.startswith("matrix")])
        x, y = torch.tensor(file["x"]), torch.tensor(file["y"])
        torch.set_num_threads(int(file["threads"]))
    answers = {"version": version("curvlinops-for-pytorch")}
    for kind, make in operators(model, x, y).items():
        times = []
        for _ in range(REPEATS):
            begun = time.perf_counter()
            value, products = largest(make())
            times.append(time.perf_counter() - begun)
        answers[kind] = {"value": value, "products": products, "seconds": min(times)}
    with open(target, "w") as file:
        json.dump(answers, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
