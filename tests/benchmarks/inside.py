"""What is measured inside a worker's process. Times are nanoseconds."""

from __future__ import annotations

import os
import time
import timeit
import zlib
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

from tests.benchmarks.worker import Inside

BURST = 20
BURST_PAUSE_S = 0.03

now_ns = time.perf_counter_ns


def cells(inside: Inside, count: int, in_cell_s: float, between_s: float) -> dict[str, float]:
    """Cost of one cell: its beginning and its end, without what is between them."""
    costs = []
    for number in range(count):
        begin, end = inside.subject.cell()
        t0 = now_ns()
        begin()
        t1 = now_ns()
        if in_cell_s:
            time.sleep(in_cell_s)
        t2 = now_ns()
        end()
        costs.append(now_ns() - t2 + t1 - t0)
        _breathe(number, between_s)
    return {"median": median(costs), "mean": fmean(costs)}


def _breathe(number: int, between_s: float = 0.0) -> None:
    """Pause, at least now and then: without end, cells would fill queues that users never fill."""
    if between_s:
        time.sleep(between_s)
    elif number % BURST == BURST - 1:
        time.sleep(BURST_PAUSE_S)


def ready(inside: Inside) -> None:
    """The shell is up, the tool is not."""


def register_reads(inside: Inside, count: int, files: list[str]) -> float:
    """Reading the files of one cell, twice each, with nothing around."""
    descriptors = [os.open(path, os.O_RDONLY) for path in files]
    pread, costs = os.pread, []
    for _ in range(count):
        t0 = now_ns()
        for descriptor in descriptors:
            pread(descriptor, 32, 0)
        for descriptor in descriptors:
            pread(descriptor, 32, 0)
        costs.append(now_ns() - t0)
    for descriptor in descriptors:
        os.close(descriptor)
    return median(costs)


def whole_cells(inside: Inside, count: int) -> float:
    """``run_cell`` of a cell that does nothing, the way a kernel calls it."""
    run_cell, costs = inside.shell.run_cell, []
    for number in range(count):
        t0 = now_ns()
        run_cell("pass", store_history=False, cell_id=f"cell-{number}")
        costs.append(now_ns() - t0)
        _breathe(number)
    return median(costs)


def load_and_wait(inside: Inside) -> None:
    """Load our extension, and wait until its recorder has answered."""
    from jupyter_green import session

    inside.shell.run_line_magic("load_ext", "jupyter_green")
    session()


def unload(inside: Inside) -> None:
    """Unload our extension."""
    inside.shell.run_line_magic("unload_ext", "jupyter_green")


def begin(inside: Inside) -> None:
    """Begin a cell and leave it open."""
    first, inside.end_of_cell = inside.subject.cell()
    first()


def end(inside: Inside) -> None:
    """End the cell that is open."""
    assert inside.end_of_cell is not None
    inside.end_of_cell()


def watch(inside: Inside) -> None:
    """Let everything that a tool runs in the background run: some begins with the first cell."""
    inside.subject.watch()
    cells(inside, 1, 1.5, 0.5)


def log_calls(inside: Inside, count: int) -> float:
    """``log(loss=..., step=...)``."""
    from jupyter_green import log

    costs = []
    for step in range(count):
        t0 = now_ns()
        log(loss=0.25, step=step)
        costs.append(now_ns() - t0)
        _breathe(step)
    return median(costs)


def track_steps(inside: Inside, count: int, long: bool, rules: bool) -> float:
    """What a step of ``track()`` adds; a long one has marks of its own, short ones share them."""
    from jupyter_green import log, track

    costs: list[float] = []
    patience, budget = (5, "100 kWh") if rules else (None, None)
    bar = track(
        range(count), metric="loss", patience=patience, least_gain=0, budget=budget, show=False
    )
    steps = iter(bar)
    next(steps)
    for step in range(count - 1):
        if long:
            time.sleep(0.055)
        log(loss=1 / (step + 1))
        t0 = now_ns()
        next(steps)
        costs.append(now_ns() - t0)
    return median(costs)


def measure_calls(inside: Inside, count: int) -> float:
    """``with measure("step"): pass``."""
    from jupyter_green import measure

    costs = []
    for number in range(count):
        t0 = now_ns()
        with measure("step"):
            pass
        costs.append(now_ns() - t0)
        _breathe(number)
    return median(costs)


def many_cells(inside: Inside, count: int) -> float:
    """A session of many cells; how long its first display takes."""
    from jupyter_green import session

    for number in range(count):
        first, last = inside.subject.cell()
        first()
        last()
        _breathe(number)
    time.sleep(1.0)
    t0 = now_ns()
    found = len(session().cells)
    cost = now_ns() - t0
    if found < count:
        raise RuntimeError(f"{found} cells of {count} are there")
    return cost


def session_calls(inside: Inside, count: int) -> float:
    """``session()`` after one more cell."""
    from jupyter_green import session

    costs = []
    for _ in range(count):
        cells(inside, 1, 0.0, 0.0)
        t0 = now_ns()
        session()
        costs.append(now_ns() - t0)
    return median(costs)


