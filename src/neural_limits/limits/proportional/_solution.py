"""What `deep_linear` returns: losses and kernels, and spectra on demand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float
from numpy import ndarray

from ..._checks import positive_int
from ..._notation import attributes
from . import _ntk
from ._dmft import OrderParameters
from ._outliers import WeightOutliers, weight_outliers
from ._setting import DIVERGED, Setting


class Found(NamedTuple):
    """Losses of all runs, the step at which each diverged (NaN: none did), and order parameters if kept."""

    train_loss: Float[ndarray, "runs T"]
    test_loss: Float[ndarray, "runs T"]
    diverged_at: Float[ndarray, " runs"]
    orders: tuple[OrderParameters, ...] | None


@dataclass(frozen=True)
class DeepLinear:
    """Deep linear runs in the proportional limit: one, or a grid with a dimension for each array argument.

    ``data`` has train_loss and test_loss (grid..., step), diverged_at (grid...), and of a run with kernels also
    backward_overlap C_b (layer 1..L), forward_overlap C_c (layer 0..L, 0 the inputs), error_overlap C_v and
    residual_overlap C_χ, all (step, step_b). Spectra are of one run: choose it with `sel` or `isel`.
    """

    settings: tuple[Setting, ...] = field(repr=False)
    index: xr.DataArray = field(repr=False)  # number of each run, over the grid
    found: Found = field(repr=False)
    data: xr.Dataset

    @property
    def status(self) -> str:
        """completed, or diverged where every run has."""
        return "diverged" if np.isfinite(self._diverged_at).all() else "completed"

    @property
    def message(self) -> str:
        """What diverged and when, with the remedy; empty where nothing did."""
        steps = self._diverged_at
        count = int(np.isfinite(steps).sum())
        if count == 0:
            return ""
        what = (
            "the test loss grew"
            if self.index.ndim == 0
            else f"{count} of {steps.size} runs diverged: the test loss grew"
        )
        return f"{what} beyond {DIVERGED:g} at step {int(np.nanmin(steps))}; lower `lr` below 2/ntk_top."

    def sel(self, **values: float) -> DeepLinear:
        """The runs of a grid with these values, to the nearest: ``sol.sel(lr=0.1, width_ratio=4.0)``."""
        return self._pick(tuple(values), lambda x: x.sel(values, method="nearest"))

    def isel(self, **numbers: int) -> DeepLinear:
        """The runs of a grid by their position: ``sol.isel(lr=0)``."""
        return self._pick(tuple(numbers), lambda x: x.isel(numbers))

    def outliers(self, updates: int) -> list[WeightOutliers]:
        """Singular values of W⁰..W^{L-1} outside the bulk after ``updates`` updates, with the bulk's edges.

        Of W⁰/√D and W^l/√N. ValueError beyond the steps solved. Cost O(L updates³).

        >>> import neural_limits as nl
        >>> wide = nl.limits.deep_linear(width_ratio=4.0, sigma_w=(0.5, 0.7, 0.6), lr=0.08, steps=40)
        >>> wide.outliers(40)[0].above.round(5).tolist(), wide.outliers(40)[0].edges
        ([2.40628], (0.5, 1.5))
        """
        setting, order = self._one("outliers", "updates", updates)
        return [weight_outliers(order, setting, l, updates) for l in range(setting.depth)]

    def escape_step(self, layer: int) -> float:
        """The first number of updates after which W^layer has an outlier above its bulk; NaN if it never has."""
        setting, order = self._one("escape_step", "updates", 0)
        if not 0 <= positive_int("layer", layer, least=0) < setting.depth:
            raise ValueError(f"`layer` must be below depth = {setting.depth}, as W⁰ is layer 0; got {layer}.")
        found = (k for k in range(1, self._reached + 1) if len(weight_outliers(order, setting, layer, k).above))
        return float(next(found, np.nan))

    def ntk_edge(self, updates: int) -> float:
        """Upper edge of the bulk of Θ = γ₀²N J Jᵀ/P after ``updates`` updates; ValueError beyond the steps solved."""
        setting, order = self._one("ntk_edge", "updates", updates)
        return _ntk.bulk_edge(order, setting, updates)[0]

    def ntk_top(self, updates: int) -> float:
        """The eigenvalue of Θ above its bulk after ``updates`` updates, the largest; NaN where there is none.

        Gradient descent is stable while η times it is below 2. ValueError beyond the steps solved, and for one-pass
        runs, whose batches are independent of what was learned. Cost: about 80 times O(L (2 updates)³).

        >>> import neural_limits as nl
        >>> sol = nl.limits.deep_linear(steps=20)
        >>> round(sol.ntk_edge(20), 6), round(sol.ntk_top(20), 6)
        (6.049783, 8.5113)
        """
        setting, order = self._one("ntk_top", "updates", updates)
        if setting.online:
            raise ValueError("`ntk_top` needs samples that are trained on; leave `batch_ratio` out, or use `ntk_edge`.")
        return _ntk.outlier(order, setting, updates)

    def ntk_leading(self, updates: int) -> float:
        """The largest eigenvalue of Θ: the outlier, or the edge of the bulk where there is none."""
        top = self.ntk_top(updates)
        return self.ntk_edge(updates) if np.isnan(top) else top

    @property
    def _diverged_at(self) -> ndarray:
        return self.found.diverged_at[self.index.values]

    @property
    def _reached(self) -> int:
        """Steps with finite losses, of one run."""
        at = float(self._diverged_at)
        return self.settings[int(self.index)].steps if np.isnan(at) else int(at) - 1

    def _pick(self, names: tuple[str, ...], choose: Any) -> DeepLinear:
        for name in names:
            if name not in self.index.dims:
                known = ", ".join(map(str, self.index.dims)) or "none"
                raise ValueError(f"`{name}` is no dimension of these runs; there is {known}. Give it as an array.")
        index = choose(self.index)
        data = choose(self.data) if index.ndim or self.found.orders is None else None
        if data is None:
            data = dataset(self.settings[int(index)], index, self.found)
        return DeepLinear(self.settings, index, self.found, data)

    def _one(self, query: str, name: str, step: int) -> tuple[Setting, OrderParameters]:
        """Setting and order parameters of the one run there is, known at ``step``; ValueError otherwise."""
        if self.index.ndim:
            dims = ", ".join(f"{d}=..." for d in self.index.dims)
            raise ValueError(f"`{query}` needs one run; choose it with .sel({dims}).")
        if self.found.orders is None:
            raise ValueError(f"`{query}` needs the order parameters; solve with kernels=True.")
        if positive_int(name, step, least=0) > self._reached:
            where = "where the run diverged" if self.status == "diverged" else "all that were solved"
            raise ValueError(f"`{name}` must not exceed {self._reached} steps, {where}; got {step}.")
        number = int(self.index)
        return self.settings[number], self.found.orders[number]


def dataset(setting: Setting, index: xr.DataArray, found: Found) -> xr.Dataset:
    """Losses over the grid, and the kernels of a single run; NaN from the step of divergence on."""
    runs = index.values
    step = np.arange(setting.steps + 1)
    diverged_at = found.diverged_at[runs]
    gone = step >= np.where(np.isnan(diverged_at), np.inf, diverged_at)[..., None]
    data = xr.Dataset(coords={**index.coords, "step": step})
    dims = (*index.dims, "step")
    for name, values in (("train_loss", found.train_loss), ("test_loss", found.test_loss)):
        data[name] = (dims, np.where(gone, np.nan, values[runs]), attributes(name))
    data["diverged_at"] = (index.dims, diverged_at, attributes("diverged_at"))
    if index.ndim == 0 and found.orders is not None:
        order = found.orders[int(index)]
        gone = gone[:, None] | gone[None, :]
        stacks = {
            "backward_overlap": [p.c_xx for p in order.layers],
            "forward_overlap": [order.input.c_yy, *(p.c_yy for p in order.layers)],
            "error_overlap": [order.input.c_xx],
            "residual_overlap": [order.residual],
        }
        for name, parts in stacks.items():
            values = np.where(gone, np.nan, np.concatenate(parts))
            lead = {"backward_overlap": ("backward_layer",), "forward_overlap": ("forward_layer",)}.get(name, ())
            data[name] = ((*lead, "step", "step_b"), values if lead else values[0], attributes(name))
        data.coords["backward_layer"] = np.arange(1, setting.depth + 1)
        data.coords["forward_layer"] = np.arange(setting.depth + 1)
    names = ("width_ratio", "sample_ratio", "batch_ratio", "lr", "gamma", "label_noise")
    data.attrs.update(
        depth=setting.depth, sigma_w=setting.sigma, parametrization=setting.parametrization,
        **{name: _attribute(getattr(setting, name)) for name in names if name not in index.dims},
    )  # fmt: skip
    return data


def _attribute(value: float | None) -> float | str:
    """netCDF has no None."""
    return "none" if value is None else value
