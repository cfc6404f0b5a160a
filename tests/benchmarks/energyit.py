"""What ``%energyit`` adds to a loop, beside ``%timeit``."""

from __future__ import annotations

from tests.benchmarks.effort import Effort
from tests.benchmarks.figures import Table
from tests.benchmarks.place import Place, Worker
from tests.benchmarks.subjects import OURS

TIMEIT = "%timeit"
STATEMENTS = {"1 us": 1e-6, "1 ms": 1e-3}
TURNS = "Mean of 7 runs of 0.1 s or more each, the number of loops chosen by each; they take turns."
ENERGY = (
    "Energy: as shown by %energyit; for %timeit its time at the constant power of the simulated "
    "machine, 38 W."
)
WHOLE = "Warm-up and the choice of loops included."


def run(where: Place, names: list[str], effort: Effort) -> Table:
    """One process, in which they take turns."""
    table = Table("%energyit beside %timeit", reference=TIMEIT)
    if OURS not in names:
        return table
    watts = sum(z.watts for z in where.machine.zones if z.key in ("package-0", "dram-0"))
    with Worker(where, OURS) as worker:
        for title, seconds in STATEMENTS.items():
            statement = worker.ask("statement_of", seconds=seconds)
            for _ in range(effort.rounds):
                told = worker.ask("repeat_beside", statement=statement)
                _add(table, title, told, watts)
    return table


def _add(table: Table, title: str, told: dict[str, float], watts: float) -> None:
    turns, energy, whole = table.note(TURNS), table.note(ENERGY), table.note(WHOLE)
    timeit_s, energyit_s = told["timeit_s"], told["energyit_s"]
    loop = f"a statement of {title}"
    table.add(f"{loop}: time per loop", TIMEIT, timeit_s * 1e6, "us", note=turns)
    table.add(f"{loop}: time per loop", OURS, energyit_s * 1e6, "us", note=turns)
    table.add(f"{loop}: energy per loop", TIMEIT, timeit_s * watts * 1e6, "uJ", note=energy)
    table.add(f"{loop}: energy per loop", OURS, told["energyit_j"] * 1e6, "uJ", note=energy)
    table.add(f"{loop}: all of it", TIMEIT, told["timeit_whole_s"], "s", note=whole)
    table.add(f"{loop}: all of it", OURS, told["energyit_whole_s"], "s", note=whole)
