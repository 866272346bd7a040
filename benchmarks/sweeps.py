"""Sweeps under kill -9: finished exactly once, equal to the bit; two drivers; a Ray cluster that loses a node.

200 trials, 20 kills of drivers and workers at random times, on each engine (--quick: 16 trials, 2 kills, of
kills-local and status only, unless --only names others).

    python benchmarks/sweeps.py [--quick] [--only kills-local,kills-ray,drivers,nodes,overhead,status]
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from _common import machine, write
from _sweep_checks import COMMAND, audit, disturb, owners, start
from neural_limits.runs import to_json
from neural_limits.sweeps import Options, Request, SweepFolder, run, status
from neural_limits.sweeps._trial import SUMMARY, create

QUICK = "--quick" in sys.argv
TRIALS, KILLS = (16, 2) if QUICK else (200, 20)
STEPS, EVERY = 1500, 200
PAUSE = (0.0, 1.0 if QUICK else 7.0)  # seconds between a sign of trials in hand and a kill: twenty fit into the run
SMALL = {"width": 192, "hidden": 2, "weights": "dense", "steps": STEPS, "momentum": 0.5}
GRID = {"lr": [0.003, 0.01, 0.03, 0.1], "seed": [*range(TRIALS // 4)]}
os.environ["PYTHONPATH"] = str(Path(__file__).parent.parent / "src")


def grid(place: Path, base: dict[str, Any], varied: dict[str, list[Any]]) -> str:
    """A grid.toml."""
    lines = ["[base]", *(f"{k} = {v!r}" for k, v in base.items()), "[grid]", *(f"{k} = {v}" for k, v in varied.items())]
    (place / "grid.toml").write_text("\n".join(lines).replace("'", '"'))
    return str(place / "grid.toml")


def undisturbed(place: Path, name: str = "undisturbed", base: Any = SMALL, varied: Any = GRID) -> Path:
    """The reference, made once."""
    out = place / name
    if not out.exists():
        words = [grid(place, base, varied), "--workers", "2", "--checkpoint-every", str(EVERY)]
        began = time.perf_counter()
        if start(out, *words).wait() != 0:
            raise RuntimeError(out.with_suffix(".log").read_text()[-2000:])
        print(f"{name}: {time.perf_counter() - began:.0f} s")
    return out


def told(counts: dict[str, int]) -> str:
    """The counts in words."""
    return ", ".join(
        f"{value} {name}"
        for name, value in counts.items()
        if value or any(word in name for word in ("than", "differing", "beyond"))
    )


def kills_local(place: Path) -> list[str]:
    reference, out = undisturbed(place), place / "local"
    words = [grid(place, SMALL, GRID), "--workers", "2", "--checkpoint-every", str(EVERY)]
    began = time.perf_counter()
    hits = disturb(out, words, KILLS, 1, PAUSE)
    took = time.perf_counter() - began
    return [row("local, kill -9", f"{dict(hits)}; {told(audit(out, reference))}; {took:.0f} s")]


def kills_ray(place: Path) -> list[str]:
    from ray.cluster_utils import Cluster

    reference, out = undisturbed(place), place / "ray"
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    try:
        words = [grid(place, SMALL, GRID), "--engine", "ray", "--address", cluster.address]
        began = time.perf_counter()
        hits = disturb(out, [*words, "--checkpoint-every", str(EVERY)], KILLS, 2, PAUSE)
        took = time.perf_counter() - began
    finally:
        cluster.shutdown()
    return [row("Ray, kill -9", f"{dict(hits)}; {told(audit(out, reference))}; {took:.0f} s")]


def drivers(place: Path) -> list[str]:
    """Two drivers on one folder."""
    reference, out = undisturbed(place), place / "two"
    words = [grid(place, SMALL, GRID), "--workers", "1", "--checkpoint-every", str(EVERY)]
    both = [start(out, *words) for _ in range(2)]
    codes = [driver.wait() for driver in both]
    return [row("two drivers, one folder", f"exit {codes}; {told(audit(out, reference))}")]


def nodes(place: Path) -> list[str]:
    """Three nodes, one of them killed half way."""
    from ray.cluster_utils import Cluster

    base, varied = SMALL | {"steps": 6 * STEPS}, {"lr": GRID["lr"], "seed": [*range(TRIALS // 16)]}
    count = 4 * (TRIALS // 16)
    reference, out = undisturbed(place, "longer", base, varied), place / "nodes"
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    added = [cluster.add_node(num_cpus=1) for _ in range(2)]
    try:
        words = [grid(place, base, varied), "--engine", "ray", "--address", cluster.address]
        began = time.perf_counter()
        driver = start(out, *words, "--checkpoint-every", str(EVERY))
        while not (out / "sweep.json").exists() or status(SweepFolder.open(out)).finished < count // 3:
            if driver.poll() is not None:
                raise RuntimeError(out.with_suffix(".log").read_text()[-2000:])
            time.sleep(0.2)
        at_once = len(owners(SweepFolder.open(out)))
        cluster.remove_node(added[0], allow_graceful=False)
        if driver.wait(timeout=1200) != 0:
            raise RuntimeError(out.with_suffix(".log").read_text()[-2000:])
        took = time.perf_counter() - began
    finally:
        cluster.shutdown()
    counts = audit(out, reference)
    again = counts["attempts"] - counts["trials"]
    text = f"trials of {6 * STEPS} steps, {at_once} at once before; {told(counts)}; {again} begun again; {took:.0f} s"
    return [row("Ray, three nodes, one killed", text)]


def overhead(place: Path) -> list[str]:
    """One worker over trials of about five seconds, against the same trials in a plain loop."""
    count = 3 if QUICK else 8
    base = {"width": 512, "hidden": 3, "weights": "dense", "lr": 0.01}
    plain = (
        "import time, neural_limits as nl\n"
        "def one(seed, steps):\n"
        "    task, table = nl.tasks.toy(), nl.MuP(4.0)\n"
        f"    o = dict(width={base['width']}, weights='dense', steps=steps, seed=seed, dtype='float32')\n"
        "    return nl.train(nl.MLP(3), task, table, nl.SGD(0.01), **o)\n"
        "one(0, 200); t = time.perf_counter(); one(0, 200); s = time.perf_counter() - t\n"
        "steps = int(200 * 5 / s); t = time.perf_counter()\n"
        "one(0, steps); first = time.perf_counter() - t\n"
        f"for seed in range({count}): one(seed, steps)\n"
        f"print(steps, (time.perf_counter() - t - first) / {count})\n"
    )
    from neural_limits.sweeps._engine import environment

    said = subprocess.run(
        [sys.executable, "-c", plain], env={**os.environ, **environment()}, capture_output=True, text=True, check=True
    ).stdout.split()
    steps, seconds = int(said[0]), float(said[1])
    out = place / "overhead"
    folder = SweepFolder.create(out)
    folder.add_request(Request.of({"base": base | {"steps": steps}, "grid": {"seed": [*range(count + 1)]}}))
    run(folder, Options(workers=1), print)
    times = sorted(trial.folder.stat().st_mtime for trial in folder.scan())
    each = (times[-1] - times[0]) / count  # the first compiles
    return [row("overhead", f"a trial of {seconds:.2f} s takes {each:.2f} s in a sweep: {each / seconds - 1:+.1%}")]


def many(place: Path) -> list[str]:
    """The time of `sweep status` over ten thousand finished trials, and of all their final losses."""
    folder = SweepFolder.create(place / "many")
    request = Request.of(
        {"base": {"width": 8}, "grid": {"seed": [*range(1000)], "lr": {"from": 0.1, "to": 1, "count": 10}}}
    )
    began = time.perf_counter()
    for configuration in request.required({}):
        trial = folder.trials / create(folder.trials, configuration)
        summary = {"status": "completed", "message": "", "loss": 0.5, "start": 1.0, "steps": 2, "seconds": 1.0}
        (trial / "waiting" / SUMMARY).write_bytes(to_json(summary))
        (trial / "waiting").rename(trial / "completed")
    made = time.perf_counter() - began
    folder.add_request(request)
    took = []
    for words in (["sweep", "status", str(folder.path)], ["sweep", "status", str(folder.path), "--json"]):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", COMMAND, *words], check=True, capture_output=True)
        took.append(time.perf_counter() - began)
    began = time.perf_counter()
    status(folder)
    read = time.perf_counter() - began
    return [
        row("status of 10,000 trials", f"{max(took):.2f} s for the command, of which {read:.2f} s reading the folder"),
        row("making their folders", f"{made:.1f} s"),
    ]


def row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def headlines(rows: list[str]) -> dict[str, str]:
    """What is not told in counts."""
    cells = [one.strip("| ").split(" | ") for one in rows]
    told = {name: text for name, text in cells if name in ("overhead", "status of 10,000 trials")}
    whole = [name for name, text in cells if "0 finished other than once" in text and "0 differing" in text]
    return told | {"every trial finished once and equal to the bit": ", ".join(whole) or "none"}


PARTS: dict[str, Callable[[Path], list[str]]] = {
    "kills-local": kills_local, "kills-ray": kills_ray, "drivers": drivers, "nodes": nodes, "overhead": overhead,
    "status": many,
}  # fmt: skip


def main() -> None:
    every = ["kills-local", "status"] if QUICK else list(PARTS)
    only = next((sys.argv[i + 1].split(",") for i, word in enumerate(sys.argv) if word == "--only"), every)
    name_of_file = "sweeps-quick" if QUICK else "sweeps" if only == every else "sweeps-part"
    place = Path(tempfile.mkdtemp(prefix="sweeps-"))
    title = [f"Machine: {machine()}", "", f"{TRIALS} trials of {STEPS} steps, a checkpoint every {EVERY}:"]
    title += ["", "| | |", "|-|-|"]
    rows = []
    for name in only:
        if name in ("kills-ray", "nodes") and find_spec("ray") is None:
            rows.append(row(name, "not run: Ray is not installed"))
            continue
        rows += PARTS[name](place)
        write(name_of_file, [*title, *rows], headlines(rows))
    shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
