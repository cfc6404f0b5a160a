"""The pure loop of the recorder, driven through everything that happens to counters and marks.

Time is virtual and every counter's truth is known, so figures are compared with it to the
microjoule wherever both boundaries were read.
"""

import random
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from jupyter_green.events import (
    AnyEvent,
    CellFinished,
    CellStarted,
    ClockAnchored,
    CounterInfo,
    CounterLost,
    CounterNoted,
    CounterRestored,
    Event,
    IntensityChanged,
    MetricLogged,
    PowerSampled,
    SessionEnded,
    SessionStarted,
    SpanFinished,
    SpanStarted,
    TrackingPaused,
    TrackingResumed,
    decode,
    encode,
)
from jupyter_green.recorder.attribution import CpuTimes
from jupyter_green.recorder.device import PATIENCE_NS
from jupyter_green.recorder.sampling import Sampler
from jupyter_green.recorder.watching import SHARED
from jupyter_green.recorder.wire import Mark
from jupyter_green.sessions.fold import Fold
from jupyter_green.sessions.model import Cell, Session
from jupyter_green.settings import Settings
from jupyter_green.sources.counter import Detection, Source
from jupyter_green.sources.integrated import Integrated
from tests.simulators.virtual import (
    KERNEL_PID,
    NS,
    Curve,
    VirtualClock,
    VirtualCounter,
    VirtualMachine,
    VirtualSource,
)

RAPL_RANGE_UJ = 262_143_328_850
SMALL_RANGE_UJ = 1_000_000_000
"""At 150 W such a counter wraps every seven seconds."""


def about(name: str = "package-0", **fields: object) -> CounterInfo:
    usual: dict[str, object] = {
        "name": name,
        "domain": "package",
        "source": "virtual",
        "provenance": "measured",
        "resolution_s": 0.001,
        "clock": "socket-0",
        "range_uj": RAPL_RANGE_UJ,
        "max_power_w": 200.0,
    }
    return CounterInfo(**{**usual, **fields})  # type: ignore[arg-type]


def constant(watts: float) -> Callable[[float], float]:
    return Curve(watts, watts).energy_j


def counter(
    name: str = "package-0", watts: float = 50.0, start_uj: int = 500_000_000, **fields: object
) -> VirtualCounter:
    return VirtualCounter(about(name, **fields), constant(watts), start_uj=start_uj)


def reset(one: VirtualCounter, t_ns: int) -> None:
    """The driver is loaded anew: the counter begins again, near zero."""
    one.reset(t_ns / NS)
    one.offset_uj -= 1_000_000


class Bench:
    """A recorder and the kernel that marks it; seconds count from the session's start."""

    def __init__(self, *counters: VirtualCounter, slow: tuple[VirtualCounter, ...] = ()) -> None:
        self.clock = VirtualClock()
        self.start_ns = self.clock.now_ns()
        self.counters = {one.info.name: one for one in (*counters, *slow)}
        self.fast = VirtualSource(list(counters))
        self.slow = VirtualSource(list(slow), in_place=False)
        self.sources: list[Source] = [self.fast, self.slow]
        self.events: list[Event] = []
        self.sent: list[Mark] = []
        self.sampler = self.new_sampler()
        self.begin()

    def begin(self) -> None:
        names = [one.info for one in self.counters.values()]
        self.mark(
            SessionStarted(
                t=0.0,
                format="1.0",
                session="s",
                version="0",
                wall_s=self.clock.wall_s(),
                host="h",
                boot_id="b",
                pid=1,
                process_started=0.0,
                counters=names,
            ),
            0.0,
        )

    def new_sampler(self) -> Sampler:
        return Sampler(
            Detection(tuple(self.sources), ()),
            self.clock,
            self.start_ns,
            Settings(data_dir=""),
            self.events.append,
        )

    @property
    def now_s(self) -> float:
        return (self.clock.time_ns - self.start_ns) / NS

    def ns(self, t_s: float) -> int:
        return self.start_ns + round(t_s * NS)

    def run(self, until_s: float, nap_s: float = 0.0) -> None:
        """Let the recorder work; each time it wakes ``nap_s`` later than it wanted to."""
        until_ns = self.ns(until_s)
        while True:
            wake_ns = max(1, round(self.sampler.due_s() * NS)) + round(nap_s * NS)
            if self.clock.time_ns + wake_ns > until_ns:
                break
            self.clock.time_ns += wake_ns
            self.sampler.on_time()
        self.clock.time_ns = max(self.clock.time_ns, until_ns)

    def stamp(self, event: AnyEvent, t_s: float) -> Mark:
        """The kernel stamps an event; nobody has heard of it yet."""
        t_ns = self.ns(t_s)
        raw = self.fast.read(t_ns)
        mark = Mark(len(self.sent) + 1, t_ns, 0, raw, event)
        self.sent.append(mark)
        return mark

    def mark(self, event: AnyEvent, t_s: float, late_s: float = 0.0) -> None:
        """The kernel stamps an event; the recorder hears of it so much later."""
        self.run(t_s)
        mark = self.stamp(event, t_s)
        self.run(t_s + late_s)
        self.sampler.on_mark(mark)

    def start(self, number: int, t_s: float, late_s: float = 0.0, **fields: object) -> None:
        started = CellStarted(t=0, number=number, cell=f"c{number}")
        self.mark(structs.replace(started, **fields), t_s, late_s)

    def finish(self, number: int, t_s: float, late_s: float = 0.0) -> None:
        self.mark(CellFinished(t=0, number=number, status="ok"), t_s, late_s)

    def cell(self, number: int, begin_s: float, end_s: float, late_s: float = 0.0) -> None:
        self.start(number, begin_s, late_s)
        self.finish(number, end_s, late_s)

    def restart(self, up_again_s: float, resend: int = 0) -> None:
        """The recorder dies with what it had not written; another takes over.

        ``resend``: so many of the last marks come again, besides those that were not written.
        """
        fold = self.fold()
        self.clock.time_ns = self.ns(up_again_s)
        self.sampler = self.new_sampler()
        self.sampler.resume(fold, "killed")
        for mark in self.sent[max(0, fold.marks - resend) :]:
            self.sampler.on_mark(mark)

    def fold(self) -> Fold:
        """What a reader of the journal knows now. Every line passes through the codec."""
        fold = Fold()
        for event in self.events:
            line = encode(event)
            assert decode(line) == event
            fold.feed(event)
        return fold

    def session(self) -> Session:
        """After the last boundaries were completed."""
        if not self.sampler.ended:
            self.run(self.now_s + 0.3)
        self.sampler.complete()
        times = [event.t for event in self.events]
        assert times == sorted(times), "events must leave in the order of their time"
        session = self.fold().session()
        assert_sound(session)
        return session

    def held_uj(self, name: str, t_s: float) -> int:
        """What an ideal counter of this resolution has counted up to a time."""
        one = self.counters[name]
        ticks = (self.ns(t_s) / NS - one.tick_phase_s) // one.tick_s
        return int(one.true_uj(max(0.0, ticks * one.tick_s + one.tick_phase_s)))

    def truth_uj(self, begin_s: float, end_s: float, *names: str) -> int:
        chosen = names or tuple(self.counters)
        return sum(self.held_uj(n, end_s) - self.held_uj(n, begin_s) for n in chosen)

    def near(self, uj: int) -> object:
        """But for two updates of every counter: times in events are rounded."""
        watts = sum(one.true_uj(1) for one in self.counters.values())
        return pytest.approx(uj, abs=2 * 0.001 * watts)

    def near_total(self) -> object:
        """True energy up to the last stamp that is in the journal."""
        stamped = [event.t for event in self.events if getattr(event, "uj", None)]
        return self.near(self.truth_uj(0, max(stamped)))


