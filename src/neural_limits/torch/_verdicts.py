"""From slopes over width and depth to a verdict on each layer, and to the rule that is likely wrong.

Read in this order, since each question leaves the next one clean: what decay does to each weight, how large outputs
are at initialisation, how far a layer's own change moves its output on unchanged inputs, what the whole model does:
its outliers, its leading mode, its loss.
Queries, keys and values may share factors in many ways, so that they are judged by the logits and by what attention
returns; residual branches by the stream they write to.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from ._coordinates import LOGITS, OUTPUT
from ._size_slopes import axes, ladder, slope

EARLY = 4  # steps: later a faster learner may have saturated, which hides by how much it was faster
FOLLOWS = "follows from the other rows"
QUERIES = "rates of queries and keys"
READOUT, ATTENTION, DECAY = "readout multiplier or rate", "attention scale", "weight decay"
WHOLE = "the rates as a whole"
LOSS_TOLERANCE = 0.1  # of `tolerance`: a loss moves by percents where sizes move by factors
DEPTH_FACTOR, DEPTH_RATE = "residual depth factor", "rates in residual blocks"
COLUMNS = ("optimizer", "axis", "layer", "quantity", "slope", "error", "expected", "verdict", "likely_rule")


class Judge:
    """Collects rows for one optimizer and one of width and depth."""

    def __init__(self, data: xr.Dataset, axis: str, tolerance: float, roles: dict[str, str]) -> None:
        self._data, self._axis, self._tolerance, self._roles = data, axis, tolerance, roles
        self.rows: list[dict[str, object]] = []
        self._layers = [str(name) for name in data.layer.values]
        self._readouts = {name for name in self._layers if self._role(name) == "output"}
        self._slopes = {
            name: slope(self._settled(name), self._data[axis])
            for name in (
                "size", "change", "own_change", "weight_change", "decay", "head_dim", "largest", "leading_mode", "loss",
            )
        }  # fmt: skip
        self._logits = [name for name in self._layers if name.endswith(LOGITS)]
        self._inside = {name for name in self._layers for logits in self._logits if self._feeds(name, logits)}

    def judge(self) -> None:
        for name in map(str, self._data.parameter.values):
            self._row(name, "decay", (0.0, 0.0), DECAY)
        for name in self._logits:
            self._attention(name)
        deep = self._axis == "depth"
        for name in self._layers:
            if name.endswith(LOGITS) or name in self._inside:
                continue
            readout = name in self._readouts or name == OUTPUT
            if deep and "*" in name:
                self._block(name)
                continue
            if not readout or name == OUTPUT:  # a multiplier may act on what the readout returns
                size_rule = READOUT if readout else f"initial size of {name}"
                self._row(name, "size", (-np.inf if readout else 0.0, 0.0), size_rule)
            if name != OUTPUT:
                self._row(name, "own_change", (0.0, 0.0), READOUT if readout else f"{self._kind(name)} rate")
        for name in map(str, self._data.parameter.values):
            owner = name.rpartition(".")[0]
            alone = owner not in self._layers or self._roles.get(name) == "vector"
            if alone and owner not in self._inside and not (deep and "*" in name):
                self._row(name, "weight_change", (0.0, 0.0), f"{self._kind(name)} rate")
        named = any(row["verdict"] == "inconsistent" for row in self.rows)
        # Through the readout's initial values a change arrives as n^(-1/2), which may dominate at first.
        arrives = (-0.5 if self._axis == "width" else 0.0, 0.0)
        self._row(OUTPUT, "change", arrives, FOLLOWS if named else READOUT)
        for name in map(str, self._data.parameter.values):
            self._row(name, "largest", (0.0, 0.0), FOLLOWS if named else f"{self._kind(name)} rate")
        self._row(OUTPUT, "leading_mode", arrives, FOLLOWS if named else WHOLE)
        self._row(OUTPUT, "loss", (-np.inf, 0.0), FOLLOWS if named else WHOLE, LOSS_TOLERANCE * self._tolerance)

    def _attention(self, name: str) -> None:
        """q·k / d: random at first, so that logits fall as d^(-1/2); learned correlations then keep their size."""
        heads = float(self._slopes["head_dim"][0].sel(layer=name))
        wrong = False
        if np.isfinite(heads) and heads > 0.5:
            wrong = self._row(name, "size", (-np.inf, -0.5 * heads), ATTENTION)
        self._row(name, "change", (-np.inf, 0.0), ATTENTION if wrong else QUERIES)
        if (parent := name.removesuffix(LOGITS)) in self._layers and parent != OUTPUT and self._axis == "width":
            self._row(parent, "change", (0.0, 0.0), f"rates in {parent}")

    def _block(self, name: str) -> None:
        """Over depth: the stream must not grow, in size or in change; neither must a layer's own steps."""
        if name.endswith("*"):
            inner = [n for n in self._layers if n.startswith(name + ".") and not n.endswith(LOGITS)]
            falling = [n for n in inner if float(self._slopes["size"][0].sel(layer=n)) < -self._tolerance]
            rule = DEPTH_RATE if falling else DEPTH_FACTOR
            self._row(name, "size", (-np.inf, 0.0), rule)
            self._row(name, "change", (-np.inf, 0.0), rule)
        else:
            self._row(name, "own_change", (-np.inf, 0.0), DEPTH_RATE)

    def _row(
        self, name: str, quantity: str, allowed: tuple[float, float], rule: str, tolerance: float | None = None
    ) -> bool:
        """One row, where there is something to measure; whether it is inconsistent."""
        tolerance = self._tolerance if tolerance is None else tolerance
        place = dict.fromkeys(self._slopes[quantity][0].dims, name)  # layer, parameter, or none: the whole model
        value, error = (float(part.sel(place)) for part in self._slopes[quantity])
        if not np.isfinite(value):  # zero: no decay, weights that start at zero, parameters without a module
            return False
        outside = max(allowed[0] - value, value - allowed[1], 0.0)
        doubt = 2 * error if np.isfinite(error) else 0.0
        beyond = max(allowed[0] - value, value - allowed[1]) + doubt > tolerance
        verdict = "undecided" if outside > tolerance or (beyond and doubt > 2 * tolerance) else "consistent"
        if outside - tolerance > doubt:
            verdict = "inconsistent"
        low, high = allowed
        expected = f"{low:g}" if low == high else f"{low:g} to {high:g}" if low > -np.inf else f"at most {high:.2g}"
        self.rows.append({
            "axis": self._axis, "layer": name, "quantity": quantity, "slope": value, "error": error,
            "expected": expected, "verdict": verdict, "likely_rule": rule if verdict == "inconsistent" else "",
        })  # fmt: skip
        return verdict == "inconsistent"

    def _settled(self, name: str) -> xr.DataArray:
        """The geometric mean over the early steps; of losses over the last quarter; the last of outliers."""
        values = self._data[name]
        if name == "loss":
            return values.isel(iteration=slice(-(-values.sizes["iteration"] // 4) * -1, None)).mean("iteration")
        if name == "largest":
            return values.isel(step=-1)
        if name == "leading_mode" and values.step[-1] > 1:
            values = values.isel(step=slice(1, None))  # there is none after the first step
        if name == "own_change":
            values = self._as_output(values)
        if "step" not in values.dims:
            return values
        with np.errstate(divide="ignore"):
            logs = xr.apply_ufunc(np.log, values.sel(step=values.step[values.step <= EARLY]))
        return xr.apply_ufunc(np.exp, logs.mean("step", skipna=False))

    def _as_output(self, values: xr.DataArray) -> xr.DataArray:
        """A readout's own change as the model's output has it, behind a multiplier in the forward pass."""
        readouts = [name in self._readouts for name in map(str, values.layer.values)]
        change = self._data.change
        return xr.where(
            xr.DataArray(readouts, dims="layer"), values * change.sel(layer=OUTPUT, drop=True) / change, values
        )

    def _feeds(self, name: str, logits: str) -> bool:
        parent = logits.removesuffix(LOGITS)
        before = self._layers.index(name) < self._layers.index(logits)
        return before and name.startswith(parent + ".")

    def _role(self, layer: str) -> str:
        return self._roles.get(f"{layer}.weight", "")

    def _kind(self, name: str) -> str:
        role = self._roles.get(name) or self._role(name)
        return name if role in ("", "fixed") else role


def verdicts(data: xr.Dataset, roles: dict[str, str], plain: set[str], tolerance: float) -> pd.DataFrame:
    """All rows; those of models that diverged first."""
    rows: list[dict[str, object]] = []
    for optimizer in map(str, data.optimizer.values):
        part = data.sel(optimizer=optimizer)
        for axis in axes(data):
            here = ladder(part, axis)
            diverged = (here.status == "diverged").any("seed").values
            if diverged.any():
                rows.append(_diverged(optimizer, axis, here[axis].values[diverged]))
            if (~diverged).sum() > 1:
                judge = Judge(here.isel(size=np.flatnonzero(~diverged)), axis, tolerance, roles)
                judge.judge()
                rows += [{"optimizer": optimizer, **row} for row in judge.rows]
    return _consequences(pd.DataFrame(rows, columns=list(COLUMNS)), plain)


def _diverged(optimizer: str, axis: str, sizes: np.ndarray) -> dict[str, object]:
    return {
        "optimizer": optimizer, "axis": axis, "layer": OUTPUT, "quantity": "loss", "slope": np.nan, "error": np.nan,
        "expected": "finite", "verdict": "diverged",
        "likely_rule": f"diverged at {axis} {', '.join(map(str, sizes))}: lower lr, or see the other rows",
    }  # fmt: skip


def _consequences(rows: pd.DataFrame, plain: set[str]) -> pd.DataFrame:
    """What follows from another row is said to: steps of plain gradients are as large as the readout's gradient is,
    and attention moves as the stream does that it reads."""
    grows = (rows.verdict == "inconsistent") & (rows.slope > 0)
    if (grows & (rows.likely_rule == READOUT)).any():
        rates = (
            grows & rows.optimizer.isin(plain) & rows.likely_rule.str.endswith("rate") & (rows.likely_rule != READOUT)
        )
        rows.loc[rates, "likely_rule"] = "may follow from the readout"
    stream = grows & (rows.axis == "depth") & rows.likely_rule.isin([DEPTH_FACTOR, DEPTH_RATE])
    if stream.any():
        rows.loc[grows & (rows.axis == "depth") & (rows.likely_rule == QUERIES), "likely_rule"] = FOLLOWS
    return rows
