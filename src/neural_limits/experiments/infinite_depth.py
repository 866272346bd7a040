"""Infinite depth: finite residual networks approach Neural Feature Dynamics, and at what rates."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array
from matplotlib.figure import Figure
from numpy import ndarray

from ..limits import infinite_depth as nfd
from ..networks import resolve_activation, value_and_slope
from ..tasks import toy
from ._experiment import Experiment, Mean, Result, Say, Verdict, decide, mean_of, standard_errors
from ._slopes import label_sizes, signed, slope_over, slope_verdict

SOURCE = "arXiv 2512.21075"
TASK = toy(samples=4, inputs=8, seed=7, labels="sine")
RATES = {"tanh": 0.5, "relu": 0.2, "linear": 0.2}
SHARES = np.linspace(0, 1, 5)  # of depth, where kernels are compared
MEANS = ("outputs", "loss", "feature kernel", "gradient kernel")  # differences averaged with their sign
PATHS = ("h_1, every neuron", "g_0, every neuron")  # differences squared neuron by neuron, at the last step


def run(quick: bool, say: Say) -> Result:
    """Exact linear theory, finite networks of tanh and relu, and the untrained network, each with its rates."""
    verdict: list[Verdict] = []
    data: dict[str, Any] = {}
    say("linear: exact theory over depth")
    verdict += _linear_rates(data)
    verdict += _linear_against_networks(quick, say)
    depths = (4, 8, 16, 32) if quick else (4, 8, 16, 32, 64)
    seeds, width = (12, 2048) if quick else (48, 8192)
    ladders = {}
    for activation in ("tanh",) if quick else ("tanh", "relu"):
        ladders[activation] = ladder(activation, depths, width, 2, seeds, say)
        verdict += _rate_verdicts(activation, depths, ladders[activation], data)
    say("untrained networks: paths that share their noise")
    verdict += _initial_verdicts(quick, data)
    verdict += _kernels_verdict(ladders["tanh"], depths)
    verdict += _gap_verdicts(quick, say)
    figure = _figure(depths, ladders, data)
    captions = {
        "rates": "Left: differences between depth L and 2L along the same noise, averaged over seeds with their sign, "
        "against L. Right: mean-square error of untrained paths against depth and width."
    }
    return Result(xr.Dataset(data), verdict, {"rates": figure}, captions)


def _linear_rates(data: dict[str, Any]) -> list[Verdict]:
    depths = (32, 64, 128, 256)
    outputs = [nfd.linear(TASK.x, TASK.y, steps=4, lr=0.2, depth=depth).data.outputs.values for depth in depths]
    limit = nfd.linear(TASK.x, TASK.y, steps=4, lr=0.2).data
    gaps = [float(np.abs(f - limit.outputs.values).max()) for f in outputs]
    slope = float(np.polyfit(np.log(depths), np.log(gaps), 1)[0])
    data["linear_gap"] = ("linear_depth", gaps, {"long_name": "largest |f - f at infinite depth|", "units": "output"})
    data["linear_depth"] = ("linear_depth", list(depths))
    claim = "linear, exact: outputs approach the limit at rate 1/L"
    measured = f"slope {slope:.3f} over L = 32 to 256; loss at L = ∞: {np.round(limit.loss.values, 6).tolist()}"
    return [Verdict(claim, SOURCE, measured, "-1 within 0.1", decide(abs(slope + 1) < 0.1))]


def _linear_against_networks(quick: bool, say: Say) -> list[Verdict]:
    """The theory at finite depth against wide networks, and in the limit against the particle solver."""
    seeds, rows = (6 if quick else 16), []
    for backward in ("reused", "decoupled"):
        say(f"linear: theory against networks, {backward}")
        found = nfd.solve(
            TASK, "linear", steps=3, lr=0.2, particles=4096, depths=(8, 16) if quick else (8, 16, 32), seeds=seeds,
            backward=backward,
        ).data  # fmt: skip
        for depth in (8, 16):
            exact = nfd.linear(TASK.x, TASK.y, steps=3, lr=0.2, depth=depth, backward=backward).data.loss.values
            at = found.sel(depth=depth)
            z = np.abs(at.loss_at.values - exact)[1:] / at.loss_at_stderr.values[1:]
            rows.append(_agreement(f"linear, {backward}, L = {depth}: theory is the mean of wide networks", z))
        exact = nfd.linear(TASK.x, TASK.y, steps=3, lr=0.2, backward=backward).data.loss.values
        error = np.hypot(found.loss_stderr.values, np.nan_to_num(found.loss_truncation.values))
        rows.append(
            _agreement(
                f"linear, {backward}, L = ∞: theory is the extrapolated particle solution",
                np.abs(found.loss.values - exact)[1:] / error[1:],
            )
        )
    return rows


def _agreement(claim: str, z: ndarray) -> Verdict:
    values = ", ".join(f"{v:.1f}" for v in z)
    return Verdict(
        claim, SOURCE, f"loss at steps 1..{len(z)}: {values} standard errors", "below 3", decide(z.max() < 3)
    )


def ladder(activation: str, depths: tuple[int, ...], width: int, steps: int, seeds: int, say: Say) -> dict[str, Any]:
    """Networks of all depths along the same noise.

    For each quantity the differences between neighbouring depths, a list over depths of (seed, ...) arrays; and
    "untrained kernels", both kernels (seed, time) of the deepest network before training.
    """
    found: dict[str, Any] = {name: [[] for _ in depths[1:]] for name in (*MEANS, *PATHS)}
    found["untrained kernels"] = []
    x, y = jnp.asarray(TASK.x), jnp.asarray(TASK.y[:, 0])
    for seed in range(seeds):
        if seed % 8 == 0:
            say(f"{activation}: {seed} of {seeds} networks of width {width} at L = {', '.join(map(str, depths))}")
        finest = nfd.draw_noise(jax.random.key(seed), depths[-1], (steps + 1) * TASK.samples, TASK.inputs, width)
        previous = None
        for i, depth in enumerate(depths):
            one = _observed(activation, nfd.coarser(finest, depth), steps, x, y)
            if previous is not None:
                for name in MEANS:
                    found[name][i - 1].append(previous[name] - one[name])
                for name in PATHS:
                    found[name][i - 1].append(np.mean((previous[name] - one[name]) ** 2))
            previous = one
        first = slice(None), slice(TASK.samples), slice(TASK.samples)
        found["untrained kernels"].append([one[f"{k} kernel"][first].mean((1, 2)) for k in ("feature", "gradient")])
    return {name: _stacked(values) for name, values in found.items()}


def _stacked(values: list[Any]) -> Any:
    return [np.stack(v) for v in values]


def _observed(activation: str, noise: nfd.Noise, steps: int, x: Array, y: Array) -> dict[str, ndarray]:
    found = nfd.paths(x, y, noise, activation=activation, steps=steps, lr=RATES[activation])
    layers = np.round(SHARES * (len(found.h) - 1)).astype(int)
    outputs = np.asarray(found.outputs, float)
    return {
        "outputs": outputs[1:],
        "loss": ((outputs - TASK.y[:, 0]) ** 2).mean(1)[1:] / 2,
        "feature kernel": nfd.gram(resolve_activation(activation)(found.h[layers])),
        "gradient kernel": nfd.gram(found.g[layers]),
        "h_1, every neuron": np.asarray(found.h[-1, -1]),
        "g_0, every neuron": np.asarray(found.g[0, -1]),
    }


def _rate_verdicts(
    activation: str, depths: tuple[int, ...], found: dict[str, Any], data: dict[str, Any]
) -> list[Verdict]:
    rows = []
    coarse = depths[:-1]
    data["depth"] = ("depth", list(coarse))
    for name in MEANS:
        slope = slope_over(coarse, found[name], signed)
        rows.append(slope_verdict(f"{activation}, trained: {name}: error O(1/L)", SOURCE, slope, -1.0))
        key = f"{activation}_{name.replace(' ', '_')}_gap"
        data[key] = ("depth", signed(found[name]), {"long_name": f"rms difference of {name}, L and 2L", "units": "1"})
    for name in PATHS:
        slope = slope_over(coarse, found[name], _each_mean)
        rate = -0.5 if activation == "relu" and name.startswith("g") else -1.0
        claim = f"{activation}, trained: {name}: mean-square error O(L^{rate:g})"
        rows.append(slope_verdict(claim, SOURCE, slope, rate, bound=True))
        key = f"{activation}_{name[0]}_mean_square"
        data[key] = ("depth", _each_mean(found[name]), {"long_name": f"mean square difference of {name}", "units": "1"})
    return rows


def _initial_verdicts(quick: bool, data: dict[str, Any]) -> list[Verdict]:
    """Mean-square error of untrained paths in depth (L against 2L, same noise) and in width (n against ∞)."""
    rows: list[Verdict] = []
    depths, copies = (8, 16, 32, 64), 4 if quick else 16
    expected = {"tanh": -1.0, "relu": -0.5}
    for activation, rate in expected.items():
        found = [_depth_errors(activation, depths, 4000, seed) for seed in range(copies)]
        h, g = (np.stack([f[i] for f in found]).T for i in (0, 1))
        slope = slope_over(depths, list(g), _each_mean)
        claim = f"{activation}, untrained: mean-square error of g_0 in depth"
        claim += " is O(1/L)" if activation == "tanh" else " is only O(L^-1/2): φ' jumps"
        rows.append(slope_verdict(claim, SOURCE, slope, rate))
        data[f"initial_{activation}_g"] = ("initial_depth", g.mean(1))
        data[f"initial_{activation}_h"] = ("initial_depth", h.mean(1))
    data["initial_depth"] = ("initial_depth", list(depths))
    widths = (64, 128, 256, 512, 1024)
    total = 8192 if quick else 65_536
    errors = [np.array([_width_error("tanh", 16, n, seed) for seed in range(total // n)]) for n in widths]
    for i, name in enumerate(("h_1", "g_0")):
        slope = slope_over(widths, [e[:, i] for e in errors], _each_mean)
        rows.append(
            slope_verdict(f"tanh, untrained: mean-square error of {name} in width is O(1/n)", SOURCE, slope, -1.0)
        )
        data[f"initial_width_{name[0]}"] = ("initial_width", np.array([e[:, i].mean() for e in errors]))
    data["initial_width"] = ("initial_width", list(widths))
    return rows


def _each_mean(samples: list[ndarray]) -> ndarray:
    return np.array([s.mean() for s in samples])


@cache
def _kernels(activation: str, depth: int) -> tuple[ndarray, ndarray]:
    """Φ_l and G_{l+1}, l = 0..L-1, of infinite width."""
    kernels = nfd.kernels_at_init(TASK.x, activation, depth=depth)
    return kernels.feature_kernel.values[:-1], kernels.gradient_kernel.values[1:]


def _root(kernel: ndarray) -> ndarray:
    """A symmetric square root: continuous in the kernel, unlike a Cholesky factor near singular ones."""
    values, vectors = np.linalg.eigh(kernel)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def _path(
    activation: str, h: ndarray, g: ndarray, up: ndarray, down: ndarray, kernels: tuple[ndarray, ndarray] | None
) -> tuple[ndarray, ndarray]:
    """h_L and g_0 of the untrained network from noises (L, P, n); its own kernels where none are given."""
    phi, depth = resolve_activation(activation), len(up)
    slopes = []
    for l in range(depth):
        value, slope = (np.asarray(a) for a in value_and_slope(phi, jnp.asarray(h)))
        slopes.append(slope)
        kernel = value @ value.T / h.shape[1] if kernels is None else kernels[0][l]
        h = h + depth**-0.5 * (_root(kernel) @ up[l])
    for l in range(depth - 1, -1, -1):
        kernel = g @ g.T / g.shape[1] if kernels is None else kernels[1][l]
        g = g + depth**-0.5 * slopes[l] * (_root(kernel) @ down[l])
    return h, g


def _depth_errors(activation: str, depths: tuple[int, ...], particles: int, seed: int) -> tuple[ndarray, ndarray]:
    """Mean-square differences of h_L and g_0 between L and 2L along the same Brownian paths."""
    rng = np.random.default_rng(seed)
    samples, finest = TASK.samples, 2 * depths[-1]
    noise = rng.standard_normal((2, finest, samples, particles)).astype(np.float32)
    h = (TASK.x / TASK.inputs**0.5) @ rng.standard_normal((TASK.inputs, particles))
    g = np.broadcast_to(rng.standard_normal(particles), h.shape)
    ends = {}
    for depth in (*depths, finest):
        up, down = noise.reshape(2, depth, finest // depth, samples, particles).sum(2) * (depth / finest) ** 0.5
        ends[depth] = _path(activation, h, g, up, down, _kernels(activation, depth))
    gaps = [[np.mean((ends[d][i] - ends[2 * d][i]) ** 2) for d in depths] for i in (0, 1)]
    return np.array(gaps[0]), np.array(gaps[1])


def _width_error(activation: str, depth: int, width: int, seed: int) -> tuple[float, float]:
    """Mean-square differences of h_L and g_0 between width n and ∞ with the same noise."""
    rng = np.random.default_rng((seed, width))
    up, down = rng.standard_normal((2, depth, TASK.samples, width))
    h = (TASK.x / TASK.inputs**0.5) @ rng.standard_normal((TASK.inputs, width))
    g = np.broadcast_to(rng.standard_normal(width), h.shape)
    finite = _path(activation, h, g, up, down, None)
    limit = _path(activation, h, g, up, down, _kernels(activation, depth))
    return float(np.mean((finite[0] - limit[0]) ** 2)), float(np.mean((finite[1] - limit[1]) ** 2))


def _kernels_verdict(found: dict[str, Any], depths: tuple[int, ...]) -> list[Verdict]:
    """Kernels of untrained networks: quadrature against particles."""
    kernels = nfd.kernels_at_init(TASK.x, "tanh", depth=depths[-1])
    layers = np.round(SHARES * depths[-1]).astype(int)
    samples = np.stack(found["untrained kernels"])  # seed, kernel, time
    rows = []
    for i, (name, exact) in enumerate((("feature", kernels.feature_kernel), ("gradient", kernels.gradient_kernel))):
        target = exact.values[layers].mean((1, 2))
        last = len(layers) - i  # at t = 1 the gradient kernel is v·v, one
        z = np.array([standard_errors(mean_of(samples[:, i, t]), Mean(target[t], 0.0)) for t in range(last)])
        rows.append(_kernel_row(f"{name} kernel", z))
    return rows


def _kernel_row(name: str, z: ndarray) -> Verdict:
    claim = f"tanh, untrained: {name} by quadrature is that of wide networks"
    return Verdict(claim, SOURCE, f"largest {z.max():.1f} standard errors over t", "below 3.5", decide(z.max() < 3.5))


def _gap_verdicts(quick: bool, say: Say) -> list[Verdict]:
    """Whether the decoupled network has the same limit (gradient independence during training)."""
    rows = []
    for frozen, reference in ((False, 0.2885), (True, 0.2365)):
        rate = 0.0 if frozen else None
        both = [
            nfd.linear(TASK.x, TASK.y, lr=0.2, lr_input=rate, lr_output=rate, backward=b).data.outputs
            for b in ("reused", "decoupled")
        ]
        gap = float(np.abs(both[0] - both[1]).max())
        name = "hidden weights alone trained" if frozen else "all weights trained"
        claim = f"linear, L = ∞, {name}: independent backward weights give the same training"
        measured = f"largest difference of outputs {gap:.4f} over steps 0..4 (an independent code: {reference})"
        rows.append(
            Verdict(claim, SOURCE + ": gradient independence is restored", measured, "none", decide(gap < 1e-6))
        )
    say("tanh: reused against decoupled in the limit")
    size: dict[str, Any] = {"particles": 2048, "depths": (8, 16), "seeds": 6} if quick else {}
    found = [nfd.solve(TASK, "tanh", steps=3, lr=0.5, backward=b, **size).data for b in ("reused", "decoupled")]
    z = np.abs(found[0].loss - found[1].loss) / np.hypot(found[0].loss_stderr, found[1].loss_stderr)
    pairs = [str(Mean(float(f.loss[1]), float(f.loss_stderr[1]))) for f in found]
    measured = f"loss at step 1: {pairs[0]} reused, {pairs[1]} decoupled; largest {float(z.max()):.1f} standard errors"
    claim = "tanh, L = ∞: independent backward weights give the same training"
    rows.append(
        Verdict(claim, SOURCE + ": gradient independence is restored", measured, "below 3", decide(float(z.max()) < 3))
    )
    return rows


def _figure(depths: tuple[int, ...], ladders: dict[str, Any], data: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(10, 4), layout="constrained")
    rates, initial = figure.subplots(1, 2)
    for i, activation in enumerate(ladders):
        for name, marker in zip(MEANS, "osd^", strict=True):
            gap = data[f"{activation}_{name.replace(' ', '_')}_gap"][1]
            rates.loglog(depths[:-1], gap, marker=marker, color=f"C{i}", lw=1, ms=4, label=f"{activation}: {name}")
    line = np.array(depths[:-1], float)
    rates.loglog(line, 0.6 * line[0] / line * rates.get_ylim()[1], color="0.6", ls="--", lw=1, label="1/L")
    rates.set(xlabel="depth L", ylabel="|difference of L and 2L|", title="trained networks")
    label_sizes(rates, depths[:-1])
    rates.set_ylim(rates.get_ylim()[0] / 8, None)  # room for the legend
    rates.legend(frameon=False, fontsize=7, ncols=2, loc="lower left")
    for activation in ("tanh", "relu"):
        initial.loglog(
            data["initial_depth"][1], data[f"initial_{activation}_g"][1], "o-", ms=4, label=f"{activation}: g, over L"
        )
    initial.loglog(data["initial_width"][1], data["initial_width_g"][1], "s--", ms=4, label="tanh: g, over n (L = 16)")
    initial.set(xlabel="depth L or width n", ylabel="mean-square error of g_0", title="untrained networks")
    initial.legend(frameon=False, fontsize=8)
    return figure


INFINITE_DEPTH = Experiment(
    "infinite-depth",
    "Residual networks under depth-muP approach Neural Feature Dynamics at rate 1/L, and independent backward weights "
    "do not give the same limit.",
    SOURCE,
    2,
    7,
    run,
)