def assert_sound(session: Session) -> None:
    """What holds whatever happens."""
    entries = session.ledger.entries.values()
    for name in session.counters:
        assert sum(entry.uj.get(name, 0) for entry in entries) == session.total.uj.get(name, 0)
    assert sum(entry.seconds for entry in entries) == pytest.approx(session.duration_s)
    windows = [*session.cells, *session.spans]
    for energy in [session.total, *(window.energy for window in windows)]:
        assert all(uj >= 0 for uj in energy.uj.values())
        # Nothing read and nothing known is missing, and not zero.
        assert all(energy.uj.get(name) != 0 for name in energy.missing)
        assert energy.total_uj is not None or energy.missing


def energies(session: Session) -> dict[int, int | None]:
    return {cell.number: cell.energy.total_uj for cell in session.cells}


def assert_whole(bench: Bench, session: Session, **cells: tuple[float, float]) -> None:
    """These cells have their true energy, to the microjoule, and nothing is missing."""
    for name, (begin_s, end_s) in cells.items():
        cell = session.cell(int(name.removeprefix("c")))
        assert cell.energy.missing == ()
        assert cell.energy.total_uj == bench.truth_uj(begin_s, end_s)


# --- wraps ---


@pytest.mark.parametrize("wraps_at_s", [1.0, 1.1, 4.5, 4.555, 20.0, 20.001, 30.0])
def test_counter_wraps_at_any_moment(wraps_at_s: float) -> None:
    """Three times in the cell, or right at its boundaries."""
    until_uj = round(150e6 * (5 + wraps_at_s))
    one = counter(watts=150.0, range_uj=SMALL_RANGE_UJ, start_uj=-until_uj % SMALL_RANGE_UJ)
    bench = Bench(one)
    bench.cell(1, 1.0, 20.0)
    bench.cell(2, 20.0, 20.1)
    bench.run(30)
    session = bench.session()
    assert_whole(bench, session, c1=(1.0, 20.0), c2=(20.0, 20.1))
    assert session.holes == ()
    assert session.total.total_uj == bench.near_total()


def test_many_wraps_within_one_cell() -> None:
    bench = Bench(counter(watts=199.0, range_uj=SMALL_RANGE_UJ))
    bench.cell(1, 1.0, 301.0)
    session = bench.session()
    assert bench.truth_uj(1, 301) > 59 * SMALL_RANGE_UJ
    assert_whole(bench, session, c1=(1.0, 301.0))
    assert session.holes == ()


def test_wrap_while_idle() -> None:
    bench = Bench(counter(watts=150.0, range_uj=SMALL_RANGE_UJ))
    bench.run(100)
    bench.cell(1, 100.0, 101.0)
    session = bench.session()
    assert_whole(bench, session, c1=(100.0, 101.0))
    between = session.ledger.between.total_uj
    assert between == bench.near(bench.truth_uj(0, 100) + bench.truth_uj(101, session.trace.t[-1]))


# --- resets ---


def test_reset_within_a_cell() -> None:
    one = counter()
    bench = Bench(one)
    bench.start(1, 1.0)
    bench.run(3.0)
    reset(one, bench.clock.time_ns)
    bench.finish(1, 6.0)
    bench.cell(2, 7.0, 8.0)
    session = bench.session()
    (hole,) = session.holes
    assert hole.lost
    assert "reset" in hole.reason
    assert hole.until_s is not None
    assert hole.since_s <= 3.0 <= hole.until_s
    cell = session.cell(1)
    assert cell.energy.missing == ("package-0",)
    unknown_uj = bench.truth_uj(hole.since_s, hole.until_s)
    assert 0 < unknown_uj < 0.25 * 50e6
    assert cell.energy.total_uj == bench.near(bench.truth_uj(1, 6) - unknown_uj)
    assert session.total.at_least
    assert_whole(bench, session, c2=(7.0, 8.0))


def test_reset_between_cells() -> None:
    one = counter()
    bench = Bench(one)
    bench.cell(1, 1.0, 2.0)
    bench.run(4.0)
    reset(one, bench.clock.time_ns)
    bench.cell(2, 6.0, 8.0)
    session = bench.session()
    assert_whole(bench, session, c1=(1.0, 2.0), c2=(6.0, 8.0))
    assert [hole.lost for hole in session.holes] == [True]
    assert session.total.missing == ("package-0",)
    assert session.total.total_uj is not None
    assert session.total.total_uj < bench.truth_uj(0, session.duration_s)


def test_reset_hits_one_counter_only() -> None:
    package, dram = counter(), counter("dram-0", watts=5.0)
    bench = Bench(package, dram)
    bench.start(1, 1.0)
    bench.run(3.0)
    reset(package, bench.clock.time_ns)
    bench.finish(1, 6.0)
    cell = bench.session().cell(1)
    assert cell.energy.missing == ("package-0",)
    assert cell.energy.uj["dram-0"] == bench.truth_uj(1, 6, "dram-0")


# --- counters that stand still ---


def test_stuck_counter_is_noticed() -> None:
    """Cells that ended between its death and the discovery are told afterwards."""
    one = counter()
    bench = Bench(one)
    bench.cell(1, 1.0, 2.0)
    one.frozen_at_s = 5 + 3.0  # virtual time begins at 5 s
    bench.cell(2, 2.5, 3.6)
    bench.cell(3, 4.0, 4.5)
    bench.run(20)
    bench.cell(4, 20.0, 21.0)
    session = bench.session()
    assert_whole(bench, session, c1=(1.0, 2.0))
    assert session.cell(2).energy.missing == ("package-0",)
    assert session.cell(2).energy.total_uj == bench.truth_uj(2.5, 3.0)
    assert session.cell(3).energy.missing == ("package-0",)
    assert session.cell(3).energy.total_uj is None
    assert session.cell(4).energy.total_uj is None
    (hole,) = session.holes
    assert hole.lost
    assert hole.until_s is None
    assert "stood still" in hole.reason
    assert 3.0 <= hole.since_s <= 3.7
    assert session.total.at_least
    assert session.power_w is None


def test_stuck_counter_moves_again() -> None:
    one = counter()
    bench = Bench(one)
    one.frozen_at_s = 5 + 1.0
    bench.start(1, 0.5)
    bench.run(10)
    one.frozen_at_s = None
    one.offset_uj = int(one.true_uj(5 + 10.0)) - int(one.true_uj(5 + 1.0))
    bench.finish(1, 15.0)
    bench.cell(2, 16.0, 17.0)
    session = bench.session()
    cell = session.cell(1)
    assert cell.energy.missing == ("package-0",)
    assert cell.energy.total_uj is not None
    assert bench.truth_uj(0.5, 15) * 0.3 < cell.energy.total_uj < bench.truth_uj(0.5, 15)
    assert [hole.lost for hole in session.holes] == [True]
    assert_whole(bench, session, c2=(16.0, 17.0))


@pytest.mark.parametrize("provenance", ["modelled", "integrated"])
def test_only_measured_counters_can_be_stuck(provenance: str) -> None:
    """A model of an idle container may stand still: that is a measurement of nothing."""
    one = counter(watts=0.0, provenance=provenance, range_uj=None)
    bench = Bench(one)
    bench.cell(1, 1.0, 20.0)
    session = bench.session()
    assert session.holes == ()
    assert session.cell(1).energy.total_uj == 0
    assert session.cell(1).energy.missing == ()


def test_detail_counter_may_stand_still() -> None:
    """An integrated GPU (uncore) that is switched off uses nothing."""
    bench = Bench(counter(), counter("uncore-0", watts=0.0, counted=False))
    bench.cell(1, 1.0, 20.0)
    session = bench.session()
    assert session.holes == ()
    assert session.cell(1).energy.missing == ()


# --- counters that vanish ---


