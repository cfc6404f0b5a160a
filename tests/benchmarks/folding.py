"""A day's journal with 10,000 cells, folded into a session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from jupyter_green.events import (
    FORMAT,
    AnyEvent,
    CellFinished,
    CellStarted,
    CounterInfo,
    PowerSampled,
    SessionEnded,
    SessionStarted,
    encode,
)
from tests.benchmarks.effort import Effort
from tests.benchmarks.figures import Table
from tests.benchmarks.place import Place, Worker
from tests.benchmarks.subjects import OURS

DAY_S = 86_400
CELLS = 10_000
WATTS = {"package-0": 35.0, "core-0": 22.0, "uncore-0": 1.5, "dram-0": 3.0}
"""Powers of the counters; the package and the DRAM are counted."""


def run(where: Place, names: list[str], effort: Effort) -> Table:
    """Ours alone: no peer keeps a journal."""
    table = Table("Folding a day of samples with 10,000 cells")
    if OURS not in names:
        return table
    journal = where.root / "day.ndjson"
    lines = write_journal(journal)
    size = f"{lines:,} lines, {journal.stat().st_size / 1e6:.0f} MB, 4 counters"
    for _ in range(effort.folds):
        with Worker(where, OURS, started=False) as worker:
            took = worker.ask("fold", journal=str(journal))
        note = table.note(f"{size}; a sample a second throughout, as while cells run.")
        table.add("journal to session", OURS, took["fold"] / 1e9, "s", aim=1.0, note=note)
        table.add(
            "CPU time of it, on a busy machine the better figure", OURS, took["cpu"] / 1e9, "s"
        )
        table.add("of this, decoding the lines", OURS, took["decode"] / 1e9, "s")
    return table


def write_journal(path: Path) -> int:
    """Write the day; how many lines it has."""
    with path.open("wb") as file:
        count = 0
        for event in _day():
            file.write(encode(event))
            count += 1
    return count


def _day() -> Iterator[AnyEvent]:
    counters = [
        CounterInfo(
            name=name,
            domain=name.partition("-")[0],
            source="rapl",
            provenance="measured",
            resolution_s=0.001,
            range_uj=262_143_328_850,
            counted=name in ("package-0", "dram-0"),
        )
        for name in WATTS
    ]
    yield SessionStarted(
        t=0.0, **stamp(0.0), format=FORMAT, session="day", version="0", wall_s=1.7e9,
        host="here", boot_id="boot", pid=1, process_started=1.0, counters=counters,
    )  # fmt: skip
    every_s = DAY_S / CELLS
    second = 0
    for number in range(1, CELLS + 1):
        begins_s = (number - 1) * every_s + 0.3
        ends_s = begins_s + 0.8 * every_s
        while second < begins_s:
            yield _sample(second)
            second += 1
        line = f"model_{number % 400}.fit(train)"
        yield CellStarted(
            t=begins_s, **stamp(begins_s), n=2 * number - 1, number=number,
            cell=f"{number % 400:016x}", identified_by="front end", first_line=line,
            source_hash=f"{number % 800:016x}", execution_count=number,
        )  # fmt: skip
        while second < ends_s:
            yield _sample(second)
            second += 1
        yield CellFinished(
            t=ends_s, **stamp(ends_s), n=2 * number, number=number, status="ok", tree_share=0.42
        )
    yield SessionEnded(t=float(DAY_S), **stamp(DAY_S), n=2 * CELLS + 1, reason="goodbye")


def stamp(t: float) -> dict:  # type: ignore[type-arg]
    """What the counters say at a time of the day."""
    uj = {name: 10**9 + round(watts * t * 1e6) for name, watts in WATTS.items()}
    error_uj = {name: (round(watts * 900), round(watts * 1200)) for name, watts in WATTS.items()}
    return {"uj": uj, "error_uj": error_uj}


def _sample(second: int) -> PowerSampled:
    t = second + 0.001 * (second % 7)
    uj = stamp(t)["uj"]
    return PowerSampled(t=t, uj=uj, running=True, cpu_utilisation=0.42)
