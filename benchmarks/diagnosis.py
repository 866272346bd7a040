"""`nl.spectra.diagnose` on matrices whose answer is known: false alarms on noise, planted spikes, bulks that moved.

Beside it weightwatcher, in an interpreter of its own (one in which it is installed).

    python benchmarks/diagnosis.py [--quick] [--peer-python PATH]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.linalg import eigvalsh

import neural_limits as nl
from _common import FIGURES, machine, write

ROWS, COLUMNS = 1000, 500
STD = ROWS**-0.5
RATES = 0.01, 0.05, 0.1
STRENGTHS = (1.02, 1.05, 1.15), (1.03, 1.06, 1.15)  # of three spikes, in units of the level at a false alarm of .01
POWER = 0.993, 0.997, 1.0, 1.003, 1.006, 1.01, 1.015, 1.02, 1.03, 1.05  # below .993 there is no outlier at all
diagnose = nl.spectra.diagnose


def singular_values(matrix: np.ndarray) -> np.ndarray:
    """Of a tall matrix, through its small Gram matrix: relative error 1e-13 near the edge."""
    return np.sqrt(np.maximum(eigvalsh(matrix.T @ matrix), 0.0))


def gaussian(rng: np.random.Generator) -> np.ndarray:
    return STD * rng.standard_normal((ROWS, COLUMNS))


def uniform(rng: np.random.Generator) -> np.ndarray:
    """What layers of PyTorch are filled with by default."""
    return rng.uniform(-(3**0.5) * STD, 3**0.5 * STD, (ROWS, COLUMNS))


def planted(rng: np.random.Generator, values: tuple[float, ...]) -> np.ndarray:
    """Noise plus orthogonal spikes whose expected singular values y are given: x² + (1 + c − y²) x + c = 0, x = θ²."""
    c = COLUMNS / ROWS
    middle = (np.array(values) ** 2 - 1 - c) / 2
    theta = np.sqrt(middle + np.sqrt(middle**2 - c))
    left, right = (np.linalg.qr(rng.standard_normal((n, len(values))))[0] for n in (ROWS, COLUMNS))
    return gaussian(rng) + (left * theta) @ right.T


def many_outputs(outputs: int, steps: int, width: int = 400) -> np.ndarray:
    """A hidden matrix after gradient descent on |V M x − A x|²/2, V fixed: C learned directions."""
    rng = np.random.default_rng(outputs)
    readout, weight = rng.standard_normal((outputs, width)), rng.standard_normal((width, width))
    teacher = 3 * rng.standard_normal((outputs, width)) / width**0.5
    readout, weight = readout / width**0.5, weight / width**0.5
    for _ in range(steps):
        weight = weight - 0.2 * readout.T @ (readout @ weight - teacher)
    return np.linalg.svd(weight, compute_uv=False)


def share(hits: list[bool]) -> str:
    """A share in per cent with its binomial standard error."""
    p, n = np.mean(hits), len(hits)
    return f"{100 * p:.1f} ± {100 * np.sqrt(max(p * (1 - p), 1 / n**2) / n):.1f}"


def false_alarms(draw: Callable[[np.random.Generator], np.ndarray], count: int) -> list[str]:
    """How often noise shows outliers, a gap or a changed bulk."""
    rng, shape = np.random.default_rng(1), (ROWS, COLUMNS)
    spectra = [singular_values(draw(rng)) for _ in range(count)]
    at_edge = nl.laws.largest_singular_value(*shape, STD)
    lines = ["| stated, % | " + " | ".join(f"{100 * rate:g}" for rate in RATES) + " |", "|-|-|-|-|"]
    known = [[diagnose(s, shape, STD, false_alarm=rate) for s in spectra] for rate in RATES]
    fitted = [[diagnose(s, shape, false_alarm=rate) for s in spectra] for rate in RATES]
    rows = {
        "any outlier, initial std known": [[d.count > 0 for d in found] for found in known],
        "the same, centred at the edge itself": [
            [s.max() > at_edge.threshold(rate) for s in spectra] for rate in RATES
        ],
        "any outlier, std fitted": [[d.separated > 0 for d in found] for found in fitted],
        "any gap": [[d.gap > 0 for d in found] for found in fitted],
        "bulk not unchanged, std known": [[d.bulk != "unchanged" for d in found] for found in known],
        "bulk deformed, std fitted": [[d.bulk == "deformed" for d in found] for found in fitted],
    }
    lines += [f"| {name} | " + " | ".join(map(share, hits)) + " |" for name, hits in rows.items()]
    z = np.array([d.bulk_shift / d.bulk_shift_error for d in known[0]])
    return [
        *lines,
        "",
        f"Shift of the scale over its stated error: mean {z.mean():.2f}, standard deviation {z.std():.2f}.",
    ]


def level() -> float:
    return float(diagnose([1.0], (ROWS, COLUMNS), STD).threshold)


def spikes(seeds: int) -> tuple[list[str], dict[str, np.ndarray]]:
    """The planted three; the matrices of the first five seeds are kept for the peer."""
    lines = ["| three spikes expected at | | three found | counts | bulk unchanged |", "|-|-|-|-|-|"]
    kept = {}
    for strengths in STRENGTHS:
        matrices = [planted(np.random.default_rng(seed), tuple(level() * np.array(strengths))) for seed in range(seeds)]
        kept |= {f"{strengths} {seed}": matrix.astype(np.float32) for seed, matrix in enumerate(matrices[:5])}
        spectra = [singular_values(matrix) for matrix in matrices]
        for name, std in (("std known", STD), ("std fitted", None)):
            found = [diagnose(s, (ROWS, COLUMNS), std) for s in spectra]
            counts, states = [d.separated for d in found], [d.bulk in ("unchanged", "undeformed") for d in found]
            lines.append(
                f"| {', '.join(map(str, strengths))} × level | {name} | {counts.count(3)} of {seeds} "
                f"| {', '.join(map(str, sorted(set(counts))))} | {sum(states)} of {seeds} |"
            )
    return lines, kept


def power(draws: int) -> tuple[list[str], np.ndarray]:
    """How often one spike is found, by the strength it is expected at."""
    rng, shape, hits = np.random.default_rng(3), (ROWS, COLUMNS), []
    for strength in POWER:
        spectra = [singular_values(planted(rng, (level() * strength,))) for _ in range(draws)]
        known = [diagnose(s, shape, STD) for s in spectra]
        fitted = [diagnose(s, shape) for s in spectra]
        hits.append([[d.count > 0 for d in known], [d.separated > 0 for d in fitted], [d.gap > 0 for d in known]])
    lines = ["| expected value/level | std known, % | std fitted, % | by a gap alone, % |", "|-|-|-|-|"]
    lines += [f"| {x} | " + " | ".join(map(share, row)) + " |" for x, row in zip(POWER, hits, strict=True)]
    return lines, np.array([[np.mean(row) for row in triple] for triple in hits])


def bulks(quick: bool) -> list[str]:
    """Bulks that training with many outputs deforms."""
    cases = ((1, 10), (4, 10), (25, 10), (100, 3), (100, 10), (100, 30), (200, 3), (200, 10), (200, 30))
    lines = ["| outputs | steps | bulk | shift, % | above initial level | separated | gap |", "|-|-|-|-|-|-|-|"]
    for outputs, steps in cases[:1] if quick else cases:
        d = diagnose(many_outputs(outputs, steps), (400, 400), 400**-0.5)
        shift = f"{100 * d.bulk_shift:.1f} ± {100 * d.bulk_shift_error:.1f}"
        lines.append(f"| {outputs} | {steps} | {d.bulk} | {shift} | {d.count} | {d.separated} | {d.gap} |")
    return lines


def peer(python: str | None, kept: dict[str, np.ndarray], noises: int) -> list[str]:
    """weightwatcher's counts of the same spikes, and on pure noise."""
    if python is None:
        return ["weightwatcher: not run; `--peer-python PATH` names an interpreter that has it."]
    rng = np.random.default_rng(4)
    kept = kept | {f"noise {i}": gaussian(rng).astype(np.float32) for i in range(noises)}
    script = Path(__file__).parent / "_weightwatcher_peer.py"
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "matrices.npz", Path(folder) / "counts.json"
        np.savez(source, **kept)
        subprocess.run([python, str(script), str(source), str(target)], check=True, capture_output=True)
        found = json.loads(target.read_text())
    ours = {name: diagnose(singular_values(m.astype(np.float64)), m.shape, STD).count for name, m in kept.items()}
    fit = {name: diagnose(singular_values(m.astype(np.float64)), m.shape).separated for name, m in kept.items()}
    rows = {"diagnose, std known": ours, "diagnose, std fitted": fit}
    rows[f"weightwatcher {found['version']}, `mp_fit`: num_spikes"] = {k: v[0] for k, v in found["counts"].items()}
    rows["weightwatcher, above `max_rand_eval`"] = {k: v[1] for k, v in found["counts"].items()}
    kinds = [*map(str, STRENGTHS), "noise"]
    lines = ["| | " + " | ".join(f"spikes at {kind}" for kind in kinds[:-1]) + " | noise with any |", "|-|-|-|-|"]
    for name, counts in rows.items():
        groups = [[counts[key] for key in counts if key.startswith(kind)] for kind in kinds]
        cells = [", ".join(map(str, group)) for group in groups[:-1]]
        cells.append(f"{sum(count > 0 for count in groups[-1])} of {len(groups[-1])}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def draw(hits: np.ndarray) -> None:
    figure = Figure(figsize=(8.4, 5.6), layout="constrained")
    axes = figure.subplots(2, 2)
    rng = np.random.default_rng(400)
    noise = np.linalg.svd(rng.standard_normal((400, 400)) / 20, compute_uv=False)
    cases = (
        ("4 outputs", many_outputs(4, 10)),
        ("noise × √1.2", 1.2**0.5 * noise),
        ("200 outputs", many_outputs(200, 10)),
    )
    for axis, (name, s) in zip(axes.flat, cases, strict=False):
        found = diagnose(s, (400, 400), 400**-0.5)
        axis.hist(s, bins=60, density=True, color="0.8")
        grid = np.linspace(0, max(2.05, found.bulk_std * 40 + 0.05), 400)
        axis.plot(grid, nl.laws.QuarterCircle(400, 400, 400**-0.5).pdf(grid), "C0", label="initial law")
        axis.plot(grid, nl.laws.QuarterCircle(400, 400, found.bulk_std).pdf(grid), "C3--", label="fitted scale")
        axis.axvline(found.threshold, color="C0", lw=0.8, ls=":", label="initial level")
        axis.set(title=f"{name}: {found.bulk}, {found.count} above level, {found.separated} separated", xlabel="s")
        axis.title.set_size(9)
    axes[0, 0].legend(frameon=False, fontsize=8)
    for column, (name, style) in enumerate((("std known", "C0o-"), ("std fitted", "C3s--"), ("gap alone", "0.5"))):
        axes[1, 1].plot(POWER, hits[:, column], style, ms=3, label=name)
    axes[1, 1].set(xlabel="expected value of a spike / level", ylabel="found", ylim=(-0.03, 1.03))
    axes[1, 1].legend(frameon=False, fontsize=8)
    figure.savefig(FIGURES / "diagnosis.png", dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--peer-python")
    asked = parser.parse_args()
    quick = asked.quick
    lines = [
        f"Machine: {machine()}",
        "",
        f"{ROWS} x {COLUMNS}, std 1/sqrt({ROWS}). Shares with binomial errors, in %.",
        "",
    ]
    for name, entries, count in (("Gaussian", gaussian, 1000), ("uniform", uniform, 400)):
        count = count // 50 if quick else count
        lines += [f"False alarms, {count} matrices of {name} entries:", "", *false_alarms(entries, count), ""]
    text, kept = spikes(1 if quick else 20)
    table, hits = power(1 if quick else 200)
    lines += [
        *text,
        "",
        *table,
        "",
        "The first five seeds of three spikes each, and noise:",
        "",
        *peer(asked.peer_python, kept, 2 if quick else 20),
        "",
    ]
    lines += ["Hidden matrices (400 x 400) trained with a fixed readout, false alarm .01:", "", *bulks(quick)]
    told = {
        f"one spike at {strength} × level found": f"{100 * hits[POWER.index(strength), 0]:.0f} % (std known)"
        for strength in (1.0, 1.02)
    }
    write("diagnosis-quick" if quick else "diagnosis", lines, told)
    if not quick:
        draw(hits)


if __name__ == "__main__":
    main()
