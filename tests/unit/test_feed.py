"""What panels are told, and when, with a clock that only the tests move."""

from __future__ import annotations

import itertools
import random
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jupyter_green.events import (
    AnyEvent,
    CellFinished,
    CellStarted,
    Event,
    MetricLogged,
    PowerSampled,
    RecorderRestarted,
    SessionEnded,
    SessionStarted,
    Stamped,
    encode,
)
from jupyter_green.recorder import feed as feeding
from jupyter_green.recorder.feed import AWAKE_S, MOST_BYTES, MOST_PENDING, PART_BYTES, Feed
from jupyter_green.recorder.wire import Told, Watch
from jupyter_green.sessions.fold import Fold
from jupyter_green.sessions.model import Session
from tests.unit.test_ledger_properties import folded, header
from tests.unit.test_thin import assert_same, recorded

STEP_S = 0.1
POWERS_W = {"package-0": 30, "gpu-0": 100, "core-0": 20}


class Recorder:
    """A feed, the journal that it reads, and a clock."""

    def __init__(self, journal: Path, now_s: float = 1_000.0) -> None:
        self.now_s = self.start_s = now_s
        self.journal = journal
        self.disk_is_full = False
        self.unwritten: list[AnyEvent] = []
        self.told: list[tuple[float, Told]] = []
        self.events: list[Event] = []
        self.running = False
        self.number = 0
        self.n = 0
        self.feed = Feed(journal, self._tell, lambda: self.unwritten, lambda: self.now_s)

    def _tell(self, told: Told) -> None:
        self.told.append((self.now_s, told))

    @property
    def t(self) -> float:
        return round(self.now_s - self.start_s, 6)

    def emit(self, *events: Event) -> None:
        for event in events:
            self.events.append(event)
            if self.disk_is_full:
                self.unwritten.append(event)  # type: ignore[arg-type]
            else:
                with self.journal.open("ab") as file:
                    file.write(encode(event))
            self.feed.take(event)

    def put(self, kind: type[Stamped], **fields: object) -> None:
        """A mark of the kernel, or a sample, with true readings."""
        if kind is not PowerSampled:
            self.n += 1
            fields["n"] = self.n
        uj = {name: round(watts * self.t * 1e6) for name, watts in POWERS_W.items()}
        self.emit(kind(t=self.t, uj=uj, error_uj=dict.fromkeys(uj, (5, 9)), **fields))

    def begin(self) -> None:
        self.n += 1
        self.emit(header(t=self.t, n=self.n, uj=dict.fromkeys(POWERS_W, 0)))

    def cell_begins(self) -> None:
        self.number += 1
        self.put(CellStarted, number=self.number, cell="c", first_line=f"cell {self.number}")
        self.running = True

    def cell_ends(self) -> None:
        self.put(CellFinished, number=self.number, status="ok")
        self.running = False

    def cell(self, seconds: float = 0.5) -> None:
        self.cell_begins()
        self.wait(seconds)
        self.cell_ends()

    def wait(self, seconds: float, each: Callable[[], object] = lambda: None) -> None:
        """Time passes; the recorder samples once a second, as while somebody looks."""
        for step in range(round(seconds / STEP_S)):
            self.now_s = round(self.now_s + STEP_S, 6)
            each()
            if step % 10 == 9:
                self.put(PowerSampled)
            self.look_at_clock()

    def let_tell(self, seconds: float = 6.0) -> None:
        """Time for what has come; nothing more comes."""
        for _ in range(round(seconds / STEP_S)):
            self.now_s = round(self.now_s + STEP_S, 6)
            self.look_at_clock()

    def look_at_clock(self) -> None:
        self.feed.on_time(self.running)
        self.settle()

    def settle(self) -> None:
        """A snapshot is made in a thread of its own."""
        for thread in threading.enumerate():
            if thread.name == "snapshot":
                thread.join(10)

    def watch(self, on: bool = True, **how: object) -> None:
        self.feed.watch(Watch(on=on, **how))  # type: ignore[arg-type]
        self.settle()

    def close(self) -> None:
        self.put(SessionEnded)
        self.feed.close()

    def whole(self) -> Session:
        return folded(self.events).session()

    def times_told(self, what: str) -> list[float]:
        return [when for when, told in self.told if told.what == what]


