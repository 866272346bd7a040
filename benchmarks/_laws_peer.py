"""Run by the peers' interpreter: freealg and scikit-rmt at the points of a JSON file, answers and times as JSON.

    python _laws_peer.py QUESTIONS.json ANSWERS.json

An answer is {"value": ..., "seconds": best of `repeat`}, or {"error": one line} where the peer raised.
"""

import json
import logging
import sys
import time
import warnings
from importlib.metadata import version

import freealg
import numpy as np
from freealg.distributions import DeformedMarchenkoPastur, MarchenkoPastur
from skrmt.ensemble import MarchenkoPasturDistribution, TracyWidomDistribution


def answer(function, repeat=1):
    """What a call returns and its best time; a peer's error is an answer too."""
    best = np.inf
    try:
        for _ in range(repeat):
            start = time.perf_counter()
            value = function()
            best = min(best, time.perf_counter() - start)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
    return {"value": np.asarray(value, dtype=float).tolist(), "seconds": best}


def marchenko_pastur(case):
    """Densities of both, and scikit-rmt's quantiles (freealg has none)."""
    c, x, outside, q = case["ratio"], np.array(case["x"]), np.array(case["outside"]), np.array(case["q"])
    return {
        "freealg": answer(lambda: MarchenkoPastur(c).density(x), 20),
        "freealg outside": answer(lambda: MarchenkoPastur(c).density(outside)),
        "skrmt": answer(lambda: MarchenkoPasturDistribution(c).pdf(x), 20),
        "skrmt outside": answer(lambda: MarchenkoPasturDistribution(c).pdf(outside)),
        "skrmt quantile": answer(lambda: MarchenkoPasturDistribution(c).ppf(q), 3),
    }


def silverstein(case):
    """freealg's law of the same atoms, at its offset from the real line and at a smaller one."""
    x, outside, t = np.array(case["x"])[:: case["every"]], np.array(case["outside"]), np.array(case["t"])
    weights = np.full(t.size, 1 / t.size)
    law = lambda: DeformedMarchenkoPastur(t, weights / weights.sum(), case["ratio"])  # noqa: E731
    repeat = 5 if t.size < 40 else 1
    found = {}
    for eta in case["eta"]:
        found[f"density {eta:g}"] = answer(lambda eta=eta: law().density(x, eta=eta), repeat)
        found[f"outside {eta:g}"] = answer(lambda eta=eta: law().density(outside, eta=eta))
    if t.size < 40:  # its search for the support takes 4000 points and more
        found["support"] = answer(lambda: law().support())
        found["draws"] = answer(lambda: law().sample(10_000, *case["ends"], seed=0))
    return found


def over_points(case):
    """freealg's time over the number of points."""
    t = np.array(case["t"])
    weights = np.full(t.size, 1 / t.size)
    law = lambda: DeformedMarchenkoPastur(t, weights, case["ratio"])  # noqa: E731
    points = (np.array(x) for x in case["x"])
    found = [answer(lambda x=x: law().density(x, eta=case["eta"]), 1 if x.size > 1000 else 3) for x in points]
    return [{"seconds": one.get("seconds")} for one in found]


def from_eigenvalues(case):
    """The density that FreeForm reads off the eigenvalues of one matrix."""

    def density(x):
        form = freealg.FreeForm(np.array(case["eigenvalues"]))
        form.fit()
        return form.density(np.array(x))

    return {"density": answer(lambda: density(case["x"]), 3), "outside": answer(lambda: density(case["outside"]))}


def tracy_widom(case):
    """scikit-rmt's table of F₁."""
    law = TracyWidomDistribution()
    return {
        "cdf": answer(lambda: law.cdf(np.array(case["s"])), 3),
        "quantile": answer(lambda: law.ppf(np.array(case["q"])), 3),
        "printed": answer(lambda: law.ppf(np.array(case["printed"]))),
        "mean": answer(law.mean),
        "variance": answer(law.var),
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    source, target = sys.argv[1:]
    with open(source) as file:
        asked = json.load(file)
    found = {
        "versions": {name: version(name) for name in ("freealg", "scikit-rmt", "numpy", "scipy")},
        "marchenko_pastur": [marchenko_pastur(case) for case in asked["marchenko_pastur"]],
        "silverstein": [silverstein(case) for case in asked["silverstein"]],
        "over_points": over_points(asked["over_points"]),
        "from_eigenvalues": from_eigenvalues(asked["from_eigenvalues"]),
        "tracy_widom": tracy_widom(asked["tracy_widom"]),
    }
    with open(target, "w") as file:
        json.dump(found, file)