def text_report(inside: Inside, everything: bool) -> float:
    """The text report of the session so far, without asking for the session."""
    from jupyter_green import session
    from jupyter_green.report.text import render

    shown = session()
    t0 = now_ns()
    render(shown, width=100, everything=everything)
    return now_ns() - t0


def fold(inside: Inside, journal: str) -> dict[str, Any]:
    """A whole journal into a session; and reading its lines alone."""
    from jupyter_green.events import decode
    from jupyter_green.sessions.fold import Fold

    data = Path(journal).read_bytes()
    t0, cpu0 = now_ns(), time.process_time_ns()
    folding = Fold()
    folding.feed_lines(data)
    session = folding.session()
    t1, cpu1 = now_ns(), time.process_time_ns()
    for line in data.splitlines():
        decode(line)
    decoded_ns = now_ns() - t1
    return {
        "fold": t1 - t0,
        "cpu": cpu1 - cpu0,
        "decode": decoded_ns,
        "cells": len(session.cells),
    }


class Page:
    """A panel that looks at the session of this process: its messages are made, and not sent."""

    def __init__(self, shell: Any) -> None:
        from jupyter_client.session import Session

        from jupyter_green.notebook.panels import Panels
        from jupyter_green.recorder.tracker import current

        tracker = current()
        assert tracker is not None
        self._session = Session(key=b"a key")
        self._panels = Panels(tracker, shell, subshells=True)
        self.bytes: list[int] = []
        self.data_bytes: list[int] = []

    def look(self, visible: bool) -> None:
        look = {"type": "watch", "client": "page", "visible": visible, "refresh_s": 1.0}
        self._panels.receive(self, look)

    def send(self, data: dict[str, Any], buffers: Sequence[bytes] = ()) -> None:
        """Do all that is done for a message, but for the socket."""
        message = self._session.msg("comm_msg", {"comm_id": "jupyter_green", "data": data})
        frames = [*self._session.serialize(message), *buffers]
        self.bytes.append(sum(map(len, frames)))
        self.data_bytes.append(sum(map(len, buffers)))


def look(inside: Inside) -> None:
    """A panel begins to look."""
    if inside.page is None:
        inside.page = Page(inside.shell)
    inside.page.look(visible=True)


def look_away(inside: Inside) -> None:
    """Nobody looks."""
    if inside.page is not None:
        inside.page.look(visible=False)


def heard(inside: Inside) -> dict[str, list[int]]:
    """Sizes of the messages since this was asked last: all frames, and the lines alone."""
    page = inside.page
    sizes = {"bytes": page.bytes, "data_bytes": page.data_bytes}
    page.bytes, page.data_bytes = [], []
    return sizes


def pack_snapshot(inside: Inside, journal: str) -> dict[str, int]:
    """A whole journal as a panel gets it."""
    from jupyter_green.recorder.feed import packed

    path = Path(journal)
    t0, cpu0 = now_ns(), time.process_time_ns()
    _, data = packed(path, path.stat().st_size, [])
    took = {"took": now_ns() - t0, "cpu": time.process_time_ns() - cpu0}
    return {**took, "bytes": len(data), "inflated_bytes": len(zlib.decompress(data))}


def detection(inside: Inside, count: int, sysfs: str) -> float:
    """``detect()`` and ``close()``."""
    from jupyter_green.settings import Settings
    from jupyter_green.sources.detect import detect

    settings, costs = Settings(data_dir="", sysfs_root=sysfs), []
    for _ in range(count):
        t0 = now_ns()
        detect(settings).close()
        costs.append(now_ns() - t0)
    return median(costs)


def energy_line(inside: Inside, in_cell_s: float) -> float:
    """From the last moment of a ``%%energy`` cell to the moment when its line has been shown."""
    shell = inside.shell
    lines = ("%%energy", "import time as _time", f"_time.sleep({in_cell_s})")
    shell.run_cell("\n".join((*lines, "_end_ns = _time.perf_counter_ns()")))
    return now_ns() - int(shell.user_ns["_end_ns"])


def statement_of(inside: Inside, seconds: float) -> str:
    """A statement that takes about so long here, and does nothing but compute."""
    numbers = 100
    for _ in range(3):
        loops = max(1, round(0.05 / seconds))
        took_s = timeit.timeit(f"sum(range({numbers}))", number=loops) / loops
        numbers = max(1, round(numbers * seconds / took_s))
    return f"sum(range({numbers}))"


def repeat_beside(inside: Inside, statement: str) -> dict[str, float]:
    """``%timeit`` and ``%energyit`` of one statement: what they say, and how long they take."""
    magic, names = inside.shell.run_line_magic, inside.shell.user_ns
    t0 = now_ns()
    timed = magic("timeit", f"-q -o {statement}")
    t1 = now_ns()
    magic("energyit", f"-q -o _repeated {statement}")
    t2 = now_ns()
    repeated = names["_repeated"]
    return {
        "timeit_s": timed.average,
        "energyit_s": repeated.duration_s,
        "energyit_j": repeated.energy_j,
        "timeit_whole_s": (t1 - t0) / 1e9,
        "energyit_whole_s": (t2 - t1) / 1e9,
    }