class Page:
    """One panel: takes what it is told, as long as it can be seen."""

    def __init__(self, recorder: Recorder, **how: object) -> None:
        self.recorder = recorder
        self.how = how
        self.stream: str | None = None
        self.next: int | None = None
        self.chain: list[tuple[int, int]] = []
        self.snapshots = 0
        self.missed = 0
        self.asleep = 0
        self.fold = Fold()
        self._parts: dict[int, bytes] = {}
        self._heard = 0

    def look(self, others: bool = False) -> Page:
        self._heard = len(self.recorder.told)
        self.recorder.watch(stream=self.stream, next=self.next, others=others, **self.how)
        return self

    def hide(self, others: bool = False) -> None:
        self.hear()
        if not others:
            self.recorder.watch(on=False)

    def hear(self) -> Page:
        """Take in all that was told since the last time."""
        for _, told in self.recorder.told[self._heard :]:
            if told.what == "snapshot":
                self._snapshot(told)
            elif told.what == "events":
                self._events(told)
            else:
                self.asleep += 1
        self._heard = len(self.recorder.told)
        return self

    def _snapshot(self, told: Told) -> None:
        if told.stream == self.stream and self.next is not None and told.next <= self.next:
            return
        self._parts[told.part] = told.data
        if len(self._parts) < told.parts:
            return
        data = b"".join(self._parts[part] for part in range(told.parts))
        self._parts.clear()
        self.fold = Fold()
        self.fold.feed_lines(zlib.decompress(data))
        self.stream, self.next = told.stream, told.next
        self.snapshots += 1

    def _events(self, told: Told) -> None:
        if told.stream != self.stream or self.next is None or told.next <= self.next:
            return
        if told.start != self.next:
            self.missed += 1
            return
        self.fold.feed_lines(zlib.decompress(told.data))
        self.chain.append((told.start, told.next))
        self.next = told.next

    @property
    def session(self) -> Session:
        self.hear()
        return self.fold.session()


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    recorder = Recorder(tmp_path / "journal.ndjson")
    yield recorder
    recorder.settle()


def same(page: Page, recorder: Recorder) -> None:
    assert_same(page.session, recorder.whole())
    assert page.missed == 0


# --- who gets what ---------------------------------------------------------------------------


def test_a_page_that_looks_before_the_session_has_begun(recorder: Recorder) -> None:
    page = Page(recorder).look()
    recorder.begin()
    for _ in range(4):
        recorder.cell(1.3)
        recorder.wait(1)
    recorder.close()
    same(page, recorder)
    assert page.snapshots == 1
    assert len(page.chain) >= 4
    starts, ends = zip(*page.chain, strict=True)
    assert starts == (0, *ends[:-1])
    assert ends[-1] == len(recorder.events)


def test_a_page_that_looks_later_gets_a_snapshot_and_goes_on(recorder: Recorder) -> None:
    recorder.begin()
    recorder.cell(3)
    page = Page(recorder).look()
    same(page, recorder)
    assert page.next == len(recorder.events)
    recorder.cell(3)
    recorder.close()
    same(page, recorder)
    assert page.snapshots == 1
    assert page.chain[0][0] == 4 + 2


def test_nothing_is_told_while_nobody_looks(recorder: Recorder) -> None:
    recorder.begin()
    recorder.cell(5)
    recorder.wait(100)
    recorder.close()
    assert recorder.told == []
    assert recorder.feed.due_s() == float("inf")


def test_two_pages_see_the_same(recorder: Recorder) -> None:
    recorder.begin()
    first = Page(recorder).look()
    recorder.cell(2)
    second = Page(recorder).look(others=True)
    recorder.cell(2)
    second.hide(others=True)
    recorder.cell(2)
    recorder.close()
    same(first, recorder)
    assert first.snapshots == 1
    assert second.snapshots == 1
    second.look(others=True)
    same(second, recorder)
    assert second.snapshots == 2


def test_a_page_that_takes_the_place_of_another_misses_nothing(recorder: Recorder) -> None:
    """The one before was closed without a word."""
    recorder.begin()
    Page(recorder).look()
    recorder.cell(2)
    after = Page(recorder).look()
    recorder.cell(2)
    recorder.close()
    same(after, recorder)


