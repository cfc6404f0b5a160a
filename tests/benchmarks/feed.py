"""What a panel that looks costs: messages, the recorder's CPU time, a cell's marks, a snapshot."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

from msgspec import structs

from jupyter_green.events import Stamped, decode, encode
from jupyter_green.recorder.feed import AWAKE_S
from tests.benchmarks.effort import Effort
from tests.benchmarks.figures import Table
from tests.benchmarks.folding import write_journal
from tests.benchmarks.place import Place, Worker
from tests.benchmarks.subjects import NOTHING, OURS

RUNNING, IDLE, ASLEEP = "a cell runs", "no cell, within the minute", "no cell, after the minute"
SETTLED_S = 2.0
"""What looking, or the end of a cell, causes is over."""
MESSAGES_PER_S, BYTES_PER_MESSAGE = 1.0, 2048
SNAPSHOT_KB = 1000.0

SIDES = {NOTHING: "Nobody looks.", OURS: "A page looks, and is told once a second."}
MARKS = "cells in bursts of 20"
BUSY = "while a cell runs: CPU of the recorder"
SERIALISED = (
    "Messages end where they are signed and packed for the kernel's socket; bytes are all their "
    "frames, so more than the compressed lines alone."
)


def run(where: Place, names: list[str], effort: Effort) -> Table:
    """Ours alone: no peer has a panel that looks into a kernel."""
    table = Table("A panel that looks")
    if OURS not in names:
        return table
    with Worker(where, OURS) as worker:
        _recorder(table, worker, effort)
        _marks(table, worker, effort)
        _messages(table, worker, effort)
    _snapshots(table, where, effort)
    return table


def _recorder(table: Table, worker: Worker, effort: Effort) -> None:
    """CPU time of the recorder in a long cell, with a page and without in turns."""
    worker.ask("begin")
    for _ in range(effort.watch_rounds):
        cpu = {}
        for who, note in SIDES.items():
            _turn(worker, who)
            cpu[who] = _recorder_s(worker, effort.watch_s) * 60 / effort.watch_s
            table.add(BUSY, who, cpu[who], "s/min", note=table.note(note))
        table.add(f"{BUSY}, added by the page", OURS, cpu[OURS] - cpu[NOTHING], "s/min")
    worker.ask("end")
    worker.ask("look_away")


def _turn(worker: Worker, who: str) -> None:
    worker.ask("look" if who == OURS else "look_away")
    time.sleep(SETTLED_S)


def _recorder_s(worker: Worker, seconds: float) -> float:
    _, before_s = worker.tree.cpu_s()
    time.sleep(seconds)
    return float(worker.tree.cpu_s()[1] - before_s)


def _marks(table: Table, worker: Worker, effort: Effort) -> None:
    """Beginning and end of cells in the kernel, with a page and without in turns."""
    worker.ask("cells", count=effort.cells, in_cell_s=0, between_s=0)
    for _ in range(effort.rounds):
        took_us = {}
        for who, note in SIDES.items():
            _turn(worker, who)
            cost = worker.ask("cells", count=effort.cells, in_cell_s=0, between_s=0)
            took_us[who] = cost["median"] / 1e3
            table.add(MARKS, who, took_us[who], "us", note=table.note(note))
        ratio = took_us[OURS] / took_us[NOTHING]
        table.add("cells with a page to cells without, side by side", OURS, ratio, "times")


def _messages(table: Table, worker: Worker, effort: Effort) -> None:
    worker.ask("look")
    worker.ask("begin")
    for _ in range(effort.watch_rounds):
        _listen(table, worker, RUNNING, effort.watch_s)
    worker.ask("end")
    for _ in range(effort.watch_rounds):
        _listen(table, worker, IDLE, min(effort.watch_s, AWAKE_S / effort.watch_rounds / 2))
    time.sleep(AWAKE_S)
    for _ in range(effort.watch_rounds):
        _listen(table, worker, ASLEEP, effort.watch_s)
    worker.ask("look_away")


def _listen(table: Table, worker: Worker, state: str, seconds: float) -> None:
    time.sleep(SETTLED_S)
    worker.ask("heard")
    time.sleep(seconds)
    heard: dict[str, Any] = worker.ask("heard")
    sizes = heard["bytes"]
    note = table.note(SERIALISED)
    # Where a message falls on the edge of the stretch, one more is in it.
    aim = MESSAGES_PER_S + 1 / seconds
    table.add(f"{state}: messages", OURS, len(sizes) / seconds, "/s", aim=aim)
    table.add(f"{state}: bytes", OURS, sum(sizes) / seconds, "B/s", note=note)
    if sizes:
        largest = max(heard["data_bytes"])
        what = f"{state}: largest message, its compressed lines"
        table.add(what, OURS, largest, "B", aim=BYTES_PER_MESSAGE)


# --- snapshots ---------------------------------------------------------------------------------


def _snapshots(table: Table, where: Place, effort: Effort) -> None:
    day, noisy = where.root / "looked-at.ndjson", where.root / "looked-at-noisy.ndjson"
    lines = write_journal(day)
    write_noisy(day, noisy)
    note = table.note(
        f"A day of {lines:,} lines with 10,000 cells, as the recorder thins and packs it, in a "
        "thread of its own. Noisy: the last digits of times and counters are random, as on "
        "hardware; they do not compress."
    )
    for name, journal in (("smooth", day), ("noisy", noisy)):
        for _ in range(effort.folds):
            with Worker(where, OURS, started=False) as worker:
                took = worker.ask("pack_snapshot", journal=str(journal))
            what = f"snapshot of a {name} day"
            kilobytes = took["bytes"] / 1e3
            table.add(f"{what}: size", OURS, kilobytes, "kB", aim=SNAPSHOT_KB, note=note)
            table.add(f"{what}: inflated", OURS, took["inflated_bytes"] / 1e6, "MB")
            table.add(f"{what}: time", OURS, took["took"] / 1e9, "s")
            table.add(f"{what}: CPU", OURS, took["cpu"] / 1e9, "s")


def write_noisy(journal: Path, path: Path) -> None:
    """The same journal with random last digits of its times and counters."""
    chance = random.Random(4)
    with journal.open("rb") as lines, path.open("wb") as file:
        for line in lines:
            event = decode(line)
            if isinstance(event, Stamped):
                event = structs.replace(
                    event,
                    t=round(event.t + chance.random() * 1e-3, 6),
                    uj={name: uj + chance.randrange(50_000) for name, uj in event.uj.items()},
                    error_uj={
                        name: (low + chance.randrange(5_000), high + chance.randrange(5_000))
                        for name, (low, high) in event.error_uj.items()
                    },
                )
            file.write(encode(event))
