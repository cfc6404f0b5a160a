"""One device is watched: when it is looked at, who uses it, and what is told of it."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise
from queue import Queue

import pytest

from jupyter_green.clock import SystemClock
from jupyter_green.events import CounterInfo, DeviceProcess
from jupyter_green.recorder.ticks import MS
from jupyter_green.recorder.watching import (
    AWAKE_NS,
    HIDDEN,
    IDLE_STATE_NS,
    LEAST_STATE_NS,
    RETRY_NS,
    SHARED,
    STATE_NS,
    STATE_SHARE,
    Failed,
    Message,
    Noted,
    Seen,
    Stood,
    Ticked,
    Watcher,
    WatchThread,
)
from tests.simulators.virtual import (
    KERNEL_PID,
    NS,
    Curve,
    VirtualClock,
    VirtualCounter,
    VirtualDevice,
    VirtualTree,
)

STRANGER = 4711


def about(**fields: object) -> CounterInfo:
    usual: dict[str, object] = {
        "name": "gpu-0",
        "domain": "gpu",
        "source": "nvml",
        "provenance": "measured",
        "resolution_s": 0.1,
        "quantum_uj": 1000,
        "centred": True,
        "max_power_w": 1000.0,
    }
    return CounterInfo(**{**usual, **fields})  # type: ignore[arg-type]


class Bench:
    """A watcher in virtual time. Seconds count from its start."""

    def __init__(self, *, all_visible: bool = False, used: bool = True, **fields: object) -> None:
        self.clock = VirtualClock()
        self.start_ns = self.clock.now_ns()
        self.counter = VirtualCounter(about(**fields), Curve(60, 60).energy_j, tick_s=0.1)
        self.device = VirtualDevice(self.counter, self.clock, random.Random(1))
        self.tree = VirtualTree()
        if not used:
            self.device.processes = []
        self.watcher = Watcher(self.device, self.clock, self.tree, all_visible=all_visible)
        self.messages: list[Message] = []

    def ns(self, t_s: float) -> int:
        return self.start_ns + round(t_s * NS)

    def run(self, until_s: float) -> None:
        while True:
            due_ns = max(self.watcher.due_ns(), self.clock.time_ns) + 50_000
            if due_ns > self.ns(until_s):
                self.clock.time_ns = max(self.clock.time_ns, self.ns(until_s))
                return
            self.clock.time_ns = due_ns
            self.messages += self.watcher.step()

    def change(self, t_s: float, *, running: bool) -> None:
        self.run(t_s)
        self.watcher.running = running
        self.watcher.change(self.ns(t_s))

    def of(self, kind: type, since_s: float = 0.0) -> list[Message]:
        times: dict[type, Callable[[Message], int]] = {Ticked: lambda m: m.tick.t_ns}  # type: ignore[union-attr]
        time_of = times.get(kind, lambda m: m.t_ns)  # type: ignore[union-attr]
        return [m for m in self.messages if isinstance(m, kind) and time_of(m) >= self.ns(since_s)]

    def reads_since(self, t_s: float) -> int:
        return sum(t_ns >= self.ns(t_s) for t_ns in self.device.reads_ns)

    def states_since(self, t_s: float) -> list[int]:
        return [t_ns for t_ns in self.device.states_ns if t_ns >= self.ns(t_s)]

    @property
    def used(self) -> bool:
        seen = [message for message in self.messages if isinstance(message, Seen)]
        return seen[-1].used

    @property
    def notes(self) -> list[str]:
        return [message.note for message in self.messages if isinstance(message, Noted)]


# --- when it looks ---


def test_looks_at_once_when_it_begins() -> None:
    bench = Bench()
    bench.run(0.01)
    assert bench.device.reads_ns[0] - bench.start_ns < MS
    assert len(bench.states_since(0)) == 1
    assert len(bench.of(Seen)) == 1


@pytest.mark.parametrize("running", [True, False])
def test_a_change_leads_to_a_look_at_once(running: bool) -> None:
    bench = Bench()
    bench.change(8.0317, running=running)
    bench.run(8.0327)
    assert bench.reads_since(8.0317) >= 1
    (seen,) = bench.of(Seen, 8.0317)
    assert isinstance(seen, Seen)
    assert seen.t_ns == bench.ns(8.0317), "it counts as of the change that asked for it"


def test_changes_in_quick_succession_do_not_each_lead_to_a_look() -> None:
    bench = Bench()
    for number in range(1000):
        bench.change(8.0 + number * 0.001, running=True)
    bench.run(9.0)
    assert bench.reads_since(8.0) < 150
    assert len(bench.states_since(8.0)) <= 1 + NS // LEAST_STATE_NS
    assert bench.watcher.due_ns() > bench.clock.time_ns


def test_the_last_change_of_many_is_looked_at() -> None:
    bench = Bench()
    for number in range(50):
        bench.change(8.0 + number * 0.001, running=True)
    bench.run(8.3)
    assert bench.of(Seen)[-1].t_ns == bench.ns(8.049)  # type: ignore[union-attr]


@pytest.mark.parametrize(("state_ms", "share"), [(1, 1), (30, 1.1), (200, 1.1)])
def test_who_uses_it_is_asked_within_limits(state_ms: int, share: float) -> None:
    """However often things begin and end."""
    bench = Bench()
    bench.device.state_ns = state_ms * MS
    bench.run(20.0)
    t_s = 20.0
    while t_s < 60:
        bench.change(t_s, running=True)
        t_s += 0.04
    asked = bench.states_since(22)
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    assert min(gaps) >= max(LEAST_STATE_NS, STATE_SHARE * state_ms * MS)
    assert sum(bench.device.state_ns for _ in asked) <= share / STATE_SHARE * 38 * NS
    assert len(asked) >= 5


@pytest.mark.parametrize(("running", "gap_ns"), [(True, STATE_NS), (False, IDLE_STATE_NS)])
def test_who_uses_it_is_asked_now_and_then(running: bool, gap_ns: int) -> None:
    bench = Bench()
    bench.change(5.0, running=running)
    bench.run(60.0)
    asked = bench.states_since(10)
    assert len(asked) == pytest.approx(50 * NS / gap_ns, abs=1.5)


def test_a_device_in_use_is_looked_at_tick_by_tick() -> None:
    """A hundred milliseconds near a boundary, three hundred within a long cell."""
    bench = Bench()
    bench.change(6.0, running=True)
    bench.run(30.0)
    assert len(bench.of(Ticked, 6.0)) - len(bench.of(Ticked, 7.9)) >= 18
    assert 60 <= (len(bench.of(Ticked, 10.0)) - len(bench.of(Ticked, 20.0))) <= 80
    assert bench.reads_since(20.0) < 10 * 50


def test_a_device_that_is_not_used_is_nearly_left_alone() -> None:
    bench = Bench(used=False)
    bench.run(10.0)
    assert len(bench.of(Ticked, 0.0)) >= 15, "its rhythm is learnt all the same"
    before = bench.reads_since(10.0)
    bench.change(10.0, running=True)
    bench.run(40.0)
    assert (bench.reads_since(10.0) - before) / 30 < 12
    assert not bench.used


def test_when_nobody_runs_a_cell_for_long_it_is_nearly_left_alone() -> None:
    bench = Bench()
    bench.change(10.0, running=False)
    awake_s = AWAKE_NS / NS
    bench.run(10.0 + 0.9 * awake_s)
    awake = bench.reads_since(10.0 + 0.4 * awake_s) / (0.5 * awake_s)
    bench.run(40.0 + awake_s)
    assert bench.reads_since(20.0 + awake_s) / 20 < awake / 3
    bench.change(40.0 + awake_s, running=True)
    bench.run(41.0 + awake_s)
    assert len(bench.of(Ticked, 40.05 + awake_s)) >= 9, "and wakes up with the next cell"


def test_power_readings_are_taken_while_somebody_needs_them() -> None:
    bench = Bench(provenance="integrated", resolution_s=0.02)
    bench.change(5.0, running=True)
    bench.run(15.0)
    assert len(bench.of(Ticked, 10.0)) == pytest.approx(100, abs=5)
    bench.change(15.0, running=False)
    bench.run(35.0)
    assert bench.reads_since(25.0) < 25


def test_a_counter_that_stands_still_is_told_once_a_second() -> None:
    bench = Bench()
    bench.run(5.0)
    bench.counter.frozen_at_s = bench.clock.time_ns / NS
    bench.change(5.0, running=True)
    bench.run(20.0)
    assert bench.of(Ticked, 6.0) == []
    stood = bench.of(Stood, 7.0)
    assert 5 <= len(stood) <= 14
    assert {message.raw_uj for message in stood} == {bench.device.read(0)["gpu-0"]}  # type: ignore[union-attr]


# --- failures ---


def test_a_failure_is_told_and_tried_again_once_a_second() -> None:
    bench = Bench()
    bench.run(10.0)
    bench.counter.failing = True
    bench.run(20.0)
    failed = bench.of(Failed)
    assert 8 <= len(failed) <= 13
    assert isinstance(failed[0], Failed)
    assert (failed[0].problem.reason, failed[0].problem.remedy) == (
        "simulated failure",
        "simulate none",
    )
    assert bench.of(Ticked, 10.5) == []
    bench.counter.failing = False
    bench.run(20.0 + RETRY_NS / NS + 3)
    assert len(bench.of(Ticked, 20.0)) > 5
    assert len(bench.of(Failed, 20.5 + RETRY_NS / NS)) == 0


@pytest.mark.parametrize("shift_s", [0.013, 0.04, 0.07])
def test_after_a_failure_the_rhythm_is_learnt_anew(shift_s: float) -> None:
    """The driver was loaded again meanwhile, and ticks at other moments."""
    bench = Bench()
    bench.run(10.0)
    bench.counter.failing = True
    bench.run(13.0)
    bench.counter.tick_phase_s += shift_s
    bench.counter.failing = False
    bench.run(18.0)
    late = bench.of(Ticked, 10.5)
    assert len(late) > 10
    for message in late:
        assert isinstance(message, Ticked)
        told_s = message.tick.t_ns / NS
        number = round((told_s - bench.counter.tick_phase_s) / 0.1)
        off_ns = abs(told_s - number * 0.1 - bench.counter.tick_phase_s) * NS
        assert off_ns <= message.tick.within_ns + bench.device.read_ns


def test_a_change_is_looked_at_while_it_fails() -> None:
    bench = Bench()
    bench.run(10.0)
    bench.counter.failing = True
    bench.run(12.0)
    bench.change(12.5, running=True)
    before = bench.reads_since(12.5)
    bench.run(12.501)
    assert bench.reads_since(12.5) == before + 1


def test_failing_it_is_not_looked_at_all_the_time() -> None:
    bench = Bench()
    bench.counter.failing = True
    bench.change(5.0, running=True)
    bench.run(25.0)
    assert bench.reads_since(5.0) <= 2 * 20 + 15


def test_slow_calls_are_complained_of_once_a_doubling() -> None:
    bench = Bench()
    bench.run(5.0)
    for t_s, took_ms in ((5, 49), (6, 60), (9, 60), (12, 110), (15, 125), (20, 500), (30, 900)):
        bench.device.read_ns = took_ms * MS
        bench.run(t_s + 3.0)
    told = [note for note in bench.notes if "the driver took" in note]
    assert [note.split(" to answer")[0] for note in told] == [
        "the driver took 0.06 s",
        "the driver took 0.12 s",
        "the driver took 0.50 s",
    ]


# --- who uses it ---


def test_used_while_a_process_of_the_kernels_has_a_context() -> None:
    bench = Bench(used=False)
    bench.run(3.0)
    assert not bench.used
    bench.device.use(KERNEL_PID)
    bench.change(3.0, running=True)
    bench.run(3.5)
    assert bench.used
    bench.device.use(STRANGER)
    bench.run(6.0)
    assert not bench.used


def test_workers_of_the_kernel_are_its_own() -> None:
    bench = Bench(used=False)
    bench.tree.mine.add(99)
    bench.device.use(99, STRANGER)
    bench.run(1.0)
    seen = bench.of(Seen)[-1]
    assert isinstance(seen, Seen)
    assert [(one.pid, one.whose) for one in seen.state.processes or ()] == [
        (99, "mine"),
        (STRANGER, "other"),
    ]
    assert seen.used


def test_sharing_is_told_once() -> None:
    bench = Bench()
    bench.run(3.0)
    assert bench.notes == []
    bench.device.use(KERNEL_PID, STRANGER)
    bench.run(20.0)
    bench.device.use(KERNEL_PID)
    bench.run(30.0)
    bench.device.use(KERNEL_PID, STRANGER)
    bench.run(40.0)
    assert bench.notes == [SHARED]


def test_strangers_alone_are_nobodys_business() -> None:
    bench = Bench(used=False)
    bench.device.use(STRANGER)
    bench.run(20.0)
    assert bench.notes == []
    assert not bench.used


class TestContainer:
    """The driver numbers processes as the host does, and the recorder does not see these."""

    def bench(self, **fields: bool) -> Bench:
        bench = Bench(**fields)
        bench.tree.namespaced = True
        bench.device.use(STRANGER)
        return bench

    def test_occupied_and_visible_counts_as_used(self) -> None:
        bench = self.bench()
        bench.run(20.0)
        assert bench.used
        assert bench.notes == [HIDDEN]

    def test_what_is_hidden_from_the_kernel_is_not_used(self) -> None:
        bench = self.bench()
        bench.device.hidden_from = {"3"}
        bench.watcher.visible = "3"
        bench.run(10.0)
        assert not bench.used
        assert bench.notes == []

    def test_an_idle_device_without_processes_is_not_used(self) -> None:
        bench = self.bench()
        bench.device.processes = []
        bench.run(10.0)
        assert not bench.used
        bench.device.utilisation = 0.4
        bench.run(20.0)
        assert bench.used, "somebody works there, though nobody is shown"

    def test_a_kernel_that_was_found_is_trusted(self) -> None:
        """It shares the host's numbers after all: what is not its own is not counted."""
        bench = self.bench()
        bench.device.use(KERNEL_PID)
        bench.run(5.0)
        assert bench.used
        bench.device.use(STRANGER)
        bench.run(15.0)
        assert not bench.used
        assert bench.notes == []

    def test_numbers_that_all_exist_here_are_trusted(self) -> None:
        bench = self.bench()
        bench.tree.here = {STRANGER}
        bench.run(5.0)
        assert not bench.used
        assert bench.notes == []


