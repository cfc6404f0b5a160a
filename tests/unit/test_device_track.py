"""A device counts while the kernel's processes use it, and its energy never falls."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_green.events import CounterInfo, DeviceProcess, DeviceState
from jupyter_green.recorder.between import Placed
from jupyter_green.recorder.device import PATIENCE_NS, DeviceTrack, Ledge
from jupyter_green.recorder.ticks import Tick
from jupyter_green.recorder.unwrap import Loss, Return
from jupyter_green.recorder.watching import Failed, Seen, Stood, Ticked
from jupyter_green.sources.counter import Problem
from tests.simulators.virtual import NS

MS = 1_000_000
WATTS = 50.0
START_UJ = 7_000_000_000
NAME = "gpu-0"


def about(provenance: str = "measured") -> CounterInfo:
    return CounterInfo(
        name=NAME,
        domain="gpu",
        source="nvml",
        provenance=provenance,
        resolution_s=0.1,
        quantum_uj=1000,
        centred=True,
        max_power_w=1000.0,
    )


def process(whose: str, utilisation: float | None = None) -> DeviceProcess:
    return DeviceProcess(pid=1, whose=whose, utilisation=utilisation)


class Bench:
    """A device of constant power whose ticks come each 100 ms, and the looks at who uses it."""

    def __init__(self, provenance: str = "measured") -> None:
        self.track = DeviceTrack(about(provenance), absolute=True)
        self.now_s = 0.0

    @staticmethod
    def raw_uj(t_s: float) -> int:
        return START_UJ + round(t_s * WATTS * 1e6)

    def ticks(self, until_s: float, watts: float = WATTS) -> None:
        """The ticks up to a time."""
        while self.now_s + 0.1 <= until_s + 1e-9:
            self.now_s = round(self.now_s + 0.1, 6)
            tick = Tick(round(self.now_s * NS), 0)
            self.track.take(Ticked(NAME, tick, self.raw_uj(self.now_s)))

    def look(self, t_s: float, used: bool, *processes: DeviceProcess) -> None:
        state = DeviceState(processes=list(processes))
        self.track.take(Seen(NAME, round(t_s * NS), used, state))

    def change(self, t_s: float, *, begins: bool = True) -> None:
        self.track.change(round(t_s * NS), begins=begins)

    def place(self, t_s: float) -> Placed | None:
        return self.track.place(round(t_s * NS))

    def joules(self, t_s: float) -> float:
        placed = self.place(t_s)
        assert placed is not None
        return placed.uj / 1e6


# --- when it counts ---


def test_counts_from_the_look_before_to_the_look_after() -> None:
    """Used from somewhere between 2 and 4 s, to somewhere between 8 and 10 s."""
    bench = Bench()
    for t_s, used in ((0.5, False), (2, False), (4, True), (6, True), (8, True), (10, False)):
        bench.look(t_s, used)
    bench.look(12, False)
    bench.ticks(14)
    found = {t_s: bench.joules(t_s) for t_s in (1, 2.5, 3, 5, 7, 8, 9, 10.5, 11, 13)}
    begun = found[2.5] - 0.5 * WATTS
    assert begun == pytest.approx(0, abs=1e-3)
    assert found[1] == 0
    assert found[3] == pytest.approx(1 * WATTS, abs=1e-3)
    assert found[9] == pytest.approx(7 * WATTS, abs=1e-3)
    assert found[10.5] == found[11] == found[13] == pytest.approx(8 * WATTS, abs=1e-3)


def test_counts_nothing_while_nobody_uses_it() -> None:
    bench = Bench()
    for t_s in range(10):
        bench.look(t_s, False)
    bench.ticks(10)
    assert bench.place(9.5) == Placed(0.0, 0.0)
    assert not bench.track.used


def test_counts_again_when_it_is_used_again() -> None:
    bench = Bench()
    for t_s, used in ((1, True), (2, True), (3, False), (4, False), (5, True), (6, True)):
        bench.look(t_s, used)
    bench.ticks(8)
    assert bench.joules(2.5) == pytest.approx(1.5 * WATTS, abs=1e-3)
    assert bench.joules(3.5) == pytest.approx(2 * WATTS, abs=1e-3)
    assert bench.joules(6.5) == pytest.approx(4.5 * WATTS, abs=1e-3)


def test_a_short_use_between_two_boundaries_is_not_lost() -> None:
    """Nobody asked for a figure while it lasted."""
    bench = Bench()
    for t_s, used in ((1, False), (2, True), (3, True), (4, False), (5, False)):
        bench.look(t_s, used)
    bench.ticks(8)
    assert bench.joules(0.9) == 0
    assert bench.joules(6) == pytest.approx(3 * WATTS, abs=1e-3)


def test_used_from_the_first_look_on() -> None:
    bench = Bench()
    bench.look(0.05, True)
    bench.ticks(5)
    # The first tick is the first that is known of the counter.
    assert bench.joules(4) == pytest.approx(3.9 * WATTS, abs=1e-3)


def test_before_anybody_has_looked_nothing_counts() -> None:
    bench = Bench()
    bench.ticks(5)
    assert bench.place(4) == Placed(0.0, 0.0)


def test_used_and_not_read_is_missing_and_not_zero() -> None:
    bench = Bench()
    bench.look(1, True)
    assert bench.place(2) is None


def test_looks_out_of_order_are_left_out() -> None:
    bench = Bench()
    bench.look(3, True)
    bench.look(2, False)
    assert bench.track.used


# --- when it is complete ---


def ns(t_s: float) -> int:
    return round(t_s * NS)


def test_a_boundary_waits_for_the_look_and_for_the_ticks() -> None:
    bench = Bench()
    bench.look(0.5, True)
    bench.ticks(5.0)
    assert not bench.track.is_looked_at(ns(5.05), ns(5.1))
    bench.look(5.05, True)
    assert bench.track.is_looked_at(ns(5.05), ns(5.1))
    assert not bench.track.is_complete(ns(5.05), ns(5.1))
    bench.ticks(5.2)
    assert not bench.track.is_complete(ns(5.05), ns(5.3))
    bench.ticks(5.3)
    assert bench.track.is_complete(ns(5.05), ns(5.35))


def test_an_unused_device_is_not_waited_for() -> None:
    bench = Bench()
    bench.look(5.05, False)
    assert bench.track.is_complete(ns(5.0), ns(5.1))


def test_the_end_of_use_waits_for_the_ticks_as_well() -> None:
    """What the last process used up to its end is told by the ticks after it."""
    bench = Bench()
    bench.look(0.5, True)
    bench.look(4.0, True)
    bench.ticks(5.0)
    bench.change(5.05, begins=False)
    bench.look(5.05, False)
    assert not bench.track.is_complete(ns(5.05), ns(5.06))
    bench.ticks(5.3)
    assert bench.track.is_complete(ns(5.05), ns(5.35))
    assert bench.joules(5.05) == pytest.approx(4.55 * WATTS, abs=0.05)


def test_patience_has_an_end() -> None:
    bench = Bench()
    bench.look(0.5, True)
    bench.ticks(5.0)
    late_ns = ns(5.05) + PATIENCE_NS
    assert not bench.track.is_looked_at(ns(5.05), late_ns)
    assert not bench.track.is_complete(ns(5.05), late_ns)
    assert bench.track.is_looked_at(ns(5.05), late_ns + 1)
    assert bench.track.is_complete(ns(5.05), late_ns + 1)
    assert bench.place(5.05) is not None


def test_a_lost_device_is_not_waited_for() -> None:
    bench = Bench()
    bench.look(0.5, True)
    bench.ticks(5.0)
    fail(bench, 5.1)
    assert bench.track.is_looked_at(ns(5.2), ns(5.2))
    assert bench.track.is_complete(ns(5.2), ns(5.2))


def test_asking_a_twin_leaves_no_trace() -> None:
    bench, other = Bench(), Bench()
    for one in (bench, other):
        for t_s, used in ((1, True), (2, True), (3, False), (4, False)):
            one.look(t_s, used)
        one.ticks(8)
    twin = bench.track.fork()
    assert twin.place(ns(7)) == other.track.fork().place(ns(7))
    for t_s in (1.5, 2.5, 3.5, 7):
        assert bench.place(t_s) == other.place(t_s)


# --- what happens to the counter ---


def fail(bench: Bench, t_s: float) -> None:
    bench.track.take(Failed(NAME, ns(t_s), Problem("it is lost", "find it")))


def test_failure_and_return() -> None:
    """It went on counting meanwhile: the energy is known, where it belongs is not."""
    bench = Bench()
    bench.look(0.5, True)
    bench.ticks(5)
    before = bench.joules(4.5)
    fail(bench, 5.1)
    (loss,) = bench.track.changes
    assert isinstance(loss, Loss)
    assert (loss.reason, loss.remedy) == ("it is lost", "find it")
    assert bench.track.loss is not None
    assert bench.place(6.0) is None
    bench.track.changes.clear()
    bench.now_s = 8.0
    bench.ticks(10)
    (back,) = bench.track.changes
    assert isinstance(back, Return)
    assert not back.lost
    assert bench.track.loss is None
    assert bench.joules(9.5) - before == pytest.approx(5 * WATTS, abs=1e-3)


def test_a_reset_is_a_hole() -> None:
    bench = Bench()
    bench.look(0.5, True)
    bench.ticks(5)
    before = bench.joules(4.9)
    for number in range(1, 20):
        t_s = 5 + number * 0.1
        raw = round(number * 0.1 * WATTS * 1e6)
        bench.track.take(Ticked(NAME, Tick(ns(t_s), 0), raw))
    loss, back = bench.track.changes
    assert isinstance(loss, Loss)
    assert isinstance(back, Return)
    assert back.lost
    assert "reset" in loss.reason
    after = bench.joules(6.5)
    # From 5.1 s on it counts again; 4.9 to 5.0 s was known.
    assert after - before == pytest.approx(1.5 * WATTS, abs=1e-3)


def test_a_suspend_is_a_hole() -> None:
    bench = Bench()
    bench.look(0.5, True)
    bench.ticks(5)
    before = bench.joules(4.9)
    bench.track.forget(ns(5.05), "the machine was suspended for 60 s")
    loss, back = bench.track.changes
    assert isinstance(loss, Loss)
    assert isinstance(back, Return)
    assert back.lost
    bench.ticks(7)
    assert bench.joules(6.5) - before == pytest.approx(1.6 * WATTS, abs=1e-3)
    assert bench.place(6.55) is not None


def test_a_counter_that_stands_still_is_lost() -> None:
    bench = Bench()
    bench.look(0.5, True)
    bench.ticks(5)
    for number in range(1, 8):
        bench.track.take(Stood(NAME, ns(5 + number), bench.raw_uj(5)))
    (loss,) = bench.track.changes
    assert isinstance(loss, Loss)
    assert loss.stuck
    assert bench.place(9) is None


@pytest.mark.parametrize("lost", [False, True])
def test_goes_on_after_a_restart_of_the_recorder(lost: bool) -> None:
    bench = Bench()
    bench.track.resume(ns(0.05), 123_000_000, lost=lost)
    (loss,) = bench.track.changes
    assert isinstance(loss, Loss)
    assert "restarted" in loss.reason
    bench.look(0.05, True)
    bench.ticks(3)
    assert any(isinstance(change, Return) for change in bench.track.changes)
    assert bench.joules(2) == pytest.approx(123 + 1.9 * WATTS, abs=1e-3)


def test_a_device_that_was_never_used_needs_no_resuming() -> None:
    bench = Bench()
    bench.track.resume(ns(0.05), 0, lost=False)
    assert bench.track.changes == []
    bench.look(0.05, False)
    assert bench.joules(2) == 0


# --- who shares it ---


def test_ledges_tell_use_and_sharing() -> None:
    bench = Bench()
    bench.look(1, True, process("mine", 0.6))
    before = bench.track.ledge(ns(1), 1000)
    bench.look(2, True, process("mine", 0.6))
    alone = bench.track.ledge(ns(2), 1000)
    assert not alone.is_used_since(before)
    assert not alone.is_shared_since(before)
    assert alone.share_since(before) == 1.0
    bench.look(3, True, process("mine", 0.6), process("other", 0.2), process("other", None))
    shared = bench.track.ledge(ns(3), 1001)
    assert bench.track.ledge(ns(2.5), 1000) == alone, "what is seen later is of later"
    assert shared.is_used_since(alone)
    assert shared.is_shared_since(alone)
    assert shared.share_since(alone) == 0.75
    assert shared.share_since(shared) is None
    assert Ledge(0).share_since(Ledge(0)) is None
    assert bench.track.ledge(ns(3), None).uj == 0
    assert bench.track.state is not None
    assert len(bench.track.state.processes or ()) == 3


# --- whatever comes ---


@dataclass
class Story:
    """Random messages in the order of time, and the moments that are asked for."""

    seed: int
    failures: bool
    exact: bool = True

    def tell(self) -> list[tuple[int, float]]:
        """The figures by time. Boundaries are asked for as the recorder does: when complete."""
        rng = random.Random(self.seed)
        track = DeviceTrack(about(), absolute=True)
        t_ns, energy_uj, watts = NS, START_UJ * 1.0, 50.0
        pending: list[int] = []
        found: list[tuple[int, float]] = []
        used = rng.random() < 0.5
        failing_until_ns = 0
        for _ in range(rng.randrange(20, 120)):
            step_ns = rng.choice([100 * MS] * 6 + [1 * MS, 37 * MS, 900 * MS])
            t_ns += step_ns
            energy_uj += watts * step_ns / 1000
            draw = rng.random()
            if draw < 0.15:
                watts = rng.choice([30.0, 50.0, 300.0, 700.0])
            if draw < 0.25:
                pending.append(t_ns)
                track.change(t_ns, begins=rng.random() < 0.5)
                used = used if rng.random() < 0.6 else not used
                track.take(Seen(NAME, t_ns, used, DeviceState()))
            elif draw < 0.35:
                used = used if rng.random() < 0.6 else not used
                track.take(Seen(NAME, t_ns, used, DeviceState()))
            elif self.failures and draw < 0.38:
                failing_until_ns = t_ns + rng.randrange(2 * NS)
                track.take(Failed(NAME, t_ns, Problem("gone")))
            elif self.failures and draw < 0.40:
                energy_uj = 0.0
            elif self.failures and draw < 0.42:
                track.forget(t_ns, "suspended")
            elif t_ns > failing_until_ns:
                within = 0 if self.exact else rng.randrange(2 * MS)
                track.take(Ticked(NAME, Tick(t_ns - within, within), int(energy_uj)))
            while (
                pending
                and track.is_looked_at(pending[0], t_ns)
                and track.is_complete(pending[0], t_ns)
            ):
                at_ns = pending.pop(0)
                placed = track.place(at_ns)
                if placed is not None:
                    assert placed.uj >= 0
                    assert placed.error_uj >= 0
                    found.append((at_ns, placed.uj))
        return found


@given(seed=st.integers(0, 10**9), exact=st.booleans())
@settings(max_examples=300, deadline=None)
def test_energy_never_falls(seed: int, exact: bool) -> None:
    found = Story(seed, failures=False, exact=exact).tell()
    assert all(later[1] >= earlier[1] - 1 for earlier, later in pairwise(found))


@given(seed=st.integers(0, 10**9), exact=st.booleans())
@settings(max_examples=300, deadline=None)
def test_energy_never_falls_whatever_fails(seed: int, exact: bool) -> None:
    found = Story(seed, failures=True, exact=exact).tell()
    assert all(later[1] >= earlier[1] - 1 for earlier, later in pairwise(found))


@given(seed=st.integers(0, 10**9))
@settings(max_examples=100, deadline=None)
def test_never_more_than_the_card_drew(seed: int) -> None:
    """From its first figure on, all its use together."""
    found = Story(seed, failures=False).tell()
    if found:
        first_ns, last_ns = found[0][0], found[-1][0]
        most_uj = 700.0 * (last_ns - first_ns) / 1000
        assert found[-1][1] - found[0][1] <= most_uj + 1
