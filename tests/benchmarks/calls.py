"""log(), measure(), session() and the text report, in a session of 10,000 cells."""

from __future__ import annotations

from tests.benchmarks.effort import Effort
from tests.benchmarks.figures import Table
from tests.benchmarks.place import Place, Worker
from tests.benchmarks.subjects import OURS

LOG_US = 50.0
STEP_US = 100.0
"""Most that the loop of a training may wait."""


def run(where: Place, names: list[str], effort: Effort) -> Table:
    """Ours alone; a new process for each session."""
    table = Table(f"The Python interface, in a session of {effort.session_cells:,} cells")
    if OURS not in names:
        return table
    for _ in range(max(2, effort.rounds // 2)):
        with Worker(where, OURS) as worker:
            _one_session(table, worker, effort)
    return table


def _one_session(table: Table, worker: Worker, effort: Effort) -> None:
    for _ in range(3):
        log_us = worker.ask("log_calls", count=effort.cells) / 1e3
        measure_us = worker.ask("measure_calls", count=effort.cells) / 1e3
        table.add("log(loss=..., step=...)", OURS, log_us, "us", aim=LOG_US)
        table.add("with measure('step'): pass", OURS, measure_us, "us")
    for _ in range(3):
        for name, count, long, rules, aim in (
            ("short", effort.cells, False, False, STEP_US),
            ("of 55 ms", 40, True, False, STEP_US),
            ("of 55 ms, with a budget and a patience", 40, True, True, None),
        ):
            step_us = worker.ask("track_steps", count=count, long=long, rules=rules) / 1e3
            table.add(f"a step of track(), {name}", OURS, step_us, "us", aim=aim)
    fresh_ms = worker.ask("session_calls", count=20) / 1e6
    table.add("session() in a session of a few cells", OURS, fresh_ms, "ms")
    first_ms = worker.ask("many_cells", count=effort.session_cells) / 1e6
    table.add("first session() after all cells", OURS, first_ms, "ms")
    for _ in range(3):
        again_ms = worker.ask("session_calls", count=20) / 1e6
        table.add("session() after one more cell", OURS, again_ms, "ms")
        report_ms = worker.ask("text_report", everything=False) / 1e6
        table.add("text report", OURS, report_ms, "ms")
        full_ms = worker.ask("text_report", everything=True) / 1e6
        table.add("text report with every cell", OURS, full_ms, "ms")
