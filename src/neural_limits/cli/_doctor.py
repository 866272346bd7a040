"""`neural-limits doctor`: what is installed here, and what is not."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ._errors import DONE
from ._machine import memory
from ._show import table

PACKAGES = (
    "neural-limits", "jax", "jaxlib", "equinox", "numpy", "scipy", "xarray", "h5netcdf", "h5py", "matplotlib",
    "scikit-learn", "tyro", "rich",
)  # fmt: skip
EXTRAS = {
    "torch": "PyTorch models", "ray": "sweeps over many machines", "optuna": "a sampler of sweeps",
    "plotly": "interactive figures", "dash": "the explorer",
}  # fmt: skip
EXTRA_NAMES = {"torch": "torch", "ray": "ray", "optuna": "optuna", "plotly": "report", "dash": "explore"}


@dataclass(frozen=True)
class Doctor:
    """Show versions, devices, memory, optional extras and data sets found on this machine."""

    def run(self) -> int:
        """Print what there is."""
        from ..runs import versions

        table("Versions", ("package", "version"), versions(PACKAGES).items())
        table("Machine", ("", ""), _machine())
        table("Optional extras", ("package", "version", "for"), _extras())
        table("Data sets", ("name", "where"), _data_sets())
        return DONE


def _machine() -> list[tuple[str, str]]:
    import jax

    from ..reports import size

    rows = [("device", f"{device.device_kind} ({device})") for device in jax.devices()]
    rows.append(("processors", str(os.cpu_count())))
    found = memory()
    if found is not None:
        rows.append(("memory", f"{size(found[0])}, {size(found[1])} free"))
    return rows


def _extras() -> list[tuple[str, str, str]]:
    from ..runs import versions

    found = versions(tuple(EXTRAS))
    return [
        (name, found[name] or f'not installed: pip install "neural-limits[{EXTRA_NAMES[name]}]"', use)
        for name, use in EXTRAS.items()
    ]


def _data_sets() -> list[tuple[str, str]]:
    from .. import tasks

    rows = [("digits", "with scikit-learn")]
    readers = {"fashion-mnist": tasks.fashion_mnist, "cifar-10": tasks.cifar10}
    for name, place in tasks.found().items():
        rows.append((name, str(place) if place is not None else _ways(readers[name])))
    return rows


def _ways(reader: object) -> str:
    """How to get a missing data set, in its reader's own words."""
    try:
        reader()  # type: ignore[operator]
    except FileNotFoundError as error:
        return str(error)
    return "found"