def test_counter_that_vanishes_between_boundaries_loses_nothing() -> None:
    one = counter()
    bench = Bench(one)
    bench.start(1, 1.0)
    bench.run(2.0)
    one.failing = True
    bench.run(4.0)
    one.failing = False
    bench.finish(1, 6.0)
    session = bench.session()
    assert_whole(bench, session, c1=(1.0, 6.0))
    (hole,) = session.holes
    assert not hole.lost
    assert hole.reason == "simulated failure"
    assert hole.until_s is not None
    assert hole.since_s <= 2.0
    assert hole.until_s >= 4.0
    assert not session.total.at_least


def test_counter_that_vanishes_across_boundaries() -> None:
    """The energy is known in sum; whose it was is not."""
    package, dram = counter(), counter("dram-0", watts=5.0)
    bench = Bench(package, dram)
    bench.cell(1, 1.0, 2.0)
    bench.start(2, 3.0)
    bench.run(3.5)
    package.failing = True
    bench.finish(2, 5.0)
    bench.cell(3, 6.0, 7.0)
    bench.start(4, 8.0)
    bench.run(9.0)
    package.failing = False
    bench.finish(4, 11.0)
    bench.cell(5, 12.0, 13.0)
    session = bench.session()
    assert_whole(bench, session, c1=(1.0, 2.0), c5=(12.0, 13.0))
    for number, (begin_s, end_s) in {2: (3.0, 5.0), 3: (6.0, 7.0), 4: (8.0, 11.0)}.items():
        energy = session.cell(number).energy
        assert energy.missing == ("package-0",)
        assert energy.uj["dram-0"] == bench.truth_uj(begin_s, end_s, "dram-0")
    assert "package-0" not in session.cell(3).energy.uj
    assert session.total.total_uj == bench.near_total()
    assert not session.total.at_least
    (hole,) = session.holes
    assert hole.until_s is not None
    # From the last stamp that holds it, which is the start of the second cell.
    assert session.ledger.holes.total_uj == bench.near(
        bench.truth_uj(3.0, hole.until_s, "package-0")
    )


def test_counter_that_never_comes_back() -> None:
    package, dram = counter(), counter("dram-0", watts=5.0)
    bench = Bench(package, dram)
    bench.start(1, 1.0)
    bench.run(2.0)
    package.failing = True
    bench.finish(1, 5.0)
    bench.mark(SessionEnded(t=0), 6.0)
    session = bench.session()
    assert session.cell(1).energy.missing == ("package-0",)
    assert session.total.missing == ("package-0",)
    (hole,) = session.holes
    assert hole.until_s is None


def test_counter_that_is_unreadable_at_first() -> None:
    one = counter()
    one.failing = True
    bench = Bench(one)
    bench.cell(1, 1.0, 2.0)
    bench.run(3.0)
    one.failing = False
    bench.run(5.0)
    bench.cell(2, 6.0, 7.0)
    session = bench.session()
    assert session.cell(1).energy.total_uj is None
    assert_whole(bench, session, c2=(6.0, 7.0))
    assert session.total.missing == ("package-0",)
    (hole,) = session.holes
    assert hole.lost, "nobody knows what it used before it was first read"


@pytest.mark.parametrize("end", ["start", "finish"])
def test_kernel_could_not_read_at_one_boundary(end: str) -> None:
    """The recorder reads for it, and places the boundary between two readings."""
    one = counter()
    bench = Bench(one)
    for number, what in enumerate(("start", "finish")):
        t_s = 1.0 + 2 * number
        bench.run(t_s)
        one.failing = what == end
        event = (
            CellStarted(t=0, number=1, cell="c")
            if what == "start"
            else CellFinished(t=0, number=1, status="ok")
        )
        mark = bench.stamp(event, t_s)
        one.failing = False
        bench.run(t_s + 0.002)
        bench.sampler.on_mark(mark)
    session = bench.session()
    assert session.holes == ()
    cell = session.cell(1)
    assert cell.energy.missing == ()
    assert cell.energy.total_uj == pytest.approx(bench.truth_uj(1, 3), abs=0.002 * 50e6)
    assert session.ledger.holes.total_uj == 0


@pytest.mark.parametrize("end", ["start", "finish"])
def test_nobody_could_read_at_one_boundary(end: str) -> None:
    one = counter()
    bench = Bench(one)
    one.failing = end == "start"
    bench.start(1, 1.0)
    one.failing = end == "finish"
    bench.finish(1, 3.0)
    one.failing = False
    bench.run(20.0)
    session = bench.session()
    cell = session.cell(1)
    assert cell.energy.missing == ("package-0",)
    assert cell.energy.total_uj is None or cell.energy.total_uj < bench.truth_uj(1, 3)
    assert session.ledger.holes.total_uj > 0
    assert session.total.total_uj == bench.near_total()


def test_pause_boundary_without_reading() -> None:
    one = counter()
    bench = Bench(one)
    bench.start(1, 1.0)
    one.failing = True
    bench.mark(TrackingPaused(t=0), 2.0)
    one.failing = False
    bench.mark(TrackingResumed(t=0), 4.0)
    bench.finish(1, 6.0)
    session = bench.session()
    assert session.cell(1).energy.missing == ("package-0",)
    holes_uj = session.ledger.holes.total_uj
    paused_uj = session.ledger.paused.total_uj
    assert holes_uj + paused_uj + session.ledger.productive.total_uj == bench.truth_uj(1, 6)
    assert holes_uj > 0


# --- suspend ---


def asleep(bench: Bench, seconds: float, watts: float = 0.0) -> None:
    """The machine sleeps; its counters may go on counting."""
    bench.clock.asleep_s += seconds
    for one in bench.counters.values():
        one.offset_uj -= round(watts * seconds * 1e6)


@pytest.mark.parametrize("watts", [0.0, 0.01, 3.0])
def test_suspend_is_a_hole(watts: float) -> None:
    bench = Bench(counter())
    bench.cell(1, 1.0, 2.0)
    bench.start(2, 3.0)
    bench.run(4.0)
    asleep(bench, 8 * 3600, watts)
    bench.finish(2, 6.0)
    bench.cell(3, 7.0, 8.0)
    session = bench.session()
    assert_whole(bench, session, c1=(1.0, 2.0), c3=(7.0, 8.0))
    cell = session.cell(2)
    assert cell.energy.missing == ("package-0",)
    assert cell.energy.total_uj is not None
    assert cell.energy.total_uj <= bench.truth_uj(3, 6) + watts * 8 * 3600e6
    assert session.total.at_least
    assert all(hole.lost for hole in session.holes)
    assert any("suspended" in hole.reason for hole in session.holes)
    assert session.ended_wall_s - session.started_wall_s == pytest.approx(
        session.duration_s + 8 * 3600, abs=0.01
    )
    assert session.wall_at(2.0) == pytest.approx(session.started_wall_s + 2.0)
    assert session.wall_at(7.0) == pytest.approx(session.started_wall_s + 7.0 + 8 * 3600)


def test_suspend_with_a_mark_still_in_the_pipe() -> None:
    """Stamped before, heard of after: its energy is as good as any."""
    bench = Bench(counter())
    bench.start(1, 1.0)
    bench.run(2.0)
    mark = bench.stamp(CellFinished(t=0, number=1, status="ok"), 2.0)
    asleep(bench, 100)
    bench.clock.time_ns = bench.ns(2.01)
    bench.sampler.on_mark(mark)
    bench.run(5.0)
    session = bench.session()
    assert session.cell(1).energy.total_uj == bench.truth_uj(1, 2)


def test_small_steps_of_the_clocks_are_no_suspend() -> None:
    bench = Bench(counter())
    for second in range(1, 20):
        bench.clock.asleep_s += 0.3
        bench.run(second)
    assert bench.session().holes == ()


# --- a recorder that is held up ---


