"""Finding out what can be measured."""

from __future__ import annotations

from tests.benchmarks.effort import Effort
from tests.benchmarks.figures import Table
from tests.benchmarks.place import Place, Worker
from tests.benchmarks.subjects import OURS


def run(where: Place, names: list[str], effort: Effort) -> Table:
    """Ours alone; what the peers need for it is in their start."""
    table = Table("detect()")
    if OURS not in names:
        return table
    empty = where.root / "no-sysfs"
    empty.mkdir(exist_ok=True)
    with Worker(where, OURS, started=False) as worker:
        for _ in range(effort.rounds):
            for what, sysfs in (("four RAPL zones", where.sysfs), ("the model", str(empty))):
                took_ms = worker.ask("detection", count=20, sysfs=sysfs) / 1e6
                table.add(what, OURS, took_ms, "ms")
    return table
