"""SpectralMonitor: top singular values beside torch.linalg.svdvals and SciPy, and its share of a GPT's training time.

Matrices of 4096 x 4096 (--quick: 1024): noise, noise with six outliers, the noise a little later (warm). Best of three
(svdvals: two; SciPy's svds, to 1e-4 in σ², warm from its last vector: one), float32. Then a GPT of 6 blocks (--quick:
2), monitored every 50 updates (--quick: 10), on batches of 16 x 128 tokens.

    python benchmarks/monitor.py [--quick]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import svds
from torch import Tensor

from _common import machine, write
from neural_limits.torch import SpectralMonitor
from neural_limits.torch._lanczos import leading_singular_values
from neural_limits.torch._quadrature import spectrum_quantiles
from neural_limits.torch._small_models import GPT, next_symbol_loss

SYMBOLS, TOKENS = 96, 128


def best(run: Callable[[], Any], repeats: int = 3) -> tuple[float, Any]:
    """Least seconds, and the last result."""
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - began)
    return min(seconds), result


def singular_values(size: int) -> tuple[list[str], dict[str, str]]:
    """Times and largest relative errors of the top eight, and the headlines."""
    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    bulk = noise(size, size) / size**0.5
    left, right = (torch.linalg.qr(noise(size, 6))[0] for _ in range(2))
    outliers = bulk + left * torch.tensor([30.0, 10.0, 5.0, 3.0, 2.0, 1.5]) @ right.mT
    later = bulk + 1e-3 * noise(size, size) / size**0.5
    start = leading_singular_values(bulk, 8).subspace
    lines = [
        f"Top 8 singular values, {size} x {size}:", "",
        "| | svdvals, s | svds, s | Lanczos, s | faster than svdvals | than svds | products | error | error of svds |",
        "|-|-|-|-|-|-|-|-|-|",
    ]  # fmt: skip
    told = {}
    last = np.ones(size, np.float32)
    for name, matrix, begun in (("noise", bulk, None), ("six outliers", outliers, None), ("noise, warm", later, start)):
        dense, exact = best(lambda m=matrix: torch.linalg.svdvals(m), 2)
        restarted, (_, peer, right) = best(lambda m=matrix, v=last: svds(m.numpy(), k=8, tol=1e-4, v0=v), 1)
        seconds, found = best(lambda m=matrix, b=begun: leading_singular_values(m, 8, start=b))
        last = right[-1] if name == "noise" else last
        reference = exact[:8].double().numpy()
        errors = [np.abs(values / reference - 1).max() for values in (found.values, np.sort(peer)[::-1])]
        lines.append(
            f"| {name} | {dense:.2f} | {restarted:.2f} | {seconds:.2f} | {dense / seconds:.1f} | "
            f"{restarted / seconds:.1f} | {found.products} | {errors[0]:.1e} | {errors[1]:.1e} |"
        )
        told[f"top 8 singular values of {size} x {size}, {name}"] = (
            f"{dense / seconds:.1f} times faster than svdvals, {restarted / seconds:.1f} than svds"
        )
    seconds, _ = best(lambda: spectrum_quantiles(bulk, np.array([0.5])))
    return [*lines, "", f"Quantiles by quadrature: {seconds:.2f} s."], told


def overhead(width: int, blocks: int, measurements: int, every: int = 50) -> list[str]:
    """The monitor's own time beside that of the training it watches."""
    torch.manual_seed(0)
    model = GPT(width, blocks, SYMBOLS, TOKENS)
    opt = torch.optim.AdamW(model.parameters(), lr=1e-3)
    monitor = SpectralMonitor(model, every=every, top=8, optimizer=opt)
    monitor.measure()  # levels of the laws are computed once
    before, began = monitor.seconds, time.perf_counter()
    for _ in range(measurements * every):
        tokens = torch.randint(0, SYMBOLS, (16, TOKENS + 1))
        opt.zero_grad()
        loss = next_symbol_loss(model, tokens)
        loss.backward()
        opt.step()
        monitor.step(loss)
    total = time.perf_counter() - began
    spent = monitor.seconds - before
    share = 100 * spent / (total - spent)
    size = sum(p.numel() for p in model.parameters()) / 1e6
    return [
        f"GPT of width {width}, {blocks} blocks, {size:.1f} M parameters, {len(monitor.init_std)} matrices, "
        f"{measurements * every} updates of 2048 tokens: {1e3 * (total - spent) / measurements / every:.0f} ms each, "
        f"{spent / measurements:.2f} s a measurement; every {every} updates {share:.1f} % of the training time."
    ]  # fmt: skip


def main(quick: bool) -> None:
    lines = [f"Machine: {machine()}; torch {torch.__version__}, {torch.get_num_threads()} threads", ""]
    values, told = singular_values(1024 if quick else 4096)
    lines += [*values, ""]
    lines += overhead(64, 2, 1, 10) if quick else [*overhead(128, 4, 2), "", *overhead(256, 6, 1)]
    write("monitor-quick" if quick else "monitor", lines, told)


if __name__ == "__main__":
    main("--quick" in sys.argv[1:])