def test_long_silence_may_hide_a_wrap() -> None:
    """262 kJ last for 262 s at 1000 W: longer silences are ambiguous, and say so."""
    bench = Bench(counter(watts=950.0, max_power_w=1000.0))
    bench.start(1, 1.0)
    bench.run(2.0)
    bench.clock.time_ns = bench.ns(400.0)
    bench.run(401.0)
    bench.finish(1, 402.0)
    bench.cell(2, 403.0, 404.0)
    session = bench.session()
    (hole,) = session.holes
    assert hole.lost
    assert "wrapped" in hole.reason
    cell = session.cell(1)
    assert cell.energy.missing == ("package-0",)
    assert cell.energy.total_uj is not None
    lacking_uj = bench.truth_uj(1, 402) - cell.energy.total_uj
    assert lacking_uj % RAPL_RANGE_UJ == 0
    assert_whole(bench, session, c2=(403.0, 404.0))


@pytest.mark.parametrize("watts", [0.5, 950.0])
def test_silence_too_short_to_hide_a_wrap(watts: float) -> None:
    one = counter(watts=watts, max_power_w=1000.0, start_uj=RAPL_RANGE_UJ - 60_000_000)
    bench = Bench(one)
    bench.start(1, 1.0)
    bench.run(2.0)
    bench.clock.time_ns = bench.ns(260.0)
    bench.finish(1, 261.0)
    session = bench.session()
    assert session.holes == ()
    assert_whole(bench, session, c1=(1.0, 261.0))


def deliver(bench: Bench, marks: list[Mark]) -> None:
    for mark in marks:
        bench.sampler.on_mark(mark)
    marks.clear()


@pytest.mark.parametrize("nap_s", [0.02, 0.2, 2.0, 30.0])
def test_starved_recorder_shifts_no_boundary(nap_s: float) -> None:
    bench = Bench(counter(watts=150.0), counter("dram-0", watts=7.0))
    rng = random.Random(1)
    cells = {}
    for number in range(1, 30):
        begin_s = bench.now_s + rng.uniform(0.001, 1)
        end_s = begin_s + rng.uniform(0.001, 3)
        marks = []
        for event, t_s in (
            (CellStarted(t=0, number=number, cell="c"), begin_s),
            (CellFinished(t=0, number=number, status="ok"), end_s),
        ):
            bench.run(t_s, nap_s)
            marks.append(bench.stamp(event, t_s))
            if rng.random() < 0.5:
                deliver(bench, marks)
        deliver(bench, marks)
        cells[f"c{number}"] = (begin_s, end_s)
    session = bench.session()
    assert session.holes == ()
    assert_whole(bench, session, **cells)


# --- marks that come late ---


@pytest.mark.parametrize("late_s", [0.0, 0.003, 0.03, 0.04])
@pytest.mark.parametrize("watts", [0.5, 150.0])
def test_marks_behind_samples_never_look_like_wraps(late_s: float, watts: float) -> None:
    bench = Bench(counter(watts=watts, range_uj=SMALL_RANGE_UJ, start_uj=999_000_000))
    rng = random.Random(2)
    cells = {}
    t_s = 0.5
    for number in range(1, 200):
        begin_s, end_s = t_s + rng.uniform(0.05, 0.3), t_s + rng.uniform(0.35, 0.7)
        bench.cell(number, begin_s, end_s, late_s)
        cells[f"c{number}"] = (begin_s, end_s)
        t_s = end_s + late_s
    session = bench.session()
    assert session.holes == ()
    assert_whole(bench, session, **cells)


def test_a_burst_of_marks_after_a_stall_keeps_its_order() -> None:
    """Samples wait for every mark that is older, however long the queue takes to empty."""
    bench = Bench(counter())
    bench.mark(SpanStarted(t=0, span=1, name="s"), 0.1)
    bench.run(1.0)
    marks, cells = [], {}
    for number in range(1, 101):
        begin_s, end_s = 1.0 + number * 0.004, 1.002 + number * 0.004
        marks += [
            bench.stamp(CellStarted(t=0, number=number, cell="c"), begin_s),
            bench.stamp(CellFinished(t=0, number=number, status="ok"), end_s),
        ]
        cells[f"c{number}"] = (begin_s, end_s)
    # It samples before it gets to the first of them, and is slow with each.
    bench.clock.time_ns = bench.ns(3.0)
    bench.sampler.on_time()
    for mark in marks:
        bench.clock.time_ns += NS // 100
        bench.sampler.on_mark(mark)
    bench.run(6.0)
    session = bench.session()
    assert any(isinstance(event, PowerSampled) and event.t == 3.0 for event in bench.events)
    assert_whole(bench, session, **cells)
    assert session.holes == ()


def test_marks_much_later_than_any_sample_stay_harmless() -> None:
    """Ten seconds late: a sample of that stretch is written already. It is no wrap."""
    bench = Bench(counter(range_uj=SMALL_RANGE_UJ))
    bench.run(1.0)
    late = [
        bench.stamp(CellStarted(t=0, number=1, cell="c"), 1.0),
        bench.stamp(CellFinished(t=0, number=1, status="ok"), 1.1),
    ]
    bench.run(11.5)
    for mark in late:
        bench.sampler.on_mark(mark)
    bench.run(12.5)
    bench.sampler.complete()
    session = bench.fold().session()
    assert_sound(session)
    assert session.holes == ()
    assert session.total.total_uj == bench.near_total()
    # What it used has been given to the time between cells, and it says so.
    assert session.cell(1).energy.missing == ("package-0",)
    assert session.cell(1).energy.total_uj is None


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False))
def test_random_sessions_against_the_truth(rng: random.Random) -> None:
    """Wraps, latencies, naps, nested cells and spans: exact wherever both ends were read."""
    watts = rng.choice([0.3, 20.0, 180.0])
    bench = Bench(
        counter(watts=watts, range_uj=SMALL_RANGE_UJ, start_uj=rng.randrange(SMALL_RANGE_UJ)),
        VirtualCounter(
            about("package-1", clock="socket-1", range_uj=SMALL_RANGE_UJ),
            Curve(3.0, 190.0, rng.uniform(0.1, 3), rng.random()).energy_j,
            tick_phase_s=rng.uniform(0, 0.001),
        ),
    )
    t_s = 0.1
    windows: dict[tuple[str, int], tuple[float, float]] = {}
    for number in range(1, rng.randrange(2, 12)):
        edges = sorted(t_s + rng.uniform(0.001, 4) for _ in range(4))
        late_s = rng.choice([0, 0, 0.0005, 0.01])
        bench.start(2 * number, edges[0], late_s)
        inner = rng.choice(["cell", "span"])
        if inner == "cell":
            bench.start(2 * number + 1, edges[1], late_s, parent=2 * number)
            bench.finish(2 * number + 1, edges[2], late_s)
        else:
            bench.mark(SpanStarted(t=0, span=number, name="s"), edges[1], late_s)
            bench.mark(SpanFinished(t=0, span=number), edges[2], late_s)
        bench.finish(2 * number, edges[3], late_s)
        windows["cell", 2 * number] = edges[0], edges[3]
        inside = 2 * number + 1 if inner == "cell" else number
        windows[inner, inside] = edges[1], edges[2]
        t_s = edges[3] + late_s
    session = bench.session()
    assert session.holes == ()
    for (kind, number), (begin_s, end_s) in windows.items():
        window = session.cell(number) if kind == "cell" else session.span(number)
        assert window.energy.missing == ()
        # A mark that is older than the last reading is one that a busy recorder made late.
        assert window.energy.total_uj == bench.truth_uj(begin_s, end_s)
    assert session.total.total_uj == bench.near_total()


# --- the recorder dies ---


