"""Datasets as training leaves them, made by hand: reports need no network."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

Maker = Callable[..., xr.Dataset]


@pytest.fixture(scope="session")
def make_run() -> Maker:
    """``make_run(weights, width, layers=2, modes=2, steps=40, spectrum=False)``."""

    def make(
        weights: str, width: int, *, layers: int = 2, modes: int = 2, steps: int = 40, spectrum: bool = False
    ) -> xr.Dataset:
        rng = np.random.default_rng(width)
        step, record = np.arange(steps + 1), np.array([0, 1, 4, 40])
        data = xr.Dataset(coords={"step": step, "record": record, "layer": np.arange(layers)})
        data["loss"] = ("step", 0.5 * np.exp(-step / 4))
        data["accuracy"] = ("step", np.minimum(1, 0.5 + step / 10))
        values = 2.2 + np.arange(modes, 0, -1) + 0.01 * rng.standard_normal((4, layers, modes))
        values[0] = np.nan  # nothing has escaped at the start
        values[1, :, 1:] = np.nan
        data["singular_value"] = (("record", "layer", "mode"), values)
        for name in ("overlap_left", "overlap_right"):
            data[name] = (("record", "layer", "mode"), np.where(np.isnan(values), np.nan, 0.7))
        data["record_edge"] = (("record", "layer"), np.full((4, layers), 2.0))
        data["threshold"] = (("record", "layer"), np.full((4, layers), 2.05))
        data["edge"] = ("layer", np.full(layers, 2.0))
        if weights == "conditioned":
            for side, factor in (("rank_left", 3), ("rank_right", 2)):
                data[side] = (("step", "layer"), factor * np.minimum(step, 9)[:, None] + np.arange(layers))
        if spectrum:
            bulk = np.sort(np.abs(rng.uniform(0, 2, (layers, width - modes))))[:, ::-1]
            data["spectrum"] = (("layer", "index"), np.concatenate([values[-1], bulk], axis=1))
        data.attrs.update(status="completed", message="", weights=weights, width=width, seed=0)
        return data

    return make