def test_what_happens_while_hidden_is_in_the_first_message_after(recorder: Recorder) -> None:
    page = Page(recorder).look()
    recorder.begin()
    recorder.wait(2)
    page.hide()
    heard = len(recorder.told)
    recorder.cell(30)
    assert len(recorder.told) == heard
    page.look()
    recorder.look_at_clock()
    same(page, recorder)
    assert page.snapshots == 1


def test_samples_while_hidden_do_not_break_the_thread(recorder: Recorder) -> None:
    page = Page(recorder).look()
    recorder.begin()
    recorder.wait(2)
    page.hide()
    for _ in range(3 * MOST_PENDING):
        recorder.now_s += 1
        recorder.put(PowerSampled)
    page.look()
    recorder.look_at_clock()
    same(page, recorder)
    assert page.snapshots == 1


def test_after_too_much_that_must_be_told_there_is_a_snapshot(recorder: Recorder) -> None:
    page = Page(recorder).look()
    recorder.begin()
    recorder.wait(2)
    page.hide()
    for _ in range(MOST_PENDING):
        recorder.now_s += 0.01
        recorder.cell_begins()
        recorder.cell_ends()
    assert len(recorder.feed._pending) <= MOST_PENDING
    page.look()
    same(page, recorder)
    assert page.snapshots == 2
    recorder.cell(1)
    recorder.close()
    same(page, recorder)


def test_a_page_is_not_left_behind_by_more_than_can_be_told(recorder: Recorder) -> None:
    """Thousands of cells within one refresh: all of them, from the journal."""
    page = Page(recorder, refresh_s=60.0).look()
    recorder.begin()
    recorder.look_at_clock()
    for _ in range(MOST_PENDING):
        recorder.now_s += 0.01
        recorder.cell_begins()
        recorder.cell_ends()
        recorder.look_at_clock()
    recorder.wait(70)
    recorder.cell(1)
    recorder.close()
    same(page, recorder)


def test_a_page_that_knows_the_stream_and_no_position(recorder: Recorder) -> None:
    page = Page(recorder).look()
    recorder.begin()
    recorder.wait(2)
    page.hide()
    recorder.feed._pending, recorder.feed._from = [], None
    recorder.watch(stream=page.hear().stream, next=None)
    assert recorder.told[-1][1].what == "snapshot"


def test_another_stream_at_the_same_position_gets_a_snapshot(recorder: Recorder) -> None:
    page = Page(recorder).look()
    recorder.begin()
    recorder.wait(2)
    page.hide()
    page.stream = "another"
    page.look()
    recorder.look_at_clock()
    same(page, recorder)
    assert page.stream == recorder.feed.stream


# --- when --------------------------------------------------------------------------------------


@pytest.mark.parametrize("refresh_s", [0.5, 1.0, 5.0])
def test_never_more_than_one_message_a_refresh(recorder: Recorder, refresh_s: float) -> None:
    page = Page(recorder, refresh_s=refresh_s).look()
    recorder.begin()
    recorder.cell_begins()
    step = iter(range(10_000))

    def log() -> None:
        for _ in range(20):
            recorder.put(MetricLogged, name="loss", value=1 / (1 + next(step)), cell=1)

    recorder.wait(30, log)
    times = recorder.times_told("events")
    apart = [after - before for before, after in itertools.pairwise(times)]
    assert min(apart) >= refresh_s - 1e-6
    assert len(times) >= 30 / refresh_s - 2
    assert page.session.metrics[-1].step is None
    recorder.cell_ends()
    recorder.close()
    same(page, recorder)


def test_only_the_refresh_changes_when_one_of_two_goes(recorder: Recorder) -> None:
    page = Page(recorder, refresh_s=5.0).look()
    recorder.begin()
    recorder.let_tell()
    recorder.watch(refresh_s=0.5, fresh=False)
    recorder.cell(5.0)
    recorder.let_tell()
    page.hear()
    same(page, recorder)
    assert len(recorder.times_told("snapshot")) <= 1
    times = recorder.times_told("events")
    apart = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert min(apart) < 2