def test_recorder_restarted_with_doubles() -> None:
    bench = Bench(counter(watts=150.0, range_uj=SMALL_RANGE_UJ))
    bench.cell(1, 1.0, 9.0)
    bench.start(2, 10.0)
    bench.run(12.0)
    bench.stamp(CellFinished(t=0, number=2, status="ok"), 12.5)  # nobody hears it
    bench.stamp(CellStarted(t=0, number=3, cell="c"), 12.6)
    bench.restart(13.0, resend=4)
    bench.finish(3, 20.0)
    session = bench.session()
    assert_whole(bench, session, c1=(1.0, 9.0), c2=(10.0, 12.5), c3=(12.6, 20.0))
    assert len(session.gaps) == 1
    assert session.gaps[0].until_s == 13.0
    assert session.holes == ()
    numbers = Counter(event.n for event in bench.events if event.n is not None)
    assert set(numbers.values()) == {1}
    assert session.total.total_uj == bench.near_total()


@pytest.mark.parametrize("moment_s", [1.001, 1.015, 2.0, 2.5, 3.004])
def test_recorder_restarted_at_any_moment(moment_s: float) -> None:
    bench = Bench(counter())
    events: list[tuple[AnyEvent, float]] = [
        (CellStarted(t=0, number=1, cell="c"), 1.0),
        (MetricLogged(t=0, name="acc", value=0.5, cell=1), 2.0),
        (CellFinished(t=0, number=1, status="ok"), 3.0),
        (CellStarted(t=0, number=2, cell="c"), 3.001),
        (CellFinished(t=0, number=2, status="ok"), 4.0),
    ]
    for event, t_s in events:
        if bench.now_s < moment_s <= t_s:
            bench.run(moment_s)
            bench.restart(moment_s)
        bench.mark(event, t_s)
    session = bench.session()
    assert_whole(bench, session, c1=(1.0, 3.0), c2=(3.001, 4.0))
    assert [metric.cell_uj for metric in session.metrics] == [bench.truth_uj(1, 2)]


def test_counter_reset_before_the_restart_goes_on_from_its_offset() -> None:
    one = counter()
    bench = Bench(one)
    bench.run(2.0)
    reset(one, bench.clock.time_ns)
    bench.run(20.0)
    bench.restart(21.0)
    bench.cell(1, 22.0, 23.0)
    session = bench.session()
    assert len(session.holes) == 1
    assert_whole(bench, session, c1=(22.0, 23.0))


@pytest.mark.parametrize("comes_back", [True, False])
def test_counter_lost_before_the_restart(comes_back: bool) -> None:
    package, dram = counter(), counter("dram-0", watts=5.0)
    bench = Bench(package, dram)
    bench.cell(1, 0.5, 0.8)
    package.frozen_at_s = 5 + 1.0
    bench.run(10.0)
    if comes_back:
        package.frozen_at_s = None
        package.offset_uj = int(package.true_uj(5 + 10.0)) - int(package.true_uj(5 + 1.0))
    bench.restart(11.0)
    bench.cell(2, 11.5, 12.0)
    bench.cell(3, 13.0, 14.0)
    session = bench.session()
    assert all(hole.lost for hole in session.holes)
    assert 1.0 <= session.holes[0].since_s < 2.1
    assert (session.holes[-1].until_s is not None) is comes_back
    assert session.total.missing == ("package-0",)
    if comes_back:
        assert_whole(bench, session, c3=(13.0, 14.0))
    else:
        assert session.cell(3).energy.missing == ("package-0",)
        assert session.cell(3).energy.total_uj == bench.truth_uj(13, 14, "dram-0")


def test_counter_that_a_new_recorder_does_not_find() -> None:
    package, dram = counter(), counter("dram-0", watts=5.0)
    bench = Bench(package, dram)
    bench.start(1, 1.0)
    bench.run(5.0)
    bench.fast.counters_.remove(dram)
    bench.restart(6.0)
    bench.finish(1, 7.0)
    session = bench.session()
    (hole,) = session.holes
    assert hole.counter == "dram-0"
    assert "restarted" in hole.reason
    assert session.total.missing == ("dram-0",)
    assert session.cell(1).energy.missing == ("dram-0",)


@pytest.mark.parametrize("absolute", [True, False])
def test_model_that_restarts_at_zero_with_the_recorder(absolute: bool) -> None:
    model = counter("cpu-model", provenance="modelled", range_uj=None, start_uj=0)
    reset(model, 5 * NS)
    bench = Bench(slow=(model,))
    bench.slow.absolute = absolute
    bench.start(1, 1.0)
    bench.run(6.0)
    reset(model, bench.clock.time_ns)
    bench.restart(6.0)
    bench.finish(1, 10.0)
    session = bench.session()
    (hole,) = session.holes
    assert hole.lost
    cell = session.cell(1)
    assert cell.energy.missing == ("cpu-model",)
    assert cell.energy.total_uj == pytest.approx(bench.truth_uj(1, 10), abs=1.2 * 50e6)
    assert cell.energy.total_uj < bench.truth_uj(1, 10)


def test_pause_and_suspend_outlive_the_recorder() -> None:
    bench = Bench(counter())
    bench.start(1, 1.0)
    bench.run(2.0)
    asleep(bench, 600)
    bench.mark(TrackingPaused(t=0), 5.0)
    bench.run(20.0)
    bench.restart(21.0)
    assert not bench.sampler.running
    bench.run(100.0)
    samples = [e for e in bench.events if isinstance(e, PowerSampled) and e.t > 21]
    assert not any(sample.running for sample in samples)
    assert {a.suspended_s for a in bench.events if isinstance(a, ClockAnchored)} == {600.0}
    bench.mark(TrackingResumed(t=0), 101.0)
    bench.finish(1, 102.0)
    session = bench.session()
    paused_uj = session.ledger.paused.total_uj
    assert paused_uj == bench.truth_uj(5, 101)


# --- slower sources ---


def test_model_is_placed_on_the_line_between_readings() -> None:
    model = counter("cpu-model", watts=40.0, provenance="modelled", range_uj=None, band=0.4)
    bench = Bench(counter(), slow=(model,))
    rng = random.Random(3)
    cells = {}
    t_s = 0.5
    for number in range(1, 50):
        begin_s, end_s = t_s + rng.uniform(0.1, 0.5), t_s + rng.uniform(0.6, 3)
        bench.cell(number, begin_s, end_s, late_s=rng.uniform(0, 0.04))
        cells[number] = (begin_s, end_s)
        t_s = end_s + 0.05
    session = bench.session()
    assert session.holes == ()
    for number, (begin_s, end_s) in cells.items():
        energy = session.cell(number).energy
        assert energy.missing == ()
        assert energy.uj["package-0"] == bench.truth_uj(begin_s, end_s, "package-0")
        # Power is constant, so the line is exact but for the steps of the counter.
        truth_uj = bench.truth_uj(begin_s, end_s, "cpu-model")
        assert energy.uj["cpu-model"] == pytest.approx(truth_uj, abs=2 * 0.001 * 40e6)


@pytest.mark.parametrize("read_since", [True, False])
def test_boundary_too_far_from_any_reading_is_missing(read_since: bool) -> None:
    model = counter("cpu-model", watts=40.0, provenance="modelled", range_uj=None)
    bench = Bench(counter(), slow=(model,))
    bench.run(1.0)
    mark = bench.stamp(CellStarted(t=0, number=1, cell="c"), 1.5)
    bench.clock.time_ns = bench.ns(2.5)
    if read_since:
        bench.sampler.on_time()
    bench.sampler.on_mark(mark)
    bench.finish(1, 3.0)
    session = bench.session()
    energy = session.cell(1).energy
    assert energy.missing == ("cpu-model",)
    assert energy.uj["package-0"] == bench.truth_uj(1.5, 3, "package-0")
    assert session.ledger.holes.uj["cpu-model"] > 0
    assert session.total.total_uj == bench.near_total()


