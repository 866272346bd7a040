"""Run by the peer's interpreter: weightwatcher's counts for matrices in an .npz file, written as JSON.

    python _weightwatcher_peer.py MATRICES.npz COUNTS.json

Per matrix: `num_spikes` of analyze(mp_fit=True), and how many squared singular values pass `max_rand_eval`,
the top one after a random permutation of the entries (analyze(randomize=True)).
"""

import json
import logging
import sys

import numpy as np
import torch
import weightwatcher


def counts(matrix: np.ndarray) -> list[int]:
    layer = torch.nn.Linear(*matrix.shape[::-1], bias=False)
    layer.weight.data = torch.tensor(matrix, dtype=torch.float32)
    watcher = weightwatcher.WeightWatcher(model=torch.nn.Sequential(layer))
    found = watcher.analyze(plot=False, mp_fit=True, randomize=True).iloc[0]
    values = np.linalg.svd(matrix, compute_uv=False) ** 2
    return [int(found["num_spikes"]), int(np.sum(values > found["max_rand_eval"]))]


if __name__ == "__main__":
    logging.getLogger("weightwatcher").setLevel(logging.ERROR)
    source, target = sys.argv[1:]
    np.random.seed(0)  # noqa: NPY002 - the generator it permutes with
    with np.load(source) as matrices:
        found = {name: counts(matrices[name]) for name in matrices.files}
    with open(target, "w") as file:
        json.dump({"version": weightwatcher.__version__, "counts": found}, file)
