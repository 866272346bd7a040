"""A sweep whose workers stay alive from one grid to the next, for points that follow from results."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ._driver import Driver
from ._engine import Engine
from ._folder import SweepFolder, is_result
from ._request import Request, trial_name
from ._sweep import Options, engine_for, put_in_order, stop

if TYPE_CHECKING:
    import xarray as xr


class Session:
    """Grids one after another in the folder of one sweep, on workers that start, and compile, once for all.

    Used in a ``with`` block, which stops the workers at its end; may be stopped at any moment and begun again. Workers
    start when there is something to train. ``options`` as for `sweep`; ``tell`` gets a line on each thing that goes
    wrong.

    >>> base, seeds = {"width": 64, "weights": "dense"}, [0, 1]
    >>> with nl.sweeps.Session(folder) as session:  # doctest: +SKIP
    ...     found = session.run(base, {"lr": [0.1], "seed": seeds})
    ...     while np.isfinite(found.final_loss).all():
    ...         found = session.run(base, {"lr": [2 * found.lr.item()], "seed": seeds})
    """

    def __init__(
        self, out: str | os.PathLike[str], *, tell: Callable[[str], None] = lambda text: None, **options: Any
    ) -> None:
        self.options, self.tell = Options(**options), tell
        self.folder = SweepFolder.create(out)
        put_in_order(self.folder, self.options, tell)
        self._engine: Engine | None = None
        self._asked = False

    def ask(self, base: Mapping[str, Any], grid: Mapping[str, Any]) -> None:
        """Add a grid that the next `run` trains too."""
        self.folder.add_request(Request.of({"base": base, "grid": grid}))
        self._asked = True

    def run(self, base: Mapping[str, Any] | None = None, grid: Mapping[str, Any] | None = None) -> xr.Dataset:
        """Train what the folder was asked for and does not hold; the dataset of this grid alone, as `Sweep.data`.

        ValueError for a field or value that there is none of; OSError in one line where the disk is full.
        """
        from ._data import dataset

        request = Request.of({"base": base or {}, "grid": grid or {}})
        names = [trial_name(configuration) for configuration in request.required({})]
        if self._asked or not all(is_result(self.folder.find(name).state) for name in names):
            self.folder.add_request(request)
            self._asked = False
            if self._engine is None:
                self._engine = engine_for(self.folder.path, self.options)
            Driver(self.folder, self._engine, self.tell).run(lambda: None)
        return dataset(self.folder, request)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._engine is not None:
            stop(self._engine)
            self._engine = None
