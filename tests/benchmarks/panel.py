"""The panel in a real browser: its size, a day's snapshot, live updates, scrolling and sorting.

The main thread's CPU time says more than the time that passes: the machine is busy, and a browser
without a screen paints with the processor.
"""

from __future__ import annotations

import base64
import gzip
import importlib.util
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from msgspec import structs

import jupyter_green
from jupyter_green.events import (
    CellFinished,
    CellStarted,
    Event,
    MetricLogged,
    PowerSampled,
    SessionEnded,
    decode,
    encode,
)
from jupyter_green.notebook import protocol
from jupyter_green.recorder import wire
from jupyter_green.recorder.feed import Feed
from tests.benchmarks.effort import Effort
from tests.benchmarks.feed import write_noisy
from tests.benchmarks.figures import Table
from tests.benchmarks.folding import CELLS, DAY_S, stamp, write_journal
from tests.benchmarks.place import Place
from tests.benchmarks.subjects import NOTHING, OURS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, CDPSession, Page, Route

MODULE = Path(jupyter_green.__file__).parent / "inline/panel.js"
PAGE = Path(__file__).with_name("panel_page.html")
ADDRESS = "http://panel.test/"

BUNDLE_KB, PAINTED_S, FRAME_MS = 40.0, 1.0, 16.0
SAMPLES_PER_S, UPDATES_PER_S = 10, 2
LIVE_CELL_S = 8
MARK = "tell"
ORDERS = ("energy", "time", "name", "order")
TRACED = ["toplevel", "devtools.timeline", "blink.user_timing"]
TASK = "ThreadControllerImpl::RunTask"

CPU = "CPU time of the page's main thread alone, as the browser's trace has it."


def run(where: Place, names: list[str], effort: Effort) -> Table:
    """Ours alone: no peer has a panel."""
    table = Table("The panel in a browser")
    if OURS not in names:
        return table
    _sizes(table)
    problem = _hindrance()
    if problem:
        table.row("a day's snapshot until it is painted", OURS, "s").problem = problem
        return table
    smooth, noisy = _journals(where.root)
    for _ in range(effort.starts):
        with _browser() as browser:
            _load(table, browser, "400 cells rerun", smooth)
            _load(table, browser, "10,000 rows, noisy", noisy)
    with _browser() as browser, _panel(browser, noisy) as panel:
        _live(table, panel, effort.watch_s * 2)
        _rows(table, panel, effort.waits)
    return table


def _sizes(table: Table) -> None:
    module = MODULE.read_bytes()
    table.add("the module", OURS, len(module) / 1e3, "kB")
    compressed = len(gzip.compress(module)) / 1e3
    note = table.note("About 24 kB of it are uPlot, which draws the power line.")
    table.add("the module, gzipped", OURS, compressed, "kB", aim=BUNDLE_KB, note=note)


def _hindrance() -> str:
    """Why no browser can be driven here, or nothing."""
    if importlib.util.find_spec("playwright") is None:
        return "playwright is not installed"
    from tests.browser import chrome

    try:
        chrome.started()
    except chrome.NoBrowserError:
        return "no browser starts"
    return ""


# --- what the kernel would send -----------------------------------------------------------------


@dataclass
class Day:
    """A session that has gone on for a day, and its next minute, as a panel is told of them."""

    snapshot: list[wire.Told] = field(default_factory=list)
    updates: list[wire.Told] = field(default_factory=list)


def _journals(root: Path) -> tuple[Day, Day]:
    smooth, noisy, different = (
        root / f"{name}.ndjson" for name in ("panel", "panel-noisy", "panel-different")
    )
    write_journal(smooth)
    write_noisy(smooth, noisy)
    _rewrite(smooth, smooth, repeated=True)
    _rewrite(noisy, different, repeated=False)
    return _told(smooth), _told(different)


def _rewrite(journal: Path, path: Path, *, repeated: bool) -> None:
    """The session goes on; unless repeated, no cell runs twice."""
    lines = []
    for line in journal.read_bytes().splitlines(keepends=True):
        event = decode(line)
        if isinstance(event, CellStarted) and not repeated:
            event = structs.replace(event, cell=f"{event.number:016x}")
        if not isinstance(event, SessionEnded):
            lines.append(encode(event))
    path.write_bytes(b"".join(lines))