@pytest.mark.parametrize("utilisation", [None, 0.0, 0.7])
def test_a_driver_that_tells_no_processes(utilisation: float | None) -> None:
    bench = Bench()
    bench.device.processes = None
    bench.device.utilisation = utilisation
    bench.run(10.0)
    assert bench.used == bool(utilisation)
    assert bench.notes == ([HIDDEN] if utilisation else [])
    seen = bench.of(Seen)[-1]
    assert isinstance(seen, Seen)
    assert seen.state.processes is None


def test_all_visible_devices_count_where_that_is_set() -> None:
    bench = Bench(all_visible=True, used=False)
    bench.device.hidden_from = {"1", ""}
    bench.run(3.0)
    assert bench.used
    for at_s, visible, used in ((3.0, "1", False), (9.0, "0", True), (15.0, "", False)):
        bench.run(at_s)
        bench.watcher.visible = visible
        bench.change(at_s, running=False)
        bench.run(at_s + 5.9)
        assert bench.used is used
    assert bench.notes == []


def test_where_no_state_is_told_nothing_is_seen() -> None:
    bench = Bench()
    bench.counter.failing = True
    bench.run(5.0)
    assert bench.of(Seen) == []
    assert bench.states_since(0)
    bench.counter.failing = False
    bench.run(15.0)
    assert bench.used


