"""What the processes that share one run must decide alike, though each has a clock and a memory of its own."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np
from jax.experimental.multihost_utils import broadcast_one_to_all, process_allgather
from jax.sharding import Mesh


@dataclass(frozen=True)
class Hosts:
    """The processes of a run. Of several, all must ask at the same points of the program."""

    count: int = 1

    @classmethod
    def of(cls, mesh: Mesh | None) -> Hosts:
        """Those whose devices make up a mesh; one without."""
        return cls(1 if mesh is None else len({device.process_index for device in mesh.devices.flat}))

    @property
    def writes(self) -> bool:
        """Whether this one writes the files."""
        return self.count == 1 or jax.process_index() == 0

    def first(self, value: float) -> float:
        """What the first process says."""
        return value if self.count == 1 else float(broadcast_one_to_all(np.float32(value)))

    def least(self, value: float) -> float:
        """The smallest of what they say."""
        return value if self.count == 1 else float(np.min(process_allgather(np.float32(value))))

    def agree(self, value: float) -> bool:
        """Whether all say the same."""
        return self.least(value) == -self.least(-value)


ALONE = Hosts()
