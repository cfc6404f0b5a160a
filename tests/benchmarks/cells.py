"""What tracking adds to a cell that does nothing."""

from __future__ import annotations

from contextlib import ExitStack

from tests.benchmarks.effort import Effort
from tests.benchmarks.figures import Table
from tests.benchmarks.place import Place, Worker, for_each
from tests.benchmarks.subjects import NOTHING, OURS

QUICKLY = "cells in bursts of 20"
READS = "of this, reading the files"
REST = "the rest"
PACED = "cells of 60 ms, 20 ms apart"
MEAN = "cells in bursts of 20, mean"
PLAIN = "run_cell('pass') without us"
WHOLE = "what loading us adds to run_cell('pass')"

COLD = (
    "After a pause the processor's caches hold other things, and a virtual processor is asleep: "
    "every step costs many times as much, also of the peers and of IPython."
)
AROUND = (
    "All that changes for the user, also that the recorder wakes up and takes the processor, "
    "and the caches, for a moment."
)
BOUNDARIES = {
    "CodeCarbon": "start_task and stop_task of an offline tracker that writes no file: reads "
    "package and DRAM, computes emissions, and starts and ends a timer thread.",
    "Zeus": "begin_window and end_window of a monitor without GPUs: opens, reads and closes "
    "package and DRAM; nothing is recorded.",
    "carbontracker": "epoch_start and epoch_end: read nothing themselves, a thread samples once "
    "in two seconds. Each epoch writes log lines.",
    "pyRAPL": "Measurement.begin and end: read package and DRAM; nothing is recorded.",
    OURS: "pre_run_cell and post_run_cell: read four zones, and send two events to be recorded.",
    NOTHING: "IPython's own events without a listener: a part of every other figure but the "
    "peers'.",
}


def run(where: Place, names: list[str], effort: Effort) -> Table:
    """The tools take turns, a batch each."""
    table = Table("Cost of tracking one empty cell")
    problems: dict[str, str] = {}
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}

        def begin(name: str) -> None:
            workers[name] = stack.enter_context(Worker(where, name))
            workers[name].ask("cells", count=20, in_cell_s=0.01, between_s=0.01)

        def measure(name: str) -> None:
            _one_round(table, where, workers[name], effort)

        for_each(names, problems, begin)
        for _ in range(effort.rounds):
            for_each(names, problems, measure)
    for name, problem in problems.items():
        table.row(QUICKLY, name, "us").problem = problem
    _whole(table, where, effort)
    return table


def _one_round(table: Table, where: Place, worker: Worker, effort: Effort) -> None:
    name = worker.name
    quickly = worker.ask("cells", count=effort.cells, in_cell_s=0, between_s=0)
    note = table.note(BOUNDARIES[name])
    cost_us = quickly["median"] / 1e3
    table.add(QUICKLY, name, cost_us, "us", note=note)
    if where.files(name):
        reads_us = worker.ask("register_reads", count=effort.cells, files=where.files(name)) / 1e3
        table.add(READS, name, reads_us, "us")
        aim = 30.0 if name == OURS else None
        table.add(REST, name, cost_us - reads_us, "us", aim=aim)
    table.add(MEAN, name, quickly["mean"] / 1e3, "us")
    paced = worker.ask("cells", count=effort.paced_cells, in_cell_s=0.06, between_s=0.02)
    table.add(PACED, name, paced["median"] / 1e3, "us", note=table.note(COLD))


def _whole(table: Table, where: Place, effort: Effort) -> None:
    """In one process, with the extension and without in turns."""
    with Worker(where, OURS, started=False) as worker:
        worker.ask("whole_cells", count=effort.cells)
        for _ in range(effort.rounds):
            without_us = worker.ask("whole_cells", count=effort.cells) / 1e3
            worker.ask("load_and_wait")
            loaded_us = worker.ask("whole_cells", count=effort.cells) / 1e3
            worker.ask("unload")
            table.add(PLAIN, NOTHING, without_us, "us")
            table.add(WHOLE, OURS, loaded_us - without_us, "us", note=table.note(AROUND))
