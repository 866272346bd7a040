"""The best learning rate of a small GPT over widths 64 to 1024, under muP and under the standard parametrization.

Two blocks, AdamW, batches of 8 x 64 characters of a text; loss = mean training loss over the last 15 % of the updates.
Rates lie √2 apart around the best one of each width and seed. Every trial is a line of a file, and a run that was
stopped goes on where it was. Up to two hours on two cores that do other work (--quick: widths 64 and 128, ten updates).

    python benchmarks/gpt_rates.py [--quick] [--trials FILE.csv] [--report]

--report: no trials, only the report of those in the file.
"""

from __future__ import annotations

import argparse
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from _gpt_report import report
from _gpt_trials import search

SCHEMES = ("mup", "standard")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--trials", type=Path)
    options = parser.parse_args()
    widths, seeds, steps = ((64, 128), 1, 10) if options.quick else ((64, 128, 256, 512, 1024), 3, 150)
    name = "gpt-rates-quick" if options.quick else "gpt-rates"
    file = options.trials or Path(f"{name}.csv")
    if options.quick and not options.trials:
        file = Path(tempfile.mkdtemp(prefix="gpt-rates-")) / file  # always from the start
    if not options.report:
        # One process with one thread for each scheme: small matrices do not gain from two threads.
        with ProcessPoolExecutor(len(SCHEMES), mp_context=get_context("spawn")) as pool:
            for work in [pool.submit(search, scheme, widths, seeds, steps, file) for scheme in SCHEMES]:
                work.result()
    report(name, file, steps)


if __name__ == "__main__":
    main()
