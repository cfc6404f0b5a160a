"""``jupyter green history`` and ``list`` over 10,000 sessions, as whole processes."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from jupyter_green.events import (
    FORMAT,
    AnyEvent,
    CellFinished,
    CellStarted,
    CounterInfo,
    MetricLogged,
    PowerSampled,
    SessionEnded,
    SessionStarted,
    encode,
)
from jupyter_green.sessions import index
from jupyter_green.sessions.library import journal_path
from tests.benchmarks.effort import Effort
from tests.benchmarks.figures import Table
from tests.benchmarks.place import Place
from tests.benchmarks.subjects import OURS

SESSIONS = 10_000
CELLS = 10
SAMPLES = 3
"""Between two boundaries of cells."""
EVERY_S = 1800.0
LASTS_S = 2400.0
"""Each session runs beside the next one for a while, so that the union has work."""
BOOT_OF = 500
"""Sessions between two boots."""
WATTS = {"package-0": 35.0, "dram-0": 3.0}


def run(where: Place, names: list[str], effort: Effort) -> Table:
    """Ours alone: no peer keeps a history."""
    table = Table(f"The history of {SESSIONS:,} sessions")
    if OURS not in names:
        return table
    data_dir = where.root / "data" / "jupyter_green"
    size = write_sessions(data_dir)
    note = table.note(
        f"Journals of {size / SESSIONS / 1000:.0f} kB each, which overlap in time; the whole "
        "command, from start to exit."
    )
    for _ in range(2):
        index.index_path(data_dir).unlink(missing_ok=True)
        table.add("history, nothing indexed yet", OURS, _command(where, "history"), "s", note=note)
    for _ in range(effort.rounds):
        took_s = _command(where, "history")
        table.add("history", OURS, took_s, "s", aim=2.0, note=note)
        took_s = _command(where, "history", "--by", "month")
        table.add("history --by month", OURS, took_s, "s", aim=2.0, note=note)
        table.add("list", OURS, _command(where, "list"), "s", note=note)
    return table


def _command(where: Place, *arguments: str) -> float:
    """Seconds that a command takes."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "jupyter_green.cli.app", *arguments],
        env=where.environment,
        cwd=where.root,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - began


def write_sessions(data_dir: Path) -> int:
    """Write all journals; their bytes together."""
    size = 0
    for number in range(SESSIONS):
        path = journal_path(data_dir, f"20260101T{number:06d}-abcdef")
        path.parent.mkdir(parents=True, exist_ok=True)
        data = b"".join(map(encode, _session(path.stem, number)))
        path.write_bytes(data)
        size += len(data)
    return size


def _session(name: str, number: int) -> Iterator[AnyEvent]:
    counters = [
        CounterInfo(
            name=counter,
            domain=counter.partition("-")[0],
            source="rapl",
            provenance="measured",
            resolution_s=0.001,
            range_uj=262_143_328_850,
        )
        for counter in WATTS
    ]
    begins_s = number * EVERY_S
    yield SessionStarted(
        **_stamp(begins_s, 0.0), format=FORMAT, session=name, version="0", wall_s=1.7e9 + begins_s,
        host="here", boot_id=f"boot {number // BOOT_OF}", pid=1, process_started=1.0,
        front_end="ipykernel", notebook=f"/home/me/train-{number % 50}.ipynb", counters=counters,
        project=f"project {number % 5}",
    )  # fmt: skip
    step_s = LASTS_S / (2 * CELLS * (SAMPLES + 1) + 2)
    t = 0.0
    for cell in range(1, CELLS + 1):
        t += step_s
        yield CellStarted(
            **_stamp(begins_s, t), number=cell, cell=f"{cell:016x}", first_line=f"fit({cell})"
        )
        for _ in range(SAMPLES):
            t += step_s
            yield PowerSampled(**_stamp(begins_s, t), running=True, cpu_utilisation=0.42)
        yield MetricLogged(t=t, name="accuracy", value=cell / CELLS, direction="higher", cell=cell)
        t += step_s
        yield CellFinished(**_stamp(begins_s, t), number=cell, status="ok")
        for _ in range(SAMPLES):
            t += step_s
            yield PowerSampled(**_stamp(begins_s, t), cpu_utilisation=0.02)
    yield SessionEnded(**_stamp(begins_s, LASTS_S))


def _stamp(begins_s: float, t: float) -> dict:  # type: ignore[type-arg]
    """Watts that go up and down within minutes, as those of real work do."""
    wall_s = begins_s + t
    worth_s = wall_s + 100 * math.sin(wall_s / 150)
    uj = {name: round(watts * (1000 + worth_s) * 1e6) for name, watts in WATTS.items()}
    return {"t": t, "uj": uj, "error_uj": {name: (900, 1200) for name in WATTS}}
