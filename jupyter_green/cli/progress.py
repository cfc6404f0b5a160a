"""Shows on stderr which cell runs."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, TextIO

import nbformat
from tqdm import tqdm

from jupyter_green.recorder.names import first_line
from jupyter_green.report.lines import cut
from jupyter_green.report.words import clean

LABEL_WIDTH = 40


class Progress:
    """A bar in a terminal, plain lines elsewhere."""

    def __init__(self, notebook: nbformat.NotebookNode, file: TextIO | None = None) -> None:
        self._file = file or sys.stderr
        cells = notebook.cells
        self.total = sum(1 for cell in cells if cell.cell_type == "code" and cell.source.strip())
        self.begun = 0
        self.running = False
        self._bar: Any = None

    def __enter__(self) -> Progress:
        if self._file.isatty():
            self._bar = tqdm(total=self.total, file=self._file, unit="cell", leave=False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def cell_begins(self, cell: nbformat.NotebookNode, cell_index: int) -> None:
        """A cell is sent to the kernel."""
        self.begun += 1
        self.running = True
        label = cut(clean(first_line(cell.source)), LABEL_WIDTH)
        if self._bar is not None:
            self._bar.set_description_str(label)
        else:
            print(f"[{self.begun}/{self.total}] {label}", file=self._file, flush=True)

    def cell_ended(self, **_: Any) -> None:
        """The kernel has answered."""
        self.running = False
        if self._bar is not None:
            self._bar.update()
