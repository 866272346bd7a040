"""The smallest task: a few Gaussian inputs with random or sine labels, the one the theory's numbers use."""

from __future__ import annotations

import numpy as np

from .._checks import one_of, positive_int
from ._task import Task


def toy(samples: int = 4, inputs: int = 8, outputs: int = 1, seed: int = 7, labels: str = "random") -> Task:
    """P Gaussian inputs of norm √d with labels -1 or +1, squared error.

    x_μ = √d g_μ/|g_μ|, g_μ ~ N(0, 1_d);  labels "random": independent signs, drawn after x from the same
    generator; "sine": y_μ = sign(sin(3 x_μ1) + 0.1), one output.

    x has shape (samples, inputs), y (samples, outputs). ValueError for sizes below one, a negative seed,
    unknown labels, or "sine" with more than one output. Cost: O(P d).

    Source: the cases of docs/validation.md, at fixed seed 7.

    >>> toy(labels="sine").y.ravel()
    array([ 1., -1.,  1.,  1.])
    """
    samples, inputs = positive_int("samples", samples), positive_int("inputs", inputs)
    outputs, seed = positive_int("outputs", outputs), positive_int("seed", seed, least=0)
    one_of("labels", labels, ("random", "sine"))
    if labels == "sine" and outputs != 1:
        raise ValueError(f"`outputs` must be 1 for labels 'sine'; got {outputs}; use labels='random'.")
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((samples, inputs))
    x *= np.sqrt(inputs) / np.linalg.norm(x, axis=1, keepdims=True)
    if labels == "sine":
        y = np.sign(np.sin(3 * x[:, :1]) + 0.1)
    else:
        y = rng.choice([-1.0, 1.0], (outputs, samples)).T
    return Task(x=x, y=y, loss="mse", name="toy")