def test_no_message_is_large(recorder: Recorder) -> None:
    page = Page(recorder).look()
    recorder.begin()
    for _ in range(200):
        recorder.now_s += 0.01
        recorder.cell_begins()
        recorder.cell_ends()
    recorder.wait(30)
    recorder.let_tell()
    lines = [zlib.decompress(told.data) for _, told in recorder.told if told.what == "events"]
    assert max(map(len, lines)) <= MOST_BYTES
    assert len(lines) > 3
    same(page, recorder)


def test_an_event_that_is_larger_than_a_message_is_told_all_the_same(recorder: Recorder) -> None:
    page = Page(recorder).look()
    recorder.begin()
    recorder.put(CellStarted, number=1, cell="c", first_line="x" * 2 * MOST_BYTES)
    recorder.put(CellFinished, number=1, status="ok")
    recorder.wait(5)
    recorder.let_tell()
    same(page, recorder)


def test_asleep_is_said_once_and_then_nothing(recorder: Recorder) -> None:
    page = Page(recorder).look()
    recorder.begin()
    recorder.cell(2)
    ended_s = recorder.now_s
    recorder.wait(300)
    (asleep_s,) = recorder.times_told("asleep")
    assert AWAKE_S <= asleep_s - ended_s <= AWAKE_S + 2
    assert recorder.told[-1][1].what == "asleep"
    assert recorder.feed.due_s() == float("inf")
    assert not recorder.feed.awake
    assert page.hear().asleep == 1


def test_a_cell_wakes_it_and_nothing_is_lost(recorder: Recorder) -> None:
    page = Page(recorder).look()
    recorder.begin()
    recorder.wait(3 * AWAKE_S)
    recorder.cell_begins()
    recorder.wait(0.2)
    assert recorder.feed.awake
    assert page.session.open_cells
    same(page, recorder)
    recorder.wait(2 * AWAKE_S)
    assert page.hear().asleep == 1, "a long cell is no sleep"
    recorder.cell_ends()
    recorder.wait(2 * AWAKE_S)
    assert page.hear().asleep == 2
    assert page.snapshots == 1
    recorder.close()
    same(page, recorder)


def test_who_looks_while_it_sleeps_is_told_so(recorder: Recorder) -> None:
    recorder.begin()
    recorder.wait(2 * AWAKE_S)
    page = Page(recorder).look()
    recorder.look_at_clock()
    assert page.hear().asleep == 1
    same(page, recorder)
    page.hide()
    page.look()
    recorder.wait(5)
    assert page.hear().asleep == 2
    assert page.snapshots == 1


@pytest.mark.parametrize("refresh_s", [0.5, 60.0])
def test_the_recorder_need_not_look_at_the_clock_all_the_time(
    recorder: Recorder, refresh_s: float
) -> None:
    """A long cell, and what follows it: how often the feed wants to be called."""
    Page(recorder, refresh_s=refresh_s).look()
    recorder.begin()
    wanted = []

    def note() -> None:
        wanted.append(recorder.feed.due_s() <= STEP_S)

    recorder.cell_begins()
    recorder.wait(3 * AWAKE_S, note)
    recorder.cell_ends()
    recorder.wait(2 * AWAKE_S, note)
    assert sum(wanted) <= 0.3 * len(wanted)


def test_where_nobody_can_ask_snapshots_come_unasked(recorder: Recorder) -> None:
    Page(recorder, keyframes=True).look()
    recorder.begin()
    recorder.wait(5)
    assert len(recorder.times_told("snapshot")) == 1, "between cells, anybody can ask"
    recorder.cell_begins()
    recorder.wait(10)
    times = recorder.times_told("snapshot")[1:]
    assert 8 <= len(times) <= 11
    late = Page(recorder)
    recorder.wait(3)
    recorder.let_tell()
    same(late, recorder)


def test_large_snapshots_come_less_often(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeding, "KEYFRAME_BYTES_PER_S", 100)
    Page(recorder, keyframes=True).look()
    recorder.begin()
    recorder.cell_begins()
    recorder.wait(20)
    times = recorder.times_told("snapshot")[1:]
    assert 2 <= len(times) <= 8


# --- disks, parts, restarts, ends --------------------------------------------------------------