def test_slow_counter_that_stands_still_is_placed_on_no_line() -> None:
    gpu = counter("gpu-0", watts=90.0, range_uj=None, clock="gpu-0")
    bench = Bench(counter(), slow=(gpu,))
    bench.run(1.0)
    gpu.frozen_at_s = 5 + 1.0
    bench.run(20.0)
    bench.cell(1, 20.05, 21.05)
    energy = bench.session().cell(1).energy
    assert energy.missing == ("gpu-0",)
    assert energy.uj == {"package-0": bench.truth_uj(20.05, 21.05, "package-0")}


class Sensor:
    """A power sensor of 60 W."""

    info = about("gpu-0", provenance="integrated", range_uj=None, resolution_s=0.1, clock="gpu")

    def power_w(self, now_ns: int) -> float:
        return 60.0

    def close(self) -> None:
        """Nothing to give back."""


def test_integrated_sensor_that_restarts_at_zero() -> None:
    bench = Bench(counter())
    bench.sources[1] = Integrated(Sensor())
    bench.events.clear()
    bench.sent.clear()
    bench.sampler = bench.new_sampler()
    bench.begin()
    bench.cell(1, 1.0, 2.0)
    bench.start(2, 3.0)
    bench.run(4.0)
    bench.clock.time_ns = bench.ns(14.0)  # so long without reading that it begins anew
    bench.finish(2, 20.0)
    bench.cell(3, 21.0, 22.0)
    session = bench.session()
    (hole,) = session.holes
    assert (hole.counter, hole.lost) == ("gpu-0", True)
    assert hole.until_s is not None
    assert hole.since_s <= 4.0
    assert hole.until_s >= 14.0
    for number in (1, 3):
        energy = session.cell(number).energy
        assert energy.missing == ()
        assert energy.uj["gpu-0"] == pytest.approx(60e6, rel=0.001)
    energy = session.cell(2).energy
    assert energy.missing == ("gpu-0",)
    known_s = 17 - (hole.until_s - hole.since_s)
    assert energy.uj["gpu-0"] == pytest.approx(known_s * 60e6, rel=0.001)
    assert energy.uj["package-0"] == bench.truth_uj(3, 20, "package-0")


# --- the kernel dies ---


def test_death_ends_everything_that_is_open() -> None:
    bench = Bench(counter())
    bench.cell(1, 0.5, 1.0)
    bench.start(2, 2.0)
    bench.mark(SpanStarted(t=0, span=1, name="train", type="measure", cell=2), 2.5)
    bench.start(3, 3.0, parent=2)
    bench.mark(SpanStarted(t=0, span=2, name="epoch", type="epoch", parent=1, cell=3), 3.5)
    bench.start(4, 3.6, thread="subshell")
    bench.run(5.0)
    bench.sampler.on_death()
    session = bench.session()
    assert (session.state, session.reason) == ("ended without goodbye", "kernel died")
    assert session.open_cells == ()
    begins = {2: 2.0, 3: 3.0, 4: 3.6}
    for number, begin_s in begins.items():
        assert session.cell(number).status == "kernel died"
        assert session.cell(number).energy.total_uj == bench.truth_uj(begin_s, 5)
    for span, begin_s in {1: 2.5, 2: 3.5}.items():
        assert session.span(span).status == "kernel died"
        assert session.span(span).energy.total_uj == bench.truth_uj(begin_s, 5)
    assert isinstance(bench.events[-1], SessionEnded)
    assert session.total.total_uj == bench.truth_uj(0, 5)
    assert session.total.bound_uj > 0
    written = len(bench.events)
    bench.sampler.on_death()
    bench.sampler.on_mark(bench.stamp(CellStarted(t=0, number=9, cell="c"), 6.0))
    bench.sampler.complete()
    assert len(bench.events) == written


def test_death_while_a_counter_cannot_be_read() -> None:
    package, dram = counter(), counter("dram-0", watts=5.0)
    bench = Bench(package, dram)
    bench.start(1, 1.0)
    bench.run(2.0)
    package.failing = True
    bench.run(4.0)
    bench.sampler.on_death()
    session = bench.session()
    energy = session.cell(1).energy
    assert energy.missing == ("package-0",)
    assert energy.uj["dram-0"] == bench.truth_uj(1, 4, "dram-0")


def test_goodbye_within_a_cell() -> None:
    """%unload_ext: nobody will tell the end of the cell."""
    bench = Bench(counter())
    bench.start(1, 1.0)
    bench.mark(SpanStarted(t=0, span=1, name="s"), 2.0)
    bench.mark(SessionEnded(t=0), 3.0)
    session = bench.session()
    assert (session.state, session.reason) == ("closed", "goodbye")
    assert session.open_cells == ()
    cell: Cell = session.cell(1)
    assert cell.status == "unfinished"
    assert cell.energy.total_uj == bench.truth_uj(1, 3)
    assert session.span(1).energy.total_uj == bench.truth_uj(2, 3)


# --- rates ---


def kinds(bench: Bench, begin_s: float, end_s: float) -> Counter[str]:
    return Counter(type(event).__name__ for event in bench.events if begin_s <= event.t < end_s)


def test_sampling_rates() -> None:
    bench = Bench(counter())
    bench.run(0.5)
    reads = bench.fast.reads
    bench.run(100.5)
    assert bench.fast.reads - reads == pytest.approx(100, abs=2)
    bench.start(1, 100.5)
    reads = bench.fast.reads
    bench.run(200.5)
    assert bench.fast.reads - reads == pytest.approx(1000, abs=10)
    bench.finish(1, 200.5)
    bench.run(300.5)
    idle, running = kinds(bench, 0.5, 100.5), kinds(bench, 100.5, 200.5)
    assert idle["PowerSampled"] + idle["ClockAnchored"] == pytest.approx(10, abs=1)
    assert running["PowerSampled"] + running["ClockAnchored"] == pytest.approx(100, abs=2)
    assert kinds(bench, 0, 300)["ClockAnchored"] in (4, 5)
    assert all(
        e.running == (100.5 < e.t < 200.6) for e in bench.events if isinstance(e, PowerSampled)
    )


def test_open_span_is_sampled_as_a_cell() -> None:
    bench = Bench(counter())
    bench.mark(SpanStarted(t=0, span=1, name="s"), 1.0)
    bench.run(11.0)
    assert kinds(bench, 1.0, 11.0)["PowerSampled"] == pytest.approx(10, abs=1)
    bench.mark(SpanFinished(t=0, span=1), 11.0)
    bench.run(41.0)
    assert kinds(bench, 11.0, 41.0)["PowerSampled"] <= 4


def test_a_day_of_idling_is_short() -> None:
    bench = Bench(counter(watts=10.0), counter("dram-0", watts=1.0))
    bench.run(24 * 3600.0)
    session = bench.session()
    assert len(bench.events) < 24 * 3600 / 10 + 10
    size = sum(len(encode(event)) for event in bench.events)
    assert size < 2_000_000
    assert session.holes == ()
    assert session.total.total_uj == bench.near_total()
    assert session.duration_s == pytest.approx(24 * 3600, abs=11)


def test_events_leave_in_the_order_of_time_as_they_happen() -> None:
    """Not only in the end: what is written is never preceded by what comes later."""
    bench = Bench(counter())
    for number in range(1, 60):
        t_s = bench.now_s
        bench.cell(number, t_s + 0.013, t_s + 0.171, late_s=0.02)
        times = [event.t for event in bench.events]
        assert times == sorted(times)


def test_samples_do_not_overtake_a_boundary_that_waits_for_its_bound() -> None:
    """Twenty updates of a slow counter take two seconds; meanwhile it is sampled."""
    bench = Bench(counter("gpu-0", range_uj=None, resolution_s=0.1))
    for number in range(1, 20):
        bench.cell(number, bench.now_s + 0.4, bench.now_s + 1.7)
        times = [event.t for event in bench.events]
        assert times == sorted(times)
    bench.session()