def _told(journal: Path) -> Day:
    """What the recorder's own feed tells of it."""
    now_s, day = 0.0, Day()
    told: list[wire.Told] = []
    feed = Feed(journal, told.append, lambda: (), lambda: now_s)
    feed.watch(wire.Watch(on=True, refresh_s=1 / UPDATES_PER_S))
    feed.close()
    day.snapshot, told[:] = told[:], []
    events = list(_minute())
    for update in range(60 * UPDATES_PER_S):
        now_s = (update + 1) / UPDATES_PER_S
        while events and events[0].t - DAY_S <= now_s:
            feed.take(events.pop(0))
        feed.on_time(running=True)
    day.updates = told
    return day


def _minute() -> Iterator[Event]:
    """Cells of some seconds that log a metric, sampled as fast as they are in reality."""
    mark = 2 * CELLS
    for tick in range(60 * SAMPLES_PER_S):
        t = DAY_S + tick / SAMPLES_PER_S
        number, in_cell = divmod(tick, (LIVE_CELL_S + 2) * SAMPLES_PER_S)
        number += CELLS + 1
        mark += 1
        if in_cell == 0:
            yield CellStarted(
                t=t, **stamp(t), n=mark, number=number, cell=f"{number:016x}",
                identified_by="front end", first_line="train(model)", source_hash="",
                execution_count=number,
            )  # fmt: skip
        elif in_cell == LIVE_CELL_S * SAMPLES_PER_S:
            yield CellFinished(t=t, **stamp(t), n=mark, number=number, status="ok", tree_share=0.4)
        elif in_cell % SAMPLES_PER_S == 0:
            value = 1 - 1 / (1 + in_cell)
            yield MetricLogged(
                t=t, n=mark, name="accuracy", value=value, cell=number, step=in_cell,
                direction="higher",
            )  # fmt: skip
        yield PowerSampled(t=t, uj=stamp(t)["uj"], running=True, cpu_utilisation=0.42)


# --- the page -----------------------------------------------------------------------------------


@contextmanager
def _browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    from tests.browser import chrome

    with sync_playwright() as playwright, chrome.launch(playwright.chromium) as browser:
        yield browser


class Panel:
    """A page with nothing in it but the panel, which has greeted, and is looked at."""

    def __init__(self, page: Page, day: Day) -> None:
        self.page = page
        self.day = day
        self._session: CDPSession = page.context.new_cdp_session(page)
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.route(f"{ADDRESS}**", _serve)
        page.goto(ADDRESS)
        page.wait_for_selector("body[data-ready]", state="attached")
        self.call("open")
        self.call("take", [_message(told) for told in (*day.snapshot, *day.updates)])

    def call(self, name: str, *arguments: Any) -> Any:
        return self.page.evaluate("([name, given]) => window[name](...given)", [name, arguments])

    def load(self) -> float:
        """Milliseconds until the snapshot is painted."""
        return float(self.call("load", 0, len(self.day.snapshot)))

    def update(self, number: int) -> None:
        self.call("tell", len(self.day.snapshot) + number, len(self.day.snapshot) + number + 1)

    def cpu_ms(self) -> float:
        """CPU time of the main thread so far."""
        return self._metric("TaskDuration") * 1e3

    def heap_mb(self) -> float:
        """What JavaScript holds, without garbage."""
        self._session.send("HeapProfiler.collectGarbage")
        return self._metric("JSHeapUsedSize") / 1e6

    def _metric(self, name: str) -> float:
        metrics = self._session.send("Performance.getMetrics")["metrics"]
        return float(next(one["value"] for one in metrics if one["name"] == name))


def _serve(route: Route) -> None:
    script = route.request.url.endswith(".js")
    route.fulfill(
        content_type="text/javascript" if script else "text/html",
        body=(MODULE if script else PAGE).read_bytes(),
    )


def _message(told: wire.Told) -> tuple[dict[str, Any], str]:
    return protocol.told(told), base64.b64encode(told.data).decode()


@contextmanager
def _panel(browser: Browser, day: Day) -> Iterator[Panel]:
    page = browser.new_page(viewport={"width": 360, "height": 900})
    try:
        yield Panel(page, day)
    finally:
        page.close()


# --- measuring ----------------------------------------------------------------------------------