def test_what_a_full_disk_does_not_take_is_in_the_snapshot(recorder: Recorder) -> None:
    recorder.begin()
    recorder.cell(1)
    recorder.disk_is_full = True
    recorder.cell(1)
    page = Page(recorder).look()
    same(page, recorder)
    recorder.cell(1)
    recorder.close()
    same(page, recorder)


def test_a_disk_that_never_took_anything(recorder: Recorder) -> None:
    recorder.disk_is_full = True
    recorder.begin()
    recorder.cell(1)
    same(Page(recorder).look(), recorder)
    assert not recorder.journal.exists()


def test_marks_that_are_in_the_journal_twice_are_told_once(recorder: Recorder) -> None:
    recorder.begin()
    recorder.cell(1)
    *_, last = recorder.events
    recorder.unwritten.append(last)  # type: ignore[arg-type]
    same(Page(recorder).look(), recorder)


def test_a_snapshot_travels_in_parts(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeding, "PART_BYTES", 500)
    recorder.begin()
    for _ in range(50):
        recorder.cell(0.1)
    page = Page(recorder).look()
    parts = [told for _, told in recorder.told if told.what == "snapshot"]
    assert [told.part for told in parts] == list(range(parts[0].parts))
    assert len(parts) > 2
    assert max(len(told.data) for told in parts) <= 500 < PART_BYTES
    same(page, recorder)


def test_another_recorder_takes_over(recorder: Recorder) -> None:
    page = Page(recorder).look()
    recorder.begin()
    recorder.cell(2)
    page.hear()
    second = Recorder(recorder.journal, recorder.start_s)
    second.now_s, second.events = recorder.now_s, recorder.events
    second.n, second.number = recorder.n, recorder.number
    page.recorder, page._heard = second, 0
    second.emit(RecorderRestarted(t=second.t, since=second.t - 1, reason="it died"))
    page.look()
    second.cell(2)
    second.close()
    same(page, second)
    assert page.snapshots == 2
    assert page.stream == second.feed.stream != recorder.feed.stream
    assert len(page.session.gaps) == 1


def test_the_end_follows_a_snapshot_that_is_still_under_way(recorder: Recorder) -> None:
    recorder.begin()
    recorder.cell(1)
    going_on, tell = threading.Event(), recorder.feed._tell

    def slowly(told: Told) -> None:
        if told.what == "snapshot":
            going_on.wait(10)
        tell(told)

    recorder.feed._tell = slowly
    page = Page(recorder)
    recorder.feed.watch(Watch(on=True))
    release = threading.Timer(0.3, going_on.set)
    release.start()
    recorder.close()
    release.join()
    same(page, recorder)
    assert page.session.state == "closed"


def test_nothing_is_told_at_the_end_if_nobody_looks(recorder: Recorder) -> None:
    page = Page(recorder).look()
    recorder.begin()
    recorder.wait(2)
    page.hide()
    heard = len(recorder.told)
    recorder.close()
    assert len(recorder.told) == heard


# --- any session, any looks --------------------------------------------------------------------


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(0, 2**32))
def test_whoever_looks_whenever_has_the_figures(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    events = recorded(rng, 80)
    assert isinstance(events[0], SessionStarted)
    recorder = Recorder(tmp_path / f"{seed}.ndjson")
    recorder.journal.unlink(missing_ok=True)
    pages: list[Page] = []
    visible: list[Page] = []
    for event in events:
        recorder.now_s = max(recorder.now_s, recorder.start_s + event.t)
        recorder.emit(event)
        recorder.look_at_clock()
        chance = rng.random()
        if chance < 0.1 or not pages:
            pages.append(Page(recorder, refresh_s=0.5))
            pages[-1].look(others=bool(visible))
            visible.append(pages[-1])
        elif chance < 0.2 and visible:
            visible.pop(rng.randrange(len(visible))).hide(others=bool(visible))
        elif chance < 0.3 and (hidden := [page for page in pages if page not in visible]):
            page = rng.choice(hidden)
            page.look(others=bool(visible))
            visible.append(page)
    for page in pages:
        if page not in visible:
            page.look(others=bool(visible))
            visible.append(page)
    recorder.feed.close()
    recorder.settle()
    for page in pages:
        assert_same(page.session, recorder.whole())
