"""All benchmarks, each in a process of its own, one table of their headlines, and the documentation's tables.

    python benchmarks/suite.py [--quick] [--only NAME ...] [--peer-python PATH ...] [--list]

--quick: everything at small sizes, in seven minutes on two cores; its results are the files named *-quick. Peers are
looked for in this interpreter, in those named by --peer-python, and in .peers/*, which `make peers` sets up. What lacks
its peer is left out, or runs without it, and says so. Ends with 1 if a benchmark failed, and names it.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from _common import FIGURES, RESULTS, headlines_of
from _docs import refresh

HERE = Path(__file__).parent
LONG = 60  # minutes: beyond it a benchmark runs only where it is named
QUICK_MINUTES = 1.0  # at most, unless the machine is busy
OWN = "neural_limits", "jax", "equinox"  # what every benchmark imports
PATIENCE = 10  # times what is expected, before a benchmark counts as hung


class Benchmark(NamedTuple):
    """A script, what it measures, its minutes on two cores, its files, and the modules that it needs.

    ``needs``: in the interpreter that runs it, beside this package; ``peers``: in one that it is told of.
    """

    name: str
    measures: str
    minutes: float
    results: str
    figure: str = ""
    needs: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()
    alone: bool = True  # whether it is worth running without its peers


BENCHMARKS = (
    Benchmark("ceilings", "conditioned products against the machine's bandwidth and flops", 9, "ceilings", "ceilings"),
    Benchmark("speed", "conditioned against dense in JAX over width; slope; compilations", 5, "speed", "speed"),
    Benchmark(
        "against_dense", "conditioned against dense in JAX and PyTorch over width, depth, samples, steps; peak memory",
        20, "against-dense", "against-dense",
    ),
    Benchmark("products", "the two forms of products inside the weights", 1, "products"),
    Benchmark(
        "touched_rank", "touched rank, cost and error over tolerance, samples, steps", 6, "touched-rank", "touched-rank"
    ),
    Benchmark("depth", "residual networks over depth and width; compile time over depth", 2, "depth", "depth"),
    Benchmark("muon", "Muon on conditioned weights in law; width 1,000,000", 10, "muon"),
    Benchmark("sharding", "one network over 1 to 8 forced devices: numbers, bytes, traffic", 6, "sharding"),
    Benchmark(
        "accuracy_for_cost", "the cheapest of one wide run, many seeds, a limit solver, for each target error", 5,
        "accuracy-for-cost", "accuracy-for-cost",
    ),
    Benchmark("advisor", "largest stable rate over width under each parametrization", 5, "advisor"),
    Benchmark("deep_linear", "deep linear solver over steps; grids; spectra", 2, "deep-linear", "deep-linear-speed"),
    Benchmark(
        "laws", "laws over points and against freealg and scikit-rmt", 10, "laws", "laws", peers=("freealg", "skrmt")
    ),
    Benchmark(
        "diagnosis", "false alarms and power of outlier counts, against weightwatcher", 10, "diagnosis", "diagnosis",
        peers=("weightwatcher",),
    ),
    Benchmark(
        "monitor", "top singular values against svdvals and SciPy; the monitor's share of training", 3, "monitor",
        needs=("torch",),
    ),
    Benchmark(
        "curvature", "leading curvature eigenvalues against curvlinops and SciPy", 5, "curvature", needs=("torch",),
        peers=("curvlinops",),
    ),
    Benchmark(
        "kernels", "kernels at initialisation against neural-tangents", 5, "kernels", peers=("neural_tangents",),
        alone=False,
    ),
    Benchmark("mup_peer", "parametrized PyTorch models against mup, step by step", 1, "mup", needs=("torch", "mup")),
    Benchmark(
        "transfer_check", "planted mistakes that transfer_check finds", 12, "transfer-check", needs=("torch",)
    ),
    Benchmark("audit", "neural-limits audit of single matrices: time and memory", 3, "audit"),
    Benchmark("sweeps", "sweeps under kill -9; overhead; status of 10,000 trials", 10, "sweeps"),
    Benchmark(
        "gpt_rates", "best learning rate of a small GPT over widths", 120, "gpt-rates", "gpt-rates", needs=("torch",)
    ),
)  # fmt: skip


class Outcome(NamedTuple):
    """done, failed or skipped, after so many seconds, and why."""

    state: str
    seconds: float
    why: str = ""


def missing(modules: Sequence[str], python: str = sys.executable) -> list[str]:
    """Those of the modules that an interpreter has not, by its own search; all of them if it does not start."""
    ask = "import importlib.util as u, sys; print(*(m for m in sys.argv[1:] if u.find_spec(m) is None))"
    try:
        done = subprocess.run([python, "-c", ask, *modules], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return list(modules)
    return done.stdout.split()


def interpreter(peers: Sequence[str], pythons: Sequence[str]) -> str | None:
    """The first interpreter that has all the peers."""
    return next((python for python in pythons if not missing(peers, python)), None)


def run(
    benchmark: Benchmark, quick: bool, pythons: Sequence[str], log: Path, running: set[subprocess.Popen[bytes]],
    cpu: int | None = None,
) -> Outcome:  # fmt: skip
    """One benchmark to its end, on one ``cpu`` or all, its output in the log; until then among the ``running``."""
    home = interpreter((*OWN, *benchmark.needs), pythons)
    if home is None:
        return Outcome("skipped", 0, f"not installed: {', '.join(missing((*OWN, *benchmark.needs)))}")
    command, why = [home, str(HERE / f"{benchmark.name}.py"), *(["--quick"] if quick else [])], ""
    if benchmark.peers:
        found = interpreter(benchmark.peers, pythons)
        command += ["--peer-python", found] if found else []
        why = "" if found else f"no interpreter has {', '.join(benchmark.peers)}"
        if not found and not benchmark.alone:
            return Outcome("skipped", 0, why)
    allowed = 60 * PATIENCE * (QUICK_MINUTES if quick else max(benchmark.minutes, QUICK_MINUTES))
    begun = time.perf_counter()
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
        if cpu is not None:
            os.sched_setaffinity(process.pid, {cpu})
        running.add(process)
        try:
            code = process.wait(allowed)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            code, why = -1, f"stopped after {allowed / 60:.0f} minutes"
        running.discard(process)
    seconds = time.perf_counter() - begun
    return Outcome("failed" if code else "done", seconds, why or (f"exit status {code}" if code else ""))


def run_all(todo: list[Benchmark], quick: bool, pythons: Sequence[str], logs: Path) -> dict[str, Outcome]:
    """One after the other, or one a processor if ``quick``, as its times mean nothing; what stops this stops all."""
    running: set[subprocess.Popen[bytes]] = set()
    free: SimpleQueue[int | None] = SimpleQueue()
    for cpu in os.sched_getaffinity(0) if quick and hasattr(os, "sched_getaffinity") else [None]:
        free.put(cpu)
    at_once = free.qsize()

    def told(i: int, one: Benchmark) -> Outcome:
        expected = "" if quick else f", about {one.minutes:g} min"
        print(f"[{i}/{len(todo)}] {one.name}: {one.measures}{expected}", flush=True)
        log = logs / f"{one.name}.log"
        cpu = free.get()
        outcome = run(one, quick, pythons, log, running, cpu)
        free.put(cpu)
        why = f": {outcome.why}" if outcome.why else ""
        tail = log.read_text(errors="replace").splitlines()[-15:] if outcome.state == "failed" else []
        print("\n".join([f"        {one.name}: {outcome.state} after {outcome.seconds:.0f} s{why}", *tail]), flush=True)
        return outcome

    with ThreadPoolExecutor(at_once) as pool:
        try:
            outcomes = list(pool.map(told, range(1, len(todo) + 1), todo))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(running):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    return {one.name: outcome for one, outcome in zip(todo, outcomes, strict=True)}


def summary(quick: bool, outcomes: dict[str, Outcome]) -> str:
    """The table of all results there are, those of earlier runs too."""
    suffix = "-quick" if quick else ""
    lines = [
        "# Benchmarks", "",
        "Sizes too small to mean anything: this says that everything runs." if quick else
        "The headlines of each file here; `make bench` makes them all. How to read them: [NOTES](../NOTES.md).", "",
        "| benchmark | what | value | measured |", "|-|-|-|-|",
    ]  # fmt: skip
    machines, versions, figures = [], [], []
    for benchmark in BENCHMARKS:
        file = RESULTS / f"{benchmark.results}{suffix}.md"
        if not file.exists() or (quick and benchmark.name not in outcomes):
            continue
        text = file.read_text()
        stamp = next((line for line in text.splitlines() if line.startswith("Measured ")), "Measured , before dates")
        date, _, known = stamp.removeprefix("Measured ").partition("; ")
        machines += [line.removeprefix("Machine: ") for line in text.splitlines() if line.startswith("Machine: ")]
        versions += [known] if known else []
        for i, (what, value) in enumerate(headlines_of(text).items()):
            lines.append(f"| {'' if i else f'[{benchmark.name}]({file.name})'} | {what} | {value} | {date} |")
        if benchmark.figure and (FIGURES / f"{benchmark.figure}.png").exists():
            figures.append(f"![{benchmark.measures}](../../docs/figures/{benchmark.figure}.png)")
    lines += ["", *(f"* Machine: {machine}" for machine in dict.fromkeys(machines))]
    lines += [f"* Versions: {known}" for known in dict.fromkeys(versions)]
    left = {name: one for name, one in outcomes.items() if one.state != "done" or one.why}
    lines += [f"* {name}: {one.state}, {one.why}" for name, one in left.items()]
    return "\n".join([*lines, "", *([] if quick else figures)]) + "\n"


def chosen(only: Sequence[str] | None, quick: bool) -> list[Benchmark]:
    """Those named, or all that do not take hours."""
    if only:
        return [one for one in BENCHMARKS if one.name in only]
    for one in BENCHMARKS:
        if one.minutes > LONG and not quick:
            print(f"{one.name}: left out, {one.minutes / 60:g} hours; --only {one.name} runs it")
    return [one for one in BENCHMARKS if quick or one.minutes <= LONG]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", choices=[one.name for one in BENCHMARKS], metavar="NAME")
    parser.add_argument("--peer-python", action="append", default=[], metavar="PATH")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    if options.list:
        for one in BENCHMARKS:
            print(f"{one.name:15} {one.minutes:4g} min  {one.measures}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that it takes the running benchmark with it
    here = sorted(map(str, HERE.parent.glob(".peers/*/bin/python")))
    pythons, logs = [sys.executable, *options.peer_python, *here], Path(tempfile.mkdtemp(prefix="benchmarks-"))
    begun = time.perf_counter()
    outcomes = run_all(chosen(options.only, options.quick), options.quick, pythons, logs)
    file = RESULTS / ("summary-quick.md" if options.quick else "README.md")
    file.write_text(summary(options.quick, outcomes))
    if not options.quick:
        refresh()
    failed = [name for name, outcome in outcomes.items() if outcome.state == "failed"]
    print(f"{time.perf_counter() - begun:.0f} s in all; {file}; output of each in {logs}")
    print(f"failed: {', '.join(failed)}" if failed else "none failed")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
