"""Outliers of a wide network over training, beside a dense network's: one figure.

python examples/outliers_of_a_wide_network.py [width] [figure.png]
"""

import sys

from matplotlib.figure import Figure

import neural_limits as nl

width = int(sys.argv[1]) if len(sys.argv) > 1 else 16_000
target = sys.argv[2] if len(sys.argv) > 2 else "outliers.png"

task = nl.tasks.toy(samples=4, inputs=8, seed=7)
setting = (nl.MLP(hidden=2, activation="tanh"), task, nl.MuP(gamma=4.0), nl.SGD(lr=0.3))
record = (2, 4, 6, 8, 10, 14, 20)

wide = nl.train(*setting, width=width, steps=20, record=record)
dense = nl.train(*setting, width=min(1000, width), steps=20, record=record, weights="dense")

figure = Figure(figsize=(6, 4), layout="constrained")
axis = figure.subplots()
for layer in (0, 1):
    axis.plot(record, wide.data.singular_value[:, layer, 0], color=f"C{layer}", label=f"weight {layer}, predicted")
    axis.plot(
        record, dense.data.singular_value[:, layer, 0], "o", color=f"C{layer}", mfc="none", label="dense, measured"
    )
axis.axhline(float(wide.data.edge[0]), color="0.5", ls="--")
axis.set(xlabel="updates made", ylabel="singular value above the bulk")
axis.legend(frameon=False)
figure.savefig(target, dpi=150)

print(wide.data.singular_value[-1, :, 0].values, "predicted;", dense.data.singular_value[-1, :, 0].values, "measured")
