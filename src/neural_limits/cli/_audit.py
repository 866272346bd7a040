"""`neural-limits audit`: the spectra of a checkpoint's weights."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from ._errors import DONE, Failed
from ._options import command_line, unset
from ._output import choose_folder
from ._progress import working
from ._show import line, table

if TYPE_CHECKING:
    from .. import Audit as Result


@dataclass(frozen=True)
class Audit:
    """Spectra of a checkpoint's weight matrices: what stands out of each bulk, and what became of the bulk.

    Reads safetensors, NumPy archives and torch's state dicts, folders of shards too. Nothing in a file is executed.
    """

    path: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """A .safetensors, .npz, .pt, .pth or .bin file, an index of shards, or a folder of them."""
    init: Annotated[Path | None, unset("PATH", "none: the scale is taken from each bulk")] = None
    """The checkpoint at initialisation: its scales, and what training added."""
    init_std: Annotated[str | None, unset("FLOAT|fan-in", "none")] = None
    """Standard deviation of an entry at initialisation; fan-in: 1/√columns."""
    max_size: int = 4096
    """Matrices with more rows and columns than this: the largest singular values alone."""
    top: int = 16
    """How many of those."""
    split: bool = False
    """Tensors of three dimensions (stacks of experts) as one matrix for each leading index."""
    false_alarm: float = 0.01
    """Probability with which a matrix of noise shows an outlier."""
    json: bool = False
    """Print the numbers as JSON in place of the table."""

    out: Annotated[Path | None, unset("PATH", "runs/audit-NAME-TIME")] = None
    """The folder to write to."""
    overwrite: bool = False
    """Replace the run in that folder."""

    def run(self) -> int:
        """Read, write, print."""
        from ..reports import AUDIT_HEADERS, AUDIT_NUMBERS, audit_rows, write_audit_report
        from ..runs import RunFolder

        result = self._result()
        folder = RunFolder.create(choose_folder(self.out, f"audit-{self.path.resolve().stem}"), self.overwrite)
        with folder.recording():
            folder.update(
                kind="audit", title=f"Spectra of {self.path.name or self.path}", configuration=asdict(self),
                command=command_line("audit", self, leave_out=("path", "out", "overwrite", "json"), first=(self.path,)),
            )  # fmt: skip
            folder.write_dataset("data.nc", result.data)
            folder.finish(result.status, result.message)
            page = write_audit_report(folder)
        if self.json:
            print(json.dumps(self._plain(result, page), indent=2, allow_nan=False))
            return DONE
        table(f"Weights of {self.path}", AUDIT_HEADERS, audit_rows(result.data), numbers=AUDIT_NUMBERS, dense=True)
        line(f"status  {result.status}: {result.message}")
        if result.data.attrs["left_out"]:
            line(f"left out, not floating-point: {result.data.attrs['left_out']}")
        line(f"report  {page}")
        return DONE

    def _result(self) -> Result:
        """The audit; what can be refused is refused before a folder is made."""
        from .. import audit

        with working("audit", every=10.0) as tell:
            try:
                return audit(
                    self.path, self.init, init_std=self._scale(), max_size=self.max_size, top=self.top,
                    split=self.split, false_alarm=self.false_alarm, progress=tell,
                )  # fmt: skip
            except ImportError as error:
                raise Failed(str(error)) from error

    def _scale(self) -> float | str | None:
        """The option as a number, where it is none of the rules."""
        if self.init_std is None or self.init_std == "fan-in":
            return self.init_std
        try:
            return float(self.init_std)
        except ValueError:
            raise ValueError(f"`init_std` must be a number or fan-in; got {self.init_std!r}.") from None

    def _plain(self, result: Result, page: Path) -> dict[str, object]:
        """The table with unknown numbers as null."""
        rows = result.table.reset_index().to_json(orient="records", double_precision=15)
        return {
            "path": str(self.path), "status": result.status, "message": result.message, "report": str(page),
            "matrices": json.loads(rows),
        }  # fmt: skip