def _load(table: Table, browser: Browser, name: str, day: Day) -> None:
    what = f"a day with 10,000 cells ({name})"
    with _panel(browser, day) as panel:
        cpu_ms, heap_mb = panel.cpu_ms(), panel.heap_mb()
        took_s = panel.load() / 1e3
        note = table.note("From the arrival of the snapshot until all sections can be seen.")
        table.add(f"{what}: first paint", OURS, took_s, "s", aim=PAINTED_S, note=note)
        took_s = (panel.cpu_ms() - cpu_ms) / 1e3
        table.add(f"{what}: CPU of it", OURS, took_s, "s", note=table.note(CPU))
        table.add(f"{what}: heap of it", OURS, panel.heap_mb() - heap_mb, "MB")


def _live(table: Table, panel: Panel, seconds: float) -> None:
    """Updates at their real pace, with the snapshot's last work over."""
    panel.load()
    time.sleep(2)
    count = min(len(panel.day.updates), round(seconds * UPDATES_PER_S))
    idle = _traced(panel, [-1] * 10)
    for update in idle:
        table.add("half a second without an update: CPU", NOTHING, update.cpu_ms, "ms")
    updates = _traced(panel, range(count))
    note = table.note(
        f"{count} updates of a session with 10,000 rows, two a second, as the recorder's feed "
        "tells them. Tasks of the page's main thread, from the browser's trace; a frame that "
        "lasts longer than 16 ms is one that is left out."
    )
    _figures(table, updates, note)


@dataclass
class Update:
    """The tasks of the main thread from one update to the next, in milliseconds."""

    cpu_ms: float
    longest_ms: float
    longest_cpu_ms: float


def _figures(table: Table, updates: list[Update], note: int) -> None:
    table.add("a live update: CPU, all tasks", OURS, median(one.cpu_ms for one in updates), "ms")
    worst_ms = max(one.cpu_ms for one in updates)
    table.add("the worst update: CPU, all tasks", OURS, worst_ms, "ms", note=note)
    for what, values in (
        ("longest task of an update: CPU", [one.longest_cpu_ms for one in updates]),
        ("longest task of an update: time", [one.longest_ms for one in updates]),
    ):
        row = table.row(what, OURS, "ms", aim=FRAME_MS, note=note)
        row.values.extend(values)
    longest_ms = max(one.longest_cpu_ms for one in updates)
    table.add("longest task of all updates: CPU", OURS, longest_ms, "ms", aim=FRAME_MS, note=note)


def _traced(panel: Panel, numbers: Any) -> list[Update]:
    """Gives updates to the page, two a second, and what each made the main thread do."""
    browser = panel.page.context.browser
    assert browser is not None
    browser.start_tracing(page=panel.page, categories=TRACED)
    due_s = time.monotonic()
    for number in numbers:
        panel.page.evaluate(f"performance.mark('{MARK}')")
        if number >= 0:
            panel.update(number)
        due_s += 1 / UPDATES_PER_S
        time.sleep(max(0.0, due_s - time.monotonic()))
    panel.page.evaluate(f"performance.mark('{MARK}')")
    return _updates(json.loads(browser.stop_tracing())["traceEvents"])


def _updates(events: list[dict[str, Any]]) -> list[Update]:
    marks = sorted((one for one in events if one["name"] == MARK), key=lambda one: one["ts"])
    main = {(one["pid"], one["tid"]) for one in marks}
    tasks = [
        one for one in events
        if one["name"] == TASK and one["ph"] == "X" and (one["pid"], one["tid"]) in main
    ]  # fmt: skip
    return [
        _update([one for one in tasks if start["ts"] < one["ts"] < end["ts"]])
        for start, end in pairwise(marks)
    ]


def _update(tasks: list[dict[str, Any]]) -> Update:
    cpu_ms = [one.get("tdur", 0) / 1e3 for one in tasks]
    return Update(
        sum(cpu_ms), max((one["dur"] / 1e3 for one in tasks), default=0), max(cpu_ms, default=0)
    )


def _rows(table: Table, panel: Panel, rounds: int) -> None:
    """The list of cells, scrolled and sorted."""
    count = panel.call("rows")
    for order in ORDERS * max(1, rounds // len(ORDERS)):
        took_ms = panel.call("sort", order)
        table.add(f"{count:,} rows sorted {order}: until painted", OURS, took_ms, "ms")
    panel.call("watch_frames")
    cpu_ms = panel.cpu_ms()
    frames = panel.call("scroll")
    cpu_ms = (panel.cpu_ms() - cpu_ms) / frames
    table.add(f"{count:,} rows scrolled through: CPU a frame", OURS, cpu_ms, "ms", aim=FRAME_MS)
    row = table.row("time between two frames of it", OURS, "ms")
    row.values.extend(panel.call("gaps")[-frames:])
