"""`neural-limits explore`: an interactive page on this machine."""

from __future__ import annotations

from dataclasses import dataclass

from ._errors import DONE, Failed
from ._show import line

EXTRA = ("dash", "plotly", "flask", "waitress")


@dataclass(frozen=True)
class Explore:
    """Open a page whose controls recompute a network or a limit: loss, kernels, outliers, stability, and the code.

    It is served on 127.0.0.1 only, at an address with a token, until Ctrl-C.
    """

    port: int = 0
    """Port to serve on; 0 is any that is free."""
    no_browser: bool = False
    """Print the address and open nothing."""

    def run(self) -> int:
        """Serve until Ctrl-C."""
        if not 0 <= self.port < 2**16:
            raise ValueError(f"`port` must be from 0 to 65535; got {self.port}.")
        try:
            from ..explorer import serve
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in EXTRA:
                raise
            raise Failed(f"explore needs {error.name}: pip install 'neural-limits[explore]'") from None
        serve(self.port, not self.no_browser, lambda address: line(f"explore  {address}\nCtrl-C stops it."))
        return DONE