def test_nothing_holds_up_a_boundary() -> None:
    """A counter that cannot be read delays the journal by a tenth of a second at most."""
    one, other = counter(), counter("gpu-0", resolution_s=0.02)
    bench = Bench(one, slow=(other,))
    other.failing = True
    bench.start(1, 1.0)
    bench.run(1.6)
    assert any(isinstance(event, CellStarted) for event in bench.events)


def test_losses_are_told_ahead_of_the_stamp_that_showed_them() -> None:
    one = counter()
    bench = Bench(one)
    bench.start(1, 1.0)
    reset(one, bench.ns(1.0))
    bench.finish(1, 1.004)
    bench.session()
    order = [type(event) for event in bench.events]
    assert order.index(CounterLost) < order.index(CounterRestored) < order.index(CellFinished)


def test_intensity_splits_a_cell_at_its_stamp() -> None:
    bench = Bench(counter())
    bench.start(1, 1.0)
    bench.mark(IntensityChanged(t=0), 2.0)
    bench.finish(1, 4.0)
    session = bench.session()
    split = session.cell(1).energy.by_period
    assert split == {0: bench.truth_uj(1, 2), 1: bench.truth_uj(2, 4)}


# --- the share of the process tree ---


class Meter:
    """A tree that uses two of the four CPUs that are busy on a machine of eight."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.reads: list[int] = []

    def read(self) -> CpuTimes:
        self.reads.append(self.clock.now_ns())
        t_s = self.clock.now_ns() / NS
        return CpuTimes(2 * t_s, 4 * t_s, 4 * t_s)


def test_utilisation_is_read_once_a_second_and_the_share_when_a_cell_ends() -> None:
    bench = Bench(counter())
    meter = Meter(bench.clock)
    bench.sampler._meter = meter
    bench.cell(1, 1.0, 6.0)
    bench.cell(2, 7.0, 7.3)
    session = bench.session()
    assert session.cell(1).tree_share == 0.5
    assert session.cell(2).tree_share is None, "too short to tell"
    shown = {e.cpu_utilisation for e in bench.events if isinstance(e, PowerSampled)}
    assert shown <= {None, 0.5}
    assert 0.5 in shown
    assert len(meter.reads) <= 1 + session.duration_s + 1, "one a second, and one at a long end"


def test_recorders_that_die_one_after_the_other_lose_nothing() -> None:
    """The second one has written no stamp, only that it took over."""
    bench = Bench(counter(watts=150.0))
    bench.run(6.0)
    bench.restart(20.0)
    bench.sampler.flush(bench.clock.now_ns())
    bench.restart(20.1)
    bench.cell(1, 21.0, 22.0)
    session = bench.session()
    assert not session.holes
    assert session.total.missing == ()
    assert session.total.total_uj == pytest.approx(150e6 * session.duration_s, rel=0.02)


# --- devices ---

STRANGER = 4711
CARD_W = 60.0


def card(name: str = "gpu-0", watts: float = CARD_W) -> VirtualCounter:
    info = about(
        name,
        domain="gpu",
        source="nvml",
        resolution_s=0.1,
        clock="",
        range_uj=None,
        max_power_w=1000.0,
        quantum_uj=1000.0,
        centred=True,
    )
    return VirtualCounter(info, constant(watts), start_uj=10**9, tick_s=0.1, tick_phase_s=0.031)


class Cards:
    """A recorder that watches devices, and the kernel; seconds count from the session's start."""

    def __init__(self, *cards: VirtualCounter, used: bool = True, **counters: bool) -> None:
        beside = [counter()] if counters.get("beside") else []
        self.machine = VirtualMachine(beside, devices=cards or (card(),))
        self.device = self.machine.devices[0]
        if not used:
            self.device.processes = []
        self.sampler = self.machine.sampler
        started = SessionStarted(
            t=0.0,
            format="1.0",
            session="s",
            version="0",
            wall_s=0.0,
            host="h",
            boot_id="b",
            pid=1,
            process_started=0.0,
        )
        self.machine.mark(started, self.ns(0))

    def ns(self, t_s: float) -> int:
        return self.machine.start_ns + round(t_s * NS)

    def run(self, until_s: float) -> None:
        self.machine.run_until(self.ns(until_s))

    def mark(self, event: AnyEvent, t_s: float) -> None:
        self.machine.mark(event, self.ns(t_s), 300_000)

    def cell(self, number: int, begin_s: float, end_s: float) -> None:
        self.mark(CellStarted(t=0, number=number, cell=f"c{number}"), begin_s)
        self.mark(CellFinished(t=0, number=number, status="ok"), end_s)

    @property
    def events(self) -> list[Event]:
        return self.machine.events

    def of(self, kind: type) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    def session(self) -> Session:
        fold = Fold()
        for event in self.machine.settle():
            assert decode(encode(event)) == event
            fold.feed(event)
        times = [event.t for event in self.events]
        assert times == sorted(times), "events must leave in the order of their time"
        stamped: dict[str, int] = {}
        for event in self.events:
            for name, uj in getattr(event, "uj", {}).items():
                assert uj >= stamped.get(name, 0), f"{name} falls at {event}"
                stamped[name] = uj
        session = fold.session()
        assert_sound(session)
        return session


def true_uj(seconds: float, watts: float = CARD_W) -> object:
    """But for a tick's moment."""
    return pytest.approx(seconds * watts * 1e6, abs=watts * 1e3)


def test_a_cell_has_the_energy_of_the_device_it_uses() -> None:
    bench = Cards(card(), card("gpu-1", 400.0))
    bench.machine.devices[1].use(STRANGER)
    bench.cell(1, 5.0, 7.5)
    session = bench.session()
    cell = session.cell(1)
    assert cell.energy.uj["gpu-0"] == true_uj(2.5)
    assert cell.energy.uj["gpu-1"] == 0
    assert cell.energy.missing == ()
    (told,) = bench.of(CellFinished)
    assert isinstance(told, CellFinished)
    assert (told.devices, told.devices_shared) == (["gpu-0"], [])
    assert set(told.error_uj) == {"gpu-0", "gpu-1"}


def test_a_device_counts_from_its_first_use_on() -> None:
    bench = Cards(used=False)
    bench.cell(1, 5.0, 7.0)
    bench.mark(CellStarted(t=0, number=2, cell="c2"), 8.0)
    bench.device.use(KERNEL_PID)
    bench.mark(CellFinished(t=0, number=2, status="ok"), 10.0)
    bench.cell(3, 11.0, 12.0)
    session = bench.session()
    assert session.cell(1).energy.uj["gpu-0"] == 0
    # It was seen not to be used at the beginning, and to be used within the cell.
    assert session.cell(2).energy.uj["gpu-0"] == true_uj(2.0)
    assert session.cell(3).energy.uj["gpu-0"] == true_uj(1.0)
    devices = [event.devices for event in bench.of(CellFinished)]  # type: ignore[attr-defined]
    assert devices == [[], ["gpu-0"], ["gpu-0"]]


def test_what_is_not_used_any_more_does_not_count() -> None:
    bench = Cards()
    bench.cell(1, 5.0, 7.0)
    bench.device.processes = []
    bench.cell(2, 20.0, 22.0)
    session = bench.session()
    assert session.cell(1).energy.uj["gpu-0"] == true_uj(2.0)
    assert session.cell(2).energy.uj["gpu-0"] == 0


def test_a_process_that_ends_with_its_cell_takes_nothing_away() -> None:
    """A training in a child: at the cell's end nobody uses the device any more."""
    bench = Cards()
    bench.mark(CellStarted(t=0, number=1, cell="c1"), 5.0)
    bench.run(7.98)
    bench.device.processes = []
    bench.mark(CellFinished(t=0, number=1, status="ok"), 8.0)
    bench.cell(2, 8.3, 8.4)
    session = bench.session()
    assert session.cell(1).energy.uj["gpu-0"] == true_uj(3.0)


