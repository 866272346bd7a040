"""Run by the peer's interpreter: neural-tangents' kernels at initialisation, in closed form and of finite networks.

python _neural_tangents_peer.py QUESTIONS.json ANSWERS.json
"""

import json
import sys
import time
from importlib.metadata import version

import jax
import jax.numpy as jnp
import neural_tangents as nt
import numpy as np
from jax.experimental import enable_x64
from neural_tangents import stax

REPEATS = 5
ACTIVATIONS = {"erf": stax.Erf, "relu": stax.Relu}


def layers(activation, hidden, width):
    """Dense layers of weight variance one over the inputs, without biases; the readout has one output."""
    parts = [stax.Dense(width), ACTIVATIONS[activation]()] * (hidden + 1)
    return stax.serial(*parts, stax.Dense(1))


def best(call):
    """The value and the best time, after a first call that compiles."""
    times, value = [], jax.block_until_ready(call())
    for _ in range(REPEATS):
        begun = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - begun)
    return value, min(times)


def closed_form(activation, hidden, x):
    """(NNGP, NTK) in float64, and the time."""
    _, _, kernel = layers(activation, hidden, 1)
    of = jax.jit(lambda points: tuple(kernel(points, None, ("nngp", "ntk"))))
    with enable_x64():
        points = jnp.asarray(x, jnp.float64)
        return best(lambda: of(points))


def main(source, target):
    with open(source) as file:
        asked = json.load(file)
    x, answers = np.array(asked["x"]), {"version": version("neural-tangents"), "jax": jax.__version__}
    for activation in asked["activations"]:
        exact, seconds = closed_form(activation, asked["hidden"], x)
        answers[activation] = {"nngp": exact[0].tolist(), "ntk": exact[1].tolist(), "seconds": seconds, "finite": {}}
        for width in asked["widths"]:
            start, apply, _ = layers(activation, asked["hidden"], width)
            _, parameters = start(jax.random.PRNGKey(0), x.shape)
            of = jax.jit(nt.empirical_ntk_fn(apply, implementation=nt.NtkImplementation.STRUCTURED_DERIVATIVES))
            points = jnp.asarray(x, jnp.float32)
            found, seconds = best(lambda of=of, points=points, p=parameters: of(points, None, p))
            answers[activation]["finite"][width] = {"ntk": found.tolist(), "seconds": seconds}
    with open(target, "w") as file:
        json.dump(answers, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
