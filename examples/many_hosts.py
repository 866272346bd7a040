"""One network over the devices of many machines: start this on each of them, at the same time.

python examples/many_hosts.py [width] [figure.png] [ADDRESS:PORT PROCESSES INDEX]

ADDRESS:PORT is a free port of the machine with INDEX 0. Without them: the devices of this machine alone.
"""

import sys

import jax
from matplotlib.figure import Figure

import neural_limits as nl

RECORD = (5, 10, 20)


def train(width, devices):
    task = nl.tasks.toy(samples=4, inputs=8, seed=7)
    options = {"width": width, "steps": 20, "record": RECORD, "devices": devices}
    return nl.train(nl.MLP(hidden=2), task, nl.MuP(gamma=4.0), nl.SGD(lr=0.3), **options)


if __name__ == "__main__":
    width = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    target = sys.argv[2] if len(sys.argv) > 2 else "many-hosts.png"
    if len(sys.argv) > 3:  # before anything else asks JAX for its devices; under Slurm, MPI or on TPUs: initialize()
        address, processes, index = sys.argv[3:]
        jax.distributed.initialize(address, int(processes), int(index))

    devices = jax.devices()  # of all processes
    run = train(width - width % len(devices), devices)
    values = run.data.singular_value[:, :, 0]
    print(f"process {jax.process_index()} of {jax.process_count()}, {len(devices)} devices: {run.status}")
    print("losses", *run.data.loss.values.tolist())
    print("predicted", *values.values[-1].tolist())

    if jax.process_index() == 0:  # every process has the results; one writes
        figure = Figure(figsize=(5, 3.5), layout="constrained")
        axis = figure.subplots()
        axis.plot(RECORD, values, "o-", label=["first hidden weight", "second"])
        axis.axhline(float(run.data.edge[0]), color="0.5", ls="--")
        axis.set(xlabel="updates made", ylabel="largest singular value above the bulk")
        axis.legend(frameon=False)
        figure.savefig(target, dpi=150)