def test_a_shared_device_is_told_with_the_share() -> None:
    bench = Cards()
    bench.device.use(KERNEL_PID, STRANGER, STRANGER + 1, STRANGER + 2)
    bench.cell(1, 5.0, 9.0)
    bench.session()
    (told,) = bench.of(CellFinished)
    assert isinstance(told, CellFinished)
    assert told.devices_shared == ["gpu-0"]
    assert told.device_shares == {"gpu-0": 0.25}
    assert [event.note for event in bench.of(CounterNoted)] == [SHARED]  # type: ignore[attr-defined]


def test_samples_tell_what_used_devices_do() -> None:
    bench = Cards(card(), card("gpu-1"))
    bench.machine.devices[1].use(STRANGER)
    bench.device.utilisation = 0.75
    bench.cell(1, 5.0, 9.5)
    bench.session()
    running = [event for event in bench.of(PowerSampled) if event.running]  # type: ignore[attr-defined]
    assert len(running) >= 3
    for event in running:
        assert isinstance(event, PowerSampled)
        assert set(event.devices) == {"gpu-0"}
        assert event.devices["gpu-0"].utilisation == 0.75
        assert event.uj["gpu-0"] > 0
        assert event.uj["gpu-1"] == 0


def test_watchers_know_whether_a_cell_runs() -> None:
    bench = Cards()
    (watch,) = bench.machine.watches
    bench.mark(CellStarted(t=0, number=1, cell="c1"), 3.0)
    assert watch.watcher.running
    bench.run(13.0)
    asked = sum(t_ns > bench.ns(3.5) for t_ns in bench.device.states_ns)
    assert asked >= 8, "once a second within a cell"
    bench.mark(CellFinished(t=0, number=1, status="ok"), 13.0)
    assert not watch.watcher.running
    bench.session()


@pytest.mark.parametrize(("power_w", "told"), [(90.0, "50% more"), (30.0, "50% less"), (63, "")])
def test_a_counter_and_power_readings_that_disagree_are_told(power_w: float, told: str) -> None:
    bench = Cards()
    bench.device.power_w = power_w
    bench.cell(1, 3.0, 75.0)
    bench.session()
    notes = [event.note for event in bench.of(CounterNoted)]  # type: ignore[attr-defined]
    assert len(notes) == bool(told)
    assert all(told in note for note in notes)


def test_a_device_that_is_lost_and_found() -> None:
    bench = Cards(beside=True)
    bench.cell(1, 4.0, 5.0)
    bench.run(5.6)
    bench.device.counter.failing = True
    bench.cell(2, 6.0, 9.0)
    bench.run(10.0)
    bench.device.counter.failing = False
    bench.cell(3, 14.0, 15.0)
    session = bench.session()
    (lost,), (back,) = bench.of(CounterLost), bench.of(CounterRestored)
    assert isinstance(lost, CounterLost)
    assert isinstance(back, CounterRestored)
    assert (lost.counter, lost.reason, lost.remedy) == (
        "gpu-0",
        "simulated failure",
        "simulate none",
    )
    assert not back.lost, "it went on counting"
    assert session.cell(1).energy.uj["gpu-0"] == true_uj(1.0)
    assert session.cell(2).energy.missing == ("gpu-0",)
    assert session.cell(2).energy.uj["package-0"] > 0
    assert session.cell(3).energy.uj["gpu-0"] == true_uj(1.0)


def test_a_device_that_restarts_leaves_a_hole() -> None:
    bench = Cards()
    bench.cell(1, 4.0, 5.0)
    bench.run(6.0)
    reset(bench.device.counter, bench.machine.clock.time_ns)
    bench.cell(2, 9.0, 10.0)
    session = bench.session()
    assert session.cell(1).energy.uj["gpu-0"] == true_uj(1.0)
    assert session.cell(2).energy.uj["gpu-0"] == true_uj(1.0)
    (back,) = bench.of(CounterRestored)
    assert isinstance(back, CounterRestored)
    assert back.lost


def test_a_suspend_is_a_hole_in_every_device() -> None:
    bench = Cards()
    bench.cell(1, 4.0, 5.0)
    bench.run(6.5)
    bench.machine.clock.asleep_s += 3600
    bench.run(7.5)
    bench.cell(2, 9.0, 10.0)
    session = bench.session()
    assert session.cell(2).energy.uj["gpu-0"] == true_uj(1.0)
    assert any("suspended" in event.reason for event in bench.of(CounterLost))  # type: ignore[attr-defined]


def test_the_kernel_dies_within_a_cell() -> None:
    bench = Cards()
    bench.mark(CellStarted(t=0, number=1, cell="c1"), 5.0)
    bench.run(8.0)
    bench.sampler.on_death()
    assert not bench.sampler.ended, "the device's energy is worth waiting for"
    session = bench.session()
    assert bench.sampler.ended
    assert session.cell(1).energy.uj["gpu-0"] == true_uj(3.0)
    assert isinstance(bench.events[-1], SessionEnded)


def test_the_end_of_a_session_waits_for_the_ticks() -> None:
    bench = Cards()
    bench.cell(1, 5.0, 6.0)
    bench.mark(SessionEnded(t=0, reason="goodbye"), 6.01)
    session = bench.session()
    assert bench.sampler.ended
    assert session.cell(1).energy.uj["gpu-0"] == true_uj(1.0)


def test_the_recorder_is_replaced() -> None:
    bench = Cards()
    bench.cell(1, 4.0, 5.0)
    bench.mark(CellStarted(t=0, number=2, cell="c2"), 6.0)
    bench.run(7.0)
    bench.machine.restart("killed", NS // 2)
    bench.mark(CellFinished(t=0, number=2, status="ok"), 9.0)
    bench.cell(3, 12.0, 13.0)
    session = bench.session()
    assert session.cell(1).energy.uj["gpu-0"] == true_uj(1.0)
    assert session.cell(3).energy.uj["gpu-0"] == true_uj(1.0)
    assert any("restarted" in event.reason for event in bench.of(CounterLost))  # type: ignore[attr-defined]


def test_a_watcher_that_does_not_answer_is_waited_for_so_long() -> None:
    """The driver hangs: the boundary goes without the device, and the rest is whole."""
    bench = Cards(beside=True)
    bench.run(4.0)
    bench.machine.watches = []
    bench.cell(1, 5.0, 6.0)
    bench.run(6.0 + PATIENCE_NS / NS - 0.2)
    assert bench.of(CellFinished) == []
    bench.run(6.0 + PATIENCE_NS / NS + 0.2)
    (told,) = bench.of(CellFinished)
    assert isinstance(told, CellFinished)
    assert "package-0" in told.uj
    assert "gpu-0" not in told.uj


def test_what_is_known_at_once_is_told_and_leaves_no_trace() -> None:
    bench, other = Cards(), Cards()
    for one in (bench, other):
        one.cell(1, 5.0, 7.0)
        one.run(7.05)
    assert bench.sampler.finished < len(bench.machine.sent)
    provisional = bench.sampler.provisional(len(bench.machine.sent))
    assert provisional is not None
    (told,) = [event for event in provisional if isinstance(event, CellFinished)]
    assert told.uj["gpu-0"] > 0
    assert bench.session() == other.session()


def test_recording_a_session_of_cells_and_devices_partitions_its_time() -> None:
    bench = Cards(card(), card("gpu-1", 200.0), beside=True)
    for number in range(30):
        bench.machine.devices[1].use(*((KERNEL_PID,) if number % 7 < 3 else (STRANGER,)))
        bench.cell(number, 5.0 + number * 0.7, 5.5 + number * 0.7)
    session = bench.session()
    cells = [cell.energy.uj["gpu-0"] for cell in session.cells]
    assert sum(cells) == pytest.approx(30 * 0.5 * CARD_W * 1e6, rel=1e-3)
