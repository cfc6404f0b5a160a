"""CPU time and memory of what goes on behind the user's back."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

from tests.benchmarks.effort import Effort
from tests.benchmarks.figures import Table
from tests.benchmarks.place import Place, Tree, Worker, for_each
from tests.benchmarks.subjects import NOTHING, OURS

MIB = 2**20
IDLE, RUNNING = "no cell runs", "a cell runs"
RATES = {
    OURS: "Samples four zones at 1 Hz (no cell) and 10 Hz (a cell runs), looks for other "
    "sessions, and writes the journal.",
    "CodeCarbon": "No cell: the tracker is started, and measures every 15 s. A cell runs: a "
    "task, during which it does not. Once a second it looks at the load.",
    "Zeus": "A process for the package and one for the DRAM look for a wrap of the counter once "
    "a second, cell or not. Nothing is recorded.",
    "carbontracker": "No cell: its thread waits. A cell runs: two reads of package and DRAM in "
    "two seconds.",
    "pyRAPL": "Has nothing in the background.",
    NOTHING: "A sleeping process: what is to be subtracted from the others.",
}


def run(where: Place, names: list[str], effort: Effort) -> Table:
    """All tools at the same time: CPU time is counted for each process, whatever the others do."""
    table = Table("CPU time in the background, and memory")
    problems: dict[str, str] = {}
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}

        def begin(name: str) -> None:
            worker = stack.enter_context(Worker(where, name, started=False))
            worker.ask("ready")
            before = worker.tree.own.memory_full_info()
            worker.start()
            worker.ask("watch")
            workers[name] = worker
            _memory(table, worker, before)

        for_each(names, problems, begin)
        for _ in range(effort.watch_rounds):
            _watch(table, workers, IDLE, effort.watch_s)
            for_each(list(workers), problems, lambda name: workers[name].ask("begin"))
            _watch(table, workers, RUNNING, effort.watch_s)
            for_each(list(workers), problems, lambda name: workers[name].ask("end"))
    for name, problem in problems.items():
        table.row(_what(IDLE, "in all"), name, "s/min").problem = problem
    return table


def _watch(table: Table, workers: dict[str, Worker], state: str, watch_s: float) -> None:
    time.sleep(1.0)  # what the beginning or the end of a cell causes is over
    before = {name: (time.perf_counter(), worker.tree.cpu_s()) for name, worker in workers.items()}
    time.sleep(watch_s)
    for name, worker in workers.items():
        t0, (own0_s, children0_s) = before[name]
        own_s, children_s = worker.tree.cpu_s()
        minutes = (time.perf_counter() - t0) / 60
        note = table.note(RATES[name])
        kernel = (own_s - own0_s) / minutes
        others = (children_s - children0_s) / minutes
        table.add(_what(state, "in all"), name, kernel + others, "s/min", note=note)
        if worker.tree.children:
            aim = {IDLE: 0.06, RUNNING: 0.3}[state] if name == OURS else None
            table.add(_what(state, "in processes of its own"), name, others, "s/min", aim=aim)


def _what(state: str, where: str) -> str:
    return f"{state}: CPU {where}"


def _memory(table: Table, worker: Worker, before: Any) -> None:
    tree: Tree = worker.tree
    after = tree.own.memory_full_info()
    table.add(
        "memory added to the kernel (USS)", worker.name, (after.uss - before.uss) / MIB, "MiB"
    )
    table.add(
        "memory added to the kernel (RSS)", worker.name, (after.rss - before.rss) / MIB, "MiB"
    )
    if not tree.children:
        return
    infos = [child.memory_full_info() for child in tree.children]
    many = f" ({len(infos)} processes)" if len(infos) > 1 else ""
    note = table.note(f"The sum of {worker.name}'s{many}.") if many else None
    name = worker.name
    for measure, aim in (("rss", 25.0), ("pss", None), ("uss", None)):
        value = sum(getattr(info, measure) for info in infos) / MIB
        what = f"memory of processes of its own ({measure.upper()})"
        table.add(what, name, value, "MiB", note=note, aim=aim if name == OURS else None)
