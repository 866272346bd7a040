"""`nl.laws` beside freealg and scikit-rmt: accuracy and time of every law, one thread each, in one run.

The peers run in an interpreter of their own, one in which they are installed.

    python benchmarks/laws.py [--quick] [--peer-python PATH]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.linalg import eigvalsh
from threadpoolctl import threadpool_limits

import _laws_reference as reference
from _common import FIGURES, machine, write
from neural_limits.laws import MarchenkoPastur, QuarterCircle, Silverstein, TracyWidom, VarianceProfile

RATIOS = 0.1, 0.5, 1.0, 2.0
POINTS = 600
ATOMS = 2, 8, 40, 400
COUNTS = 60, 600, 6000, 60_000
ETA = 1e-3, 1e-8  # freealg's own offset from the real line, and a small one
MEAN, VARIANCE = -1.2065335745820, 1.607781034581  # of F₁, Bornemann (2010)
QUANTILES = {0.95: 0.9793, 0.99: 2.0234}  # Johnstone (2001)
ROWS = 800  # of the one matrix whose eigenvalues freealg reads


def timed(function: Callable[[], Any], repeat: int = 5) -> tuple[Any, float]:
    """The value and the best time."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        value = function()
        times.append(time.perf_counter() - start)
    return value, min(times)


