"""What the suggestion of a stage adds to the start of a cell."""

from __future__ import annotations

import time

from jupyter_green.recorder.suggesting import suggested_stage
from tests.benchmarks.effort import Effort
from tests.benchmarks.figures import Table
from tests.benchmarks.place import Place
from tests.benchmarks.subjects import OURS
from tests.unit.stage_cells import HALVES, labelled_cells

KILOBYTE_US = 30.0
MEGABYTE_US = 3000.0
"""Most that a cell may wait."""

MEGABYTE = 1_000_000
PASSES = 10


def run(where: Place, names: list[str], effort: Effort) -> Table:
    """Ours alone, in this process, in seconds of its CPU: nothing here waits."""
    table = Table("The suggestion of a stage")
    if OURS not in names:
        return table
    cells = [cell.source for half in HALVES for cell in labelled_cells(half)]
    mean = round(sum(map(len, cells)) / len(cells))
    code = "\n".join(cells)
    kilobytes = [code[start : start + 1000] for start in range(0, len(code) - 1000, 1000)]
    for _ in range(effort.rounds):
        table.add(f"a cell of the labelled set ({mean} characters)", OURS, _each_us(cells), "us")
        one = "a cell of 1000 characters"
        table.add(one, OURS, _each_us(kilobytes), "us", aim=KILOBYTE_US)
        for what, cell in _large(code).items():
            table.add(f"1 MB of {what}", OURS, _each_us([cell]), "us", aim=MEGABYTE_US)
    return table


def _large(code: str) -> dict[str, str]:
    """What is read of these is bounded; they are unkind to the pattern that reads it."""
    return {
        "code": (code * (MEGABYTE // len(code) + 1))[:MEGABYTE],
        "numbers": "1, 0.5, " * (MEGABYTE // 8),
        "names": " ".join(f"a_{number}(" for number in range(MEGABYTE // 9)),
        "quotes": "'\\\"" * (MEGABYTE // 3),
        "preprocessors": "fit(" + "PCA()\t" * (MEGABYTE // 6),
        "blanks": " " * MEGABYTE,
    }


def _each_us(cells: list[str]) -> float:
    began = time.process_time_ns()
    for cell in cells * PASSES:
        suggested_stage(cell)
    return (time.process_time_ns() - began) / len(cells) / PASSES / 1e3
