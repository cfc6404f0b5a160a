"""The rhythm of a slow counter is learnt from looks at it, and forgotten when it changes."""

from __future__ import annotations

import random
import statistics
from bisect import bisect_left
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_green.recorder.ticks import (
    MEMORY,
    MS,
    SLOW_SEARCH_NS,
    STEP_NS,
    EveryLook,
    Tick,
    Ticks,
)

S = 1000 * MS
CALL_NS = 20_000
LONGEST_NS = 2 * S
"""No look is put off for longer, whatever the counter does."""


@dataclass
class Watch:
    """Looks at a counter when the rhythm says so, as the watcher does."""

    ticks_ns: list[float]
    """When the counter moves. It counts its ticks."""
    rhythm: Ticks = field(default_factory=Ticks)
    now_ns: int = S
    late_ns: int = 140_000
    """A thread wakes up to so much later than it wants to."""
    rng: random.Random = field(default_factory=lambda: random.Random(7))
    looks: list[int] = field(default_factory=list)
    seen: list[Tick] = field(default_factory=list)
    periods: list[float | None] = field(default_factory=list)
    _passed: int = 0

    def raw(self, t_ns: float) -> int:
        while self._passed < len(self.ticks_ns) and self.ticks_ns[self._passed] <= t_ns:
            self._passed += 1
        return 10**9 + self._passed

    def run(self, until_ns: int, pace_ns: int = 0) -> None:
        """Until a time, with the invariants of each look."""
        while True:
            due_ns = self.rhythm.next_look_ns(pace_ns)
            if self.looks:
                assert due_ns > self.looks[-1], "a look must lie in the future"
                assert due_ns - self.looks[-1] <= max(LONGEST_NS, 2 * pace_ns)
            wake_ns = max(self.now_ns, due_ns) + self.rng.randint(0, self.late_ns)
            if wake_ns > until_ns:
                self.now_ns = until_ns
                return
            self.look_at(wake_ns)

    def look_at(self, t_ns: int) -> Tick | None:
        self.now_ns = t_ns
        self.looks.append(t_ns)
        raw = self.raw(t_ns + CALL_NS // 2)
        self.now_ns += CALL_NS
        tick = self.rhythm.look(t_ns, self.now_ns, raw)
        if tick is not None:
            self.seen.append(tick)
        self.periods.append(self.rhythm.period_s)
        return tick

    def looks_since(self, t_ns: int) -> int:
        return sum(look_ns >= t_ns for look_ns in self.looks)

    def seen_since(self, t_ns: int) -> list[Tick]:
        return [tick for tick in self.seen if tick.t_ns >= t_ns]

    def off_ns(self, tick: Tick) -> float:
        """How far a tick is told from the nearest true one."""
        here = bisect_left(self.ticks_ns, tick.t_ns)
        return min(
            abs(tick.t_ns - true_ns) for true_ns in self.ticks_ns[max(0, here - 1) : here + 1]
        )


def ticking(
    period_ns: float, until_s: float = 30, jitter_ns: float = 0.0, seed: int = 0
) -> list[float]:
    """Ticks at equal distances, or nearly so."""
    rng = random.Random(seed)
    phase_ns = rng.uniform(0, period_ns)
    count = round(until_s * S / period_ns)
    return [
        phase_ns + number * period_ns + rng.uniform(-jitter_ns, jitter_ns)
        for number in range(count)
    ]


PERIODS = [100 * MS, 20 * MS, 50 * MS, 100.07 * MS, 250 * MS]


@pytest.mark.parametrize("period_ns", PERIODS)
@pytest.mark.parametrize("pace_ns", [0, 100 * MS, 300 * MS, 1000 * MS])
def test_learns_the_period(period_ns: float, pace_ns: int) -> None:
    watch = Watch(ticking(period_ns))
    watch.run(3 * S)
    assert watch.rhythm.period_s == pytest.approx(period_ns / S, rel=0.02)
    watch.run(20 * S, pace_ns)
    assert watch.rhythm.period_s == pytest.approx(period_ns / S, rel=0.0005)
    known = watch.periods[-watch.looks_since(3 * S) :]
    assert None not in known, "a regular rhythm is not forgotten"


@pytest.mark.parametrize("period_ns", PERIODS)
@pytest.mark.parametrize("pace_ns", [0, 100 * MS, 300 * MS, 1000 * MS])
def test_tells_the_moment_of_a_tick_as_well_as_it_says(period_ns: float, pace_ns: int) -> None:
    watch = Watch(ticking(period_ns))
    watch.run(5 * S)
    watch.run(25 * S, pace_ns)
    late = watch.seen_since(6 * S)
    inside = [watch.off_ns(tick) <= tick.within_ns for tick in late]
    assert sum(inside) >= 0.97 * len(late)
    assert statistics.median(tick.within_ns for tick in late) <= STEP_NS


@pytest.mark.parametrize("jitter_ms", [0.2, 1.0, 3.0])
@pytest.mark.parametrize("seed", range(5))
def test_learns_an_irregular_rhythm(jitter_ms: float, seed: int) -> None:
    watch = Watch(ticking(100 * MS, jitter_ns=jitter_ms * MS, seed=seed))
    watch.run(4 * S)
    watch.run(25 * S, 100 * MS)
    assert watch.rhythm.period_s == pytest.approx(0.1, rel=0.01)
    late = watch.seen_since(6 * S)
    assert len(late) > 100
    assert sum(watch.off_ns(tick) <= tick.within_ns for tick in late) >= 0.9 * len(late)


def test_sees_the_ticks_of_each_pace_and_no_more() -> None:
    """With each that is looked for shows the one before it, which the rhythm dates."""
    for pace_ns, least, most in (
        (0, 95, 101),
        (100 * MS, 95, 101),
        (300 * MS, 60, 70),
        (S, 18, 22),
    ):
        watch = Watch(ticking(100 * MS))
        watch.run(10 * S, pace_ns)
        begin_ns = watch.now_ns
        watch.run(20 * S, pace_ns)
        assert least <= len(watch.seen_since(begin_ns)) <= most


@pytest.mark.parametrize(
    ("pace_ns", "most"), [(0, 100), (100 * MS, 100), (300 * MS, 40), (1000 * MS, 15)]
)
@pytest.mark.parametrize("period_ns", [100 * MS, 20 * MS])
def test_looks_are_few(pace_ns: int, most: int, period_ns: float) -> None:
    """In a second, once the rhythm is known."""
    watch = Watch(ticking(period_ns))
    watch.run(10 * S, pace_ns)
    begin_ns = watch.now_ns
    watch.run(20 * S, pace_ns)
    per_tick = max(1.0, 100 * MS / period_ns) if pace_ns == 0 else 1.0
    assert watch.looks_since(begin_ns) / 10 <= most * per_tick


# What changes


@pytest.mark.parametrize(("before_ns", "after_ns"), [(100, 30), (20, 70), (100, 130), (100, 90)])
@pytest.mark.parametrize("pace_ns", [0, 100 * MS, 1000 * MS])
def test_a_period_that_changes(before_ns: int, after_ns: int, pace_ns: int) -> None:
    first = [t_ns for t_ns in ticking(before_ns * MS) if t_ns < 10 * S]
    watch = Watch(first + [first[-1] + n * after_ns * MS for n in range(1, 3000)])
    watch.run(10 * S, pace_ns)
    assert watch.rhythm.period_s == pytest.approx(before_ns / 1000, rel=0.01)
    watch.run(40 * S, pace_ns)
    assert watch.rhythm.period_s == pytest.approx(after_ns / 1000, rel=0.01)


@pytest.mark.parametrize("pace_ns", [0, 100 * MS, 1000 * MS])
def test_a_pause_of_seconds(pace_ns: int) -> None:
    """A machine was suspended: the counter ticks on, in another phase."""
    first = [t_ns for t_ns in ticking(100 * MS) if t_ns < 10 * S]
    watch = Watch(first + [13.037 * S + n * 100 * MS for n in range(300)])
    watch.run(30 * S, pace_ns)
    assert watch.rhythm.period_s == pytest.approx(0.1, rel=0.001)
    late = watch.seen_since(20 * S)
    assert late
    assert max(watch.off_ns(tick) for tick in late) < 2 * MS


@pytest.mark.parametrize("pace_ns", [0, 100 * MS, 1000 * MS])
def test_nobody_looked_for_seconds(pace_ns: int) -> None:
    """The recorder stood still, and the counter did not."""
    watch = Watch(ticking(100 * MS))
    watch.run(10 * S, pace_ns)
    watch.now_ns = 13 * S
    watch.run(30 * S, pace_ns)
    late = watch.seen_since(15 * S)
    assert watch.rhythm.period_s == pytest.approx(0.1, rel=0.001)
    assert sum(watch.off_ns(tick) <= tick.within_ns for tick in late) >= 0.97 * len(late)


def test_the_phase_jumps() -> None:
    """As after a reset of the card: the same period from another moment on."""
    first = [t_ns for t_ns in ticking(100 * MS) if t_ns < 10 * S]
    watch = Watch(first + [first[-1] + 141 * MS + n * 100 * MS for n in range(300)])
    watch.run(10 * S, 100 * MS)
    watch.run(20 * S, 100 * MS)
    assert watch.rhythm.period_s == pytest.approx(0.1, rel=0.001)
    assert max(watch.off_ns(tick) for tick in watch.seen_since(15 * S)) < MS


# Odd counters


def test_a_counter_that_moves_at_every_look() -> None:
    """It ticks each millisecond: every look is a point, and they stay few."""
    watch = Watch(ticking(MS))
    watch.run(20 * S, 100 * MS)
    assert watch.looks_since(10 * S) <= 10 * 300
    assert len(watch.seen_since(10 * S)) > 50
    assert all(watch.off_ns(tick) <= tick.within_ns for tick in watch.seen_since(10 * S)[-50:])


def test_a_counter_that_never_moves_is_left_alone() -> None:
    watch = Watch([])
    watch.run(20 * S)
    assert watch.seen == []
    assert watch.rhythm.period_s is None
    assert watch.looks_since(10 * S) <= 10 * S / SLOW_SEARCH_NS


def test_a_counter_that_stops_is_left_alone_and_found_again() -> None:
    stopped = [t_ns for t_ns in ticking(100 * MS) if t_ns < 5 * S]
    watch = Watch(stopped + [60 * S + n * 100 * MS for n in range(200)])
    watch.run(60 * S)
    assert watch.looks_since(50 * S) <= 10 * S / SLOW_SEARCH_NS
    watch.run(75 * S)
    assert watch.rhythm.period_s == pytest.approx(0.1, rel=0.001)


def test_nothing_is_known_at_first() -> None:
    rhythm = Ticks()
    assert rhythm.next_look_ns(0) == 0
    assert rhythm.look(S, S + CALL_NS, 5) is None, "the first look shows no tick"
    assert rhythm.look(2 * S, 2 * S + CALL_NS, 5) is None
    tick = rhythm.look(3 * S, 3 * S + CALL_NS, 6)
    assert tick is not None
    assert tick.t_ns - tick.within_ns <= 2 * S
    assert tick.t_ns + tick.within_ns >= 3 * S + CALL_NS - 1


def test_a_slow_call_widens_what_is_known_of_the_tick() -> None:
    rhythm = Ticks()
    rhythm.look(S, S + 200 * MS, 1)
    tick = rhythm.look(S + 210 * MS, S + 500 * MS, 2)
    assert tick == Tick(S + 250 * MS, 250 * MS)


def test_a_raw_value_that_falls_is_a_tick_as_well() -> None:
    rhythm = Ticks()
    rhythm.look(S, S + 1000, 10**9)
    assert rhythm.look(S + MS, S + MS + 1000, 0) is not None


def test_a_tick_lies_between_the_looks_that_showed_it() -> None:
    """Also where the line, drawn through scattered ticks, would have it earlier."""
    looks_ms = ((400, 0.01), (400, 0.01), (200, 1), (400, 1), (102.7, 30), (98.7, 30))
    rhythm, after_ns, looked_ns, placed = Ticks(), S, S, []
    for raw, (gap_ms, call_ms) in enumerate(looks_ms, start=1):
        before_ns = after_ns + round(gap_ms * MS)
        after_ns = before_ns + round(call_ms * MS)
        tick = rhythm.look(before_ns, after_ns, raw)
        if tick is not None:
            placed.append(raw)
            assert looked_ns <= tick.t_ns <= after_ns
        looked_ns = before_ns
    assert placed == [2, 3, 4, 5, 6]


@given(
    gaps_ms=st.lists(st.floats(0.05, 700), min_size=1, max_size=80),
    moves=st.lists(st.integers(0, 2), min_size=80, max_size=80),
    calls_ms=st.lists(st.floats(0.001, 300), min_size=80, max_size=80),
    pace_ns=st.sampled_from([0, 100 * MS, 300 * MS, 1000 * MS]),
)
@settings(max_examples=300, deadline=None)
def test_whatever_is_seen_the_next_look_is_ahead(
    gaps_ms: list[float], moves: list[int], calls_ms: list[float], pace_ns: int
) -> None:
    """And a tick lies between the two looks that showed it."""
    rhythm, t_ns, raw = Ticks(), S, 0
    before_ns = None
    for gap_ms, moved, call_ms in zip(gaps_ms, moves, calls_ms, strict=False):
        t_ns += round(gap_ms * MS)
        after_ns = t_ns + round(call_ms * MS)
        raw += moved
        tick = rhythm.look(t_ns, after_ns, raw)
        assert tick is None or moved
        if tick is not None:
            assert before_ns is not None
            assert tick.within_ns >= 0
            assert before_ns - STEP_NS <= tick.t_ns <= after_ns + STEP_NS
        due_ns = rhythm.next_look_ns(pace_ns)
        assert t_ns < due_ns <= t_ns + 30 * S
        before_ns = t_ns
        t_ns = after_ns


@given(
    period_ms=st.floats(30, 130),
    phase=st.floats(0, 1),
    late_us=st.integers(0, 1000),
    pace_ns=st.sampled_from([0, 100 * MS, 300 * MS, 1000 * MS]),
)
@settings(max_examples=60, deadline=None)
def test_any_regular_rhythm_is_followed(
    period_ms: float, phase: float, late_us: int, pace_ns: int
) -> None:
    ticks = [(phase + n) * period_ms * MS for n in range(round(14_000 / period_ms))]
    watch = Watch(ticks, late_ns=late_us * 1000)
    watch.run(12 * S, pace_ns)
    late = watch.seen_since(8 * S)
    assert late
    assert sum(watch.off_ns(tick) <= tick.within_ns + CALL_NS for tick in late) >= 0.9 * len(late)
    assert watch.looks_since(8 * S) <= 4 * 300


# Power alone


def test_every_power_reading_is_a_point_of_its_own() -> None:
    rhythm = EveryLook(10 * MS, 10 * MS)
    assert rhythm.next_look_ns(50 * MS) == 0
    tick = rhythm.look(S, S + 2 * MS, 7)
    assert tick == Tick(S + MS - 10 * MS, 11 * MS)
    assert rhythm.next_look_ns(50 * MS) == S + 50 * MS
    assert rhythm.look(S + 50 * MS, S + 50 * MS, 7) == Tick(S + 40 * MS, 10 * MS)
    assert rhythm.period_s is None


def test_memory_is_bounded() -> None:
    """The line is drawn through the last ticks only, so that it follows a slow drift."""
    drifting = [n * 100 * MS + 0.002 * MS * n * n for n in range(600)]
    watch = Watch(drifting)
    watch.run(60 * S, 0)
    gap_s = (drifting[-1] - drifting[-MEMORY]) / (MEMORY - 1) / S
    assert watch.rhythm.period_s == pytest.approx(gap_s, rel=0.02)
    late = watch.seen_since(40 * S)
    assert max(watch.off_ns(tick) for tick in late) < 2 * MS