def inside(support: Any, points: int) -> np.ndarray:
    """Evenly spaced points of the bulk, its edges left out; as many in every component."""
    pairs = np.reshape(support, (-1, 2))
    return np.concatenate([np.linspace(*pair, points // len(pairs) + 2)[1:-1] for pair in pairs])


def outside(support: Any) -> np.ndarray:
    """Points beyond the outer edges, at distances from 1e-6 to 1 width; none at or below zero."""
    low, high = np.min(support), np.max(support)
    steps = np.geomspace(1e-6, 1, 40) * (high - low)
    return np.concatenate([low - steps[::-1][steps[::-1] < low], high + steps])


def mass_outside(support: Any, density: np.ndarray) -> float:
    """∫|density| over `outside`, either side apart."""
    x = outside(support)
    parts = [x < np.min(support), x > np.max(support)]
    return float(sum(np.trapezoid(np.abs(density[part]), x[part]) for part in parts if part.any()))


def seconds(value: float) -> str:
    return f"{value * 1e6:.0f} µs" if value < 1e-3 else f"{value * 1e3:.3g} ms" if value < 1 else f"{value:.3g} s"


def versus(ours: float, theirs: float) -> str:
    """A peer's time, and ours over it."""
    return f"{seconds(theirs)} (ours/theirs {ours / theirs:.2g})"


def row(*cells: object) -> str:
    """A line of a table; floats are errors."""
    return "| " + " | ".join(error(cell) if isinstance(cell, float) else str(cell) for cell in cells) + " |"


def error(value: float) -> str:
    return f"{value:.1e}" if value else "0"


def table(*header: str) -> list[str]:
    return ["", row(*header), "|" + "-|" * len(header)]


def population(atoms: int) -> tuple[np.ndarray, float]:
    """Values of equal weight and the ratio: two far apart with a gap, or evenly spaced over [0.1, 1]."""
    if atoms == 2:
        return np.array([1.0, 10.0]), 0.1
    return 0.1 + 0.9 * (np.arange(atoms) + 0.5) / atoms, 0.5


def eigenvalues() -> np.ndarray:
    """Of one sample covariance, ROWS × 2 ROWS, whose population is the one of 400 atoms."""
    t, ratio = population(400)
    matrix = np.random.default_rng(1).standard_normal((ROWS, int(ROWS / ratio)))
    matrix *= np.sqrt(np.repeat(t, ROWS // t.size) * ratio / ROWS)[:, None]
    return eigvalsh(matrix @ matrix.T)


def questions(quick: bool) -> dict[str, Any]:
    """Every point at which laws are asked, as the peers' script reads them."""
    q = (np.arange(20 if quick else 200) + 0.5) / (20 if quick else 200)
    asked: dict[str, Any] = {"marchenko_pastur": [], "silverstein": []}
    for ratio in RATIOS:
        support = MarchenkoPastur(ratio).support
        asked["marchenko_pastur"].append(
            {"ratio": ratio, "x": inside(support, POINTS), "outside": outside(support), "q": q}
        )
    for atoms in ATOMS[:1] if quick else ATOMS:
        t, ratio = population(atoms)
        support = Silverstein(t, ratio).support
        ends, every = (support[0][0], support[-1][1]), 20 if atoms == 400 else 1  # freealg takes 0.1 s a point of 400
        points = {"x": inside(support, POINTS), "outside": outside(support), "ends": ends}
        asked["silverstein"].append({"t": t, "ratio": ratio, "eta": ETA, "every": every, **points})
    support = Silverstein(*population(400)).support
    asked["from_eigenvalues"] = {
        "eigenvalues": eigenvalues(),
        "x": inside(support, POINTS),
        "outside": outside(support),
    }
    count = 50 if quick else 1000
    t, ratio = population(8)
    support = Silverstein(t, ratio).support
    counts = COUNTS[:1] if quick else COUNTS
    asked["over_points"] = {"t": t, "ratio": ratio, "eta": ETA[1], "x": [inside(support, count) for count in counts]}
    asked["tracy_widom"] = {"s": np.linspace(-5, 4, count), "q": (np.arange(count) + 0.5) / count}
    asked["tracy_widom"]["printed"] = np.array(list(QUANTILES))
    return asked


def peers(python: str | None, asked: dict[str, Any]) -> dict[str, Any] | None:
    """The peers' answers, on one thread; None where no interpreter was named."""
    if python is None:
        return None
    script = Path(__file__).parent / "_laws_peer.py"
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "questions.json", Path(folder) / "answers.json"
        source.write_text(json.dumps(asked, default=np.ndarray.tolist))
        command = [python, str(script), str(source), str(target)]
        subprocess.run(command, check=True, capture_output=True, env=os.environ | threads)
        return dict(json.loads(target.read_text()))


def marchenko_pastur(asked: dict[str, Any], found: dict[str, Any] | None) -> list[str]:
    lines = ["", f"**Marchenko-Pastur density**, {POINTS} points: largest relative error against 50 digits."]
    lines += table("ratio", "by", "error", "mass beyond the edges", "time")
    quantiles = ["", f"**Its quantiles**, {len(asked['marchenko_pastur'][0]['q'])}: largest error against 50 digits."]
    quantiles += table("ratio", "by", "error", "time")
    for i, case in enumerate(asked["marchenko_pastur"]):
        c, x, q = case["ratio"], case["x"], case["q"]
        exact = np.array([float(reference.marchenko_pastur(float(value), c)[0]) for value in x])
        density, ours = timed(lambda c=c, x=x: MarchenkoPastur(c).pdf(x), 20)
        support = MarchenkoPastur(c).support
        beyond = mass_outside(support, MarchenkoPastur(c).pdf(case["outside"]))
        lines.append(row(f"{c:g}", "`nl.laws`", np.abs(density / exact - 1).max(), beyond, seconds(ours)))
        levels, taken = timed(lambda c=c, q=q: MarchenkoPastur(c).quantile(q))
        bulk = q > MarchenkoPastur(c).atom
        true = np.zeros(q.size)
        true[bulk] = [
            float(reference.marchenko_pastur_quantile(float(a), c, float(b)))
            for a, b in zip(q[bulk], levels[bulk], strict=True)
        ]
        quantiles.append(row(f"{c:g}", "`nl.laws`", np.abs(levels - true).max(), seconds(taken)))
        for name, key in (("freealg", "freealg"), ("scikit-rmt", "skrmt")) if found else ():
            answers = found["marchenko_pastur"][i]
            theirs = np.array(answers[key]["value"])
            beyond = mass_outside(support, np.array(answers[f"{key} outside"]["value"]))
            worst = float(np.abs(theirs / exact - 1).max())
            lines.append(row(f"{c:g}", name, worst, beyond, versus(ours, answers[key]["seconds"])))
        if found:
            answer = found["marchenko_pastur"][i]["skrmt quantile"]
            worst = float(np.abs(np.array(answer["value"]) - true).max())
            quantiles.append(row(f"{c:g}", "scikit-rmt", worst, versus(taken, answer["seconds"])))
    return lines + quantiles


def bulk_mass(case: dict[str, Any], support: Any) -> float:
    """∫ pdf over the bulk, Gauss-Legendre in the angle of every component."""
    nodes, weights = np.polynomial.legendre.leggauss(400)
    angles, law = (nodes + 1) * np.pi / 4, Silverstein(case["t"], case["ratio"])
    total = 0.0
    for low, high in support:
        x = low + (high - low) * np.sin(angles) ** 2
        total += float(weights @ (law.pdf(x) * np.sin(2 * angles))) * (high - low) * np.pi / 4
    return total


def quantile_errors(case: dict[str, Any], low: float, q: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(F(x) − q)/f(x) in one component that starts at ``low``, F integrated from the reference density."""
    nodes, weights = np.polynomial.legendre.leggauss(300 if case["t"].size < 400 else 80)
    angles = (nodes + 1) * np.pi / 4
    points = low + (x[:, None] - low) * np.sin(angles) ** 2
    density = reference.silverstein(points.ravel(), case["t"], case["ratio"]).reshape(points.shape)
    # The density rises like a root at low, and x lies inside: f(x) dx is smooth in the angle.
    below = (density * np.sin(2 * angles)) @ weights * (x - low) * np.pi / 4
    return np.asarray((below - q) / reference.silverstein(x, case["t"], case["ratio"]), dtype=float)


def silverstein(asked: dict[str, Any], found: dict[str, Any] | None) -> list[str]:
    lines = [
        "",
        f"**Silverstein's law**, {POINTS} points, construction included: largest error over the largest density "
        "(reference: the equation of the companion transform in extended precision).",
        *table("atoms", "by", "density", "mass beyond the edges", "edges", "10 quantiles", "time"),
    ]
    notes = []
    for i, case in enumerate(asked["silverstein"]):
        t, c, x = case["t"], case["ratio"], case["x"]
        exact = np.asarray(reference.silverstein(x, t, c), dtype=float)
        density, ours = timed(lambda t=t, c=c, x=x: Silverstein(t, c).pdf(x))
        law = Silverstein(t, c)
        # Of the first component, so that no quantile lies in a gap.
        q = law.masses[0] * (np.arange(10) + 0.5) / 10
        errors = quantile_errors(case, law.support[0][0], q, law.quantile(q))
        height = exact.max()
        beyond = mass_outside(law.support, law.pdf(case["outside"]))
        worst = float(np.abs(density - exact).max() / height)
        lines.append(row(t.size, "`nl.laws`", worst, beyond, "reference", np.abs(errors).max(), seconds(ours)))
        z = np.linspace(x[0], x[-1], 12) + 1j * np.geomspace(0.05, 2, 12)
        iterated = (reference.iterated(z, t, c) + (1 - c) / z) / c
        apart = np.abs(law.stieltjes(z) / iterated - 1).max()
        notes.append(
            f"{t.size} atoms: mass {abs(float(law.cdf(law.edge)) - 1):.0e} from one by `cdf`, "
            f"{abs(bulk_mass(case, law.support) - 1):.0e} by integrating `pdf`; Stieltjes transform {apart:.0e} "
            "from the fixed-point iteration at 12 points of the upper half plane."
        )
        if not found:
            continue
        answers = found["silverstein"][i]
        edges, levels = "not run", "not run"
        if "support" in answers:
            ends = np.array(answers["support"]["value"])
            same = ends.shape == np.shape(law.support)
            edges = error(float(np.abs(ends - law.support).max())) if same else f"{len(ends)} components"
            levels = answers["draws"].get("error", "")
            if "value" in answers["draws"]:
                drawn = np.quantile(answers["draws"]["value"], q)
                levels = error(float(np.abs(drawn - law.quantile(q)).max()))
        for eta in ETA:
            name, answer = f"freealg, eta {eta:g}", answers[f"density {eta:g}"]
            if "error" in answer:
                lines.append(row(t.size, name, answer["error"], "", edges, levels, ""))
                continue
            theirs, part = np.array(answer["value"]), slice(None, None, case["every"])
            beyond = mass_outside(law.support, np.array(answers[f"outside {eta:g}"]["value"]))
            worst = float(np.abs(theirs - exact[part]).max() / height)
            taken = case["every"] * answer["seconds"]
            lines.append(row(t.size, name, worst, beyond, edges, levels, versus(ours, taken)))
        if case["every"] > 1:
            notes.append(f"{t.size} atoms: freealg was asked at every {case['every']}th point, its time is scaled up.")
    return [*lines, "", *(f"* {note}" for note in notes)]


def over_points(asked: dict[str, Any], found: dict[str, Any] | None) -> tuple[list[str], dict[str, str]]:
    """Time of the density against the number of points, and the headlines."""
    case = asked["over_points"]
    t, ratio = case["t"], case["ratio"]
    lines = ["", f"**Silverstein's density over points**, {t.size} atoms, construction included.", ""]
    lines += [row("points", "`nl.laws`", f"freealg, eta {case['eta']:g}"), "|-|-|-|"]
    told = {}
    for i, x in enumerate(case["x"]):
        _, ours = timed(lambda x=x: Silverstein(t, ratio).pdf(x))
        theirs = found["over_points"][i]["seconds"] if found else None
        lines.append(row(x.size, seconds(ours), versus(ours, theirs) if theirs else "not run"))
        told = {f"Silverstein density, {t.size} atoms, {x.size} points": f"{seconds(ours)}"}
        if theirs:
            told = {what: f"{value}, {theirs / ours:.0f} times faster than freealg" for what, value in told.items()}
    return lines, told


def from_eigenvalues(asked: dict[str, Any], found: dict[str, Any] | None) -> list[str]:
    """Not the same question: an estimate of the law from one matrix, beside the law."""
    if not found:
        return []
    case, answers = asked["from_eigenvalues"], found["from_eigenvalues"]
    law = Silverstein(*population(400))
    exact, taken = timed(lambda: Silverstein(*population(400)).pdf(case["x"]))
    heading = f"**From the eigenvalues of one {ROWS} x {2 * ROWS} matrix** whose population is the 400 atoms"
    if "error" in answers["density"]:
        return ["", f"{heading}, freealg's `FreeForm` raised {answers['density']['error']}"]
    theirs = np.array(answers["density"]["value"])
    beyond = mass_outside(law.support, np.array(answers["outside"]["value"]))
    apart = np.abs(theirs - exact) / exact.max()
    worst = case["x"][apart.argmax()]
    return [
        "",
        f"{heading}, freealg's `FreeForm(eigenvalues).fit().density` (an estimate, its defaults) is "
        f"{apart.mean():.1e} of the largest density from the law in the mean and {apart.max():.1e} at most (at "
        f"{worst:.3g} of {law.support[0][0]:.3g} to {law.edge:.3g}), with a mass of {beyond:.1e} beyond the law's "
        f"edges; {versus(taken, answers['density']['seconds'])}.",
    ]


def tracy_widom(asked: dict[str, Any], found: dict[str, Any] | None) -> list[str]:
    s, q = asked["tracy_widom"]["s"], asked["tracy_widom"]["q"]
    exact, law = reference.tracy_widom(s), TracyWidom()
    below, first = timed(lambda: law.cdf(s), 1)  # a second call would only remember
    levels, second = timed(lambda: law.quantile(q), 1)
    values = {
        "`nl.laws`": (below, np.array(law.quantile(list(QUANTILES))), law.mean(), law.variance()),
    }
    round_trip = {"`nl.laws`": float(np.abs(law.cdf(levels) - q).max())}
    times = {"`nl.laws`": (seconds(first), seconds(second))}
    if found:
        answers = found["tracy_widom"]
        theirs = {name: np.array(answers[name]["value"]) for name in answers}
        values["scikit-rmt"] = theirs["cdf"], theirs["printed"], float(theirs["mean"]), float(theirs["variance"])
        round_trip["scikit-rmt"] = float(np.abs(law.cdf(theirs["quantile"]) - q).max())
        times["scikit-rmt"] = (
            versus(first, answers["cdf"]["seconds"]),
            versus(second, answers["quantile"]["seconds"]),
        )
    lines = [
        "",
        f"**Tracy-Widom, β = 1**: distribution function at {s.size} points against Painlevé II (itself good to 3e-10), "
        "quantiles against the printed four digits at .95 and .99 and put back into F, moments against Bornemann's.",
        *table("by", "cdf", ".95, .99", "F(quantile) - q", "mean", "variance", "time cdf", "time quantile"),
    ]
    for name, (cdf, printed, mean, variance) in values.items():
        errors = [float(np.abs(cdf - exact).max()), float(np.abs(printed - list(QUANTILES.values())).max())]
        errors += [round_trip[name], abs(mean - MEAN), abs(variance - VARIANCE)]
        lines.append(row(name, *errors, *times[name]))
    return lines


def mass_of(law: VarianceProfile) -> float:
    """∫ pdf of a bulk that starts at zero, Gauss-Legendre in the angle."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    angles = (nodes + 1) * np.pi / 4
    return float(weights @ (law.pdf(law.edge * np.sin(angles)) * np.cos(angles))) * law.edge * np.pi / 4


def profiles() -> list[str]:
    nodes = 96
    share = np.full(nodes, 1 / nodes)
    s = np.linspace(0, 2, 402)[1:-1]
    exact = QuarterCircle(1, 1).pdf(s)
    constant = lambda: VarianceProfile(np.ones((nodes, nodes)), share, share, 1.0)  # noqa: E731
    density, taken = timed(lambda: constant().pdf(s))
    mass = np.abs(constant().cdf(s) - QuarterCircle(1, 1).cdf(s)).max()
    u = (np.arange(nodes) + 0.5) / nodes
    smooth = VarianceProfile(np.exp(-4 * (u[:, None] - u) ** 2), share, share, 1.0)
    points = inside(smooth.support, 400)
    _, first = timed(lambda: VarianceProfile(smooth.profile, share, share, 1.0).support, 3)
    _, second = timed(lambda: smooth.pdf(points), 3)
    return [
        "",
        f"**Variance profile**, {nodes} x {nodes} nodes, 400 points. Constant (the quarter circle): largest error of "
        f"`pdf` {np.abs(density - exact).max():.1e}, of `cdf` {mass:.1e}, {seconds(taken)} with the support. "
        f"exp(-4 (x - y)²): support {seconds(first)}, density {seconds(second)}; mass "
        f"{error(abs(mass_of(smooth) - 1))} from one by integrating it. Neither peer offers the law.",
    ]


def draw(asked: dict[str, Any], found: dict[str, Any] | None) -> None:
    """A law with a gap over one matrix, and the densities' errors along it."""
    t, c = population(2)
    law, rng = Silverstein(t, c), np.random.default_rng(2)
    matrix = np.sqrt(np.repeat(t, 400) * c / 800)[:, None] * rng.standard_normal((800, 8000))
    figure = Figure(figsize=(8.4, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.hist(eigvalsh(matrix @ matrix.T), bins=np.linspace(0, 16, 121), density=True, color="0.8", label="one matrix")
    grid = np.linspace(0, 16, 2000)
    left.plot(grid, law.pdf(grid), "C0", lw=1.2, label="Silverstein")
    left.set(xlabel="eigenvalue", ylabel="density", title="Population ½δ₁ + ½δ₁₀, 800 x 8000")
    case = asked["silverstein"][0]
    exact = np.asarray(reference.silverstein(case["x"], t, c), dtype=float)
    curves = {"Silverstein": law.pdf(case["x"])}
    if found:
        curves |= {f"freealg, eta {e:g}": np.array(found["silverstein"][0][f"density {e:g}"]["value"]) for e in ETA}
    for (name, values), style in zip(curves.items(), ("C0.", "C3.", "C1."), strict=False):
        right.semilogy(case["x"], np.maximum(np.abs(values / exact - 1), 1e-17), style, ms=2, label=name)
    right.set(xlabel="eigenvalue", ylabel="relative error of the density", title=f"{POINTS} points of the bulk")
    for axis in (left, right):
        axis.title.set_size(9)
    left.legend(frameon=False, fontsize=8)
    right.legend(frameon=False, fontsize=8, markerscale=4, loc=(0.4, 0.28))
    figure.savefig(FIGURES / "laws.png", dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--peer-python")
    options = parser.parse_args()
    with threadpool_limits(1):
        asked = questions(options.quick)
        found = peers(options.peer_python, asked)
        lines = [f"Machine: {machine()}; one thread", ""]
        if found:
            lines.append("Peers: " + ", ".join(f"{name} {number}" for name, number in found["versions"].items()))
        else:
            lines.append("freealg, scikit-rmt: not run; `--peer-python PATH` names an interpreter that has them.")
        points, told = over_points(asked, found)
        lines += marchenko_pastur(asked, found) + silverstein(asked, found) + points
        lines += from_eigenvalues(asked, found) + tracy_widom(asked, found) + profiles()
        write("laws-quick" if options.quick else "laws", lines, told)
        if not options.quick:
            draw(asked, found)


if __name__ == "__main__":
    main()
