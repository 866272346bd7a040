"""Arguments and results that the solvers of infinite depth share."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float
from numpy import ndarray

from ..._checks import positive_float
from ..._notation import attributes


class Rates(NamedTuple):
    """Rates of the hidden, input and output weights."""

    lr: float
    input: float
    output: float

    @classmethod
    def of(cls, lr: float, lr_input: float | None, lr_output: float | None) -> Rates:
        """None is ``lr``; zero freezes. ValueError for a negative rate."""
        lr = positive_float("lr", lr, zero=True)
        given = {"lr_input": lr_input, "lr_output": lr_output}
        return cls(lr, *(lr if v is None else positive_float(k, v, zero=True) for k, v in given.items()))


def check_data(x: object, y: object) -> tuple[Float[ndarray, "P d"], Float[ndarray, " P"]]:
    """Finite x (P, d) without zero rows and y (P,) as float64; ValueError naming what is wrong."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"`x` must have shape (samples, inputs); got {x.shape}.")
    if y.shape not in ((len(x),), (len(x), 1)):
        raise ValueError(f"`y` must have shape ({len(x)},), one output per sample; got {y.shape}.")
    for name, array in (("x", x), ("y", y)):
        if not np.isfinite(array).all():
            raise ValueError(f"`{name}` must be finite; clean it first.")
    zero = np.flatnonzero(~x.any(axis=1))
    if len(zero):
        raise ValueError(f"`x` must have no sample of norm zero; row {zero[0]} is: remove it.")
    return x, y.reshape(-1)


def kernel_dataset(
    times: Float[ndarray, " t"],
    y: Float[ndarray, " P"],
    steps: int,
    outputs: Float[ndarray, "K P"],
    features: Float[ndarray, "t KP KP"],
    gradients: Float[ndarray, "t KP KP"],
) -> xr.Dataset:
    """loss, outputs and both kernels over steps 0..``steps``; NaN from the first step not reached."""
    done, samples = outputs.shape
    full = np.full((steps + 1, samples), np.nan)
    full[:done] = outputs
    data = xr.Dataset(coords={"step": np.arange(steps + 1), "sample": np.arange(samples), "time": times})
    data["loss"] = ("step", np.mean((full - y) ** 2, axis=1) / 2, attributes("loss"))
    data["outputs"] = (("step", "sample"), full, attributes("outputs"))
    dims = ("time", "step", "sample", "step_b", "sample_b")
    for name, kernel in (("feature_kernel", features), ("gradient_kernel", gradients)):
        padded = np.full((len(times), steps + 1, samples, steps + 1, samples), np.nan)
        kernel = kernel[:, : done * samples, : done * samples]
        padded[:, :done, :, :done] = kernel.reshape(len(times), done, samples, done, samples)
        data[name] = (dims, padded, attributes(name))
    return data