def test_state_is_passed_on() -> None:
    bench = Bench()
    bench.device.utilisation = 0.5
    bench.device.processes = [DeviceProcess(pid=KERNEL_PID, whose="", memory_bytes=7)]
    bench.run(0.5)
    (seen,) = bench.of(Seen)
    assert isinstance(seen, Seen)
    assert seen.counter == "gpu-0"
    assert seen.state.utilisation == 0.5
    assert seen.state.processes == [DeviceProcess(pid=KERNEL_PID, whose="mine", memory_bytes=7)]


# --- the thread ---


def test_the_thread_hands_on_what_the_recorder_tells() -> None:
    bench = Bench()
    thread = WatchThread(bench.watcher, bench.messages.append, bench.clock)
    thread.run(True)
    thread.show("GPU-1")
    bench.run(2.0)
    thread.change(bench.ns(2.0))
    assert bench.watcher.running
    assert bench.watcher.visible == "GPU-1"
    bench.run(2.1)
    assert bench.of(Seen)[-1].t_ns == bench.ns(2.0)  # type: ignore[union-attr]


class Broken(VirtualDevice):
    """Its binding fails in a way that nobody has thought of, and recovers."""

    failures = 1

    def read(self, now_ns: int) -> dict[str, int]:
        if self.failures:
            self.failures -= 1
            raise ZeroDivisionError("unheard of")
        self.clock.time_ns = now_ns
        return super().read(now_ns)


def test_an_error_of_ours_is_told_and_the_watch_goes_on() -> None:
    counter = VirtualCounter(about(), Curve(60, 60).energy_j, tick_s=0.1)
    device = Broken(counter, VirtualClock(), random.Random(1))
    seen: Queue[Message] = Queue()
    watcher = Watcher(device, SystemClock(), VirtualTree(), all_visible=False)
    thread = WatchThread(watcher, seen.put, SystemClock())
    thread.start()
    failed = seen.get(timeout=20)
    assert isinstance(failed, Failed)
    assert failed.problem.reason == "watching it failed: ZeroDivisionError: unheard of"
    while not isinstance(seen.get(timeout=20), Ticked):
        pass
    thread.stop()
