"""A machine in virtual time: a clock that is moved by hand, and counters that follow a curve.

It drives the recorder's pure loop through hours in seconds. The counters behave as hardware
does: they hold the energy of their last update, wrap, and can be made to fail.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from jupyter_green.errors import UnreadableCounter
from jupyter_green.events import AnyEvent, CounterInfo, DeviceProcess, DeviceState, Event
from jupyter_green.recorder.sampling import Sampler
from jupyter_green.recorder.watching import Message, Noted, Watcher, WatchThread
from jupyter_green.recorder.wire import Mark
from jupyter_green.sessions.fold import Fold
from jupyter_green.settings import Settings
from jupyter_green.sources.counter import Detection, Problem

NS = 1_000_000_000


class VirtualClock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.time_ns = 5 * NS
        self.asleep_s = 0.0

    def now_ns(self) -> int:
        return self.time_ns

    def wall_s(self) -> float:
        return 1_700_000_000 + self.time_ns / NS + self.asleep_s

    def suspended_s(self) -> float:
        return self.asleep_s


@dataclass(frozen=True)
class Curve:
    """Square power: high for ``duty`` of each period, then low. Constant if both are equal."""

    low_w: float
    high_w: float
    period_s: float = 1.0
    duty: float = 0.5
    phase_s: float = 0.0

    def energy_j(self, t_s: float) -> float:
        """Joules from time 0 to ``t_s``."""
        return self._raw(t_s + self.phase_s) - self._raw(self.phase_s)

    def _raw(self, t_s: float) -> float:
        whole, rest = divmod(t_s, self.period_s)
        high_s = self.duty * self.period_s
        each = self.high_w * high_s + self.low_w * (self.period_s - high_s)
        part = min(rest, high_s) * self.high_w + max(0.0, rest - high_s) * self.low_w
        return whole * each + part


@dataclass
class VirtualCounter:
    """One counter of a simulated machine."""

    info: CounterInfo
    joules: Callable[[float], float]
    """True energy from time 0 to t, in joules."""
    tick_s: float = 0.001
    tick_phase_s: float = 0.0
    jitter_s: float = 0.0
    """Each tick comes earlier or later by up to this; less than half a tick."""
    start_uj: int = 0
    offset_uj: int = 0
    frozen_at_s: float | None = None
    failing: bool = False

    def true_uj(self, t_s: float) -> float:
        return self.joules(t_s) * 1e6

    def raw_uj(self, t_s: float) -> int:
        """What a reader finds at ``t_s``."""
        t_s = t_s if self.frozen_at_s is None else min(t_s, self.frozen_at_s)
        value = self.start_uj + int(self.true_uj(self.updated_s(t_s))) - self.offset_uj
        return value % self.info.range_uj if self.info.range_uj else value

    def updated_s(self, t_s: float) -> float:
        """When the counter was updated last, at ``t_s``."""
        number = int((t_s - self.tick_phase_s) // self.tick_s)
        if not self.jitter_s:
            return max(0.0, number * self.tick_s + self.tick_phase_s)
        number += 1  # it may have come early
        while self._tick_s(number) > t_s:
            number -= 1
        return max(0.0, self._tick_s(number))

    def _tick_s(self, number: int) -> float:
        off = (_scramble(number) / 2**63 - 1) * self.jitter_s
        return number * self.tick_s + self.tick_phase_s + off

    def reset(self, t_s: float) -> None:
        """Begin again at zero."""
        self.offset_uj = self.start_uj + int(self.true_uj(t_s))


def _scramble(number: int) -> int:
    """splitmix64: 64 bits that look like chance."""
    mask = 2**64 - 1
    number = (number + 0x9E3779B97F4A7C15) & mask
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 & mask
    number = (number ^ number >> 27) * 0x94D049BB133111EB & mask
    return number ^ number >> 31


@dataclass
class VirtualSource:
    """A source whose counters read virtual time."""

    counters_: list[VirtualCounter]
    in_place: bool = True
    absolute: bool = True
    name: str = "virtual"
    problems: dict[str, Problem] = field(default_factory=dict)
    reads: int = 0

    @property
    def counters(self) -> tuple[CounterInfo, ...]:
        return tuple(counter.info for counter in self.counters_)

    def read(self, now_ns: int) -> dict[str, int]:
        self.reads += 1
        self.problems = {
            c.info.name: Problem("simulated failure") for c in self.counters_ if c.failing
        }
        return {c.info.name: c.raw_uj(now_ns / NS) for c in self.counters_ if not c.failing}

    def close(self) -> None:
        """Nothing to give back."""


KERNEL_PID = 1
MOST_SPINS = 1000


@dataclass
class VirtualTree:
    """The kernel's processes, and what else is seen of them."""

    mine: set[int] = field(default_factory=lambda: {KERNEL_PID})
    here: set[int] = field(default_factory=set)
    """Numbers that exist beside them."""
    namespaced: bool = False

    def pids(self) -> set[int]:
        return self.mine

    def is_here(self, pid: int) -> bool:
        return pid in self.mine | self.here


@dataclass
class VirtualDevice:
    """A card with one counter. Its calls take time: they move the clock."""

    counter: VirtualCounter
    clock: VirtualClock
    rng: random.Random = field(default_factory=lambda: random.Random(0))
    processes: list[DeviceProcess] | None = field(
        default_factory=lambda: [DeviceProcess(pid=KERNEL_PID, whose="")]
    )
    utilisation: float | None = None
    power_w: float | None = None
    read_ns: int = 20_000
    state_ns: int = 500_000
    quantum_uj: int = 1000
    hidden_from: set[str | None] = field(default_factory=set)
    """Values of CUDA_VISIBLE_DEVICES that do not show it."""
    lag_s: float = 0.0
    name: str = "nvml"
    in_place: bool = False
    absolute: bool = True
    problems: dict[str, Problem] = field(default_factory=dict)
    reads_ns: list[int] = field(default_factory=list)
    """When it was read ..."""
    states_ns: list[int] = field(default_factory=list)
    """... and when it was asked what it does."""

    @property
    def counters(self) -> tuple[CounterInfo, ...]:
        return (self.counter.info,)

    def read(self, now_ns: int) -> dict[str, int]:
        """The counter as it is somewhere within the call."""
        begin_ns = self.clock.time_ns
        self.reads_ns.append(begin_ns)
        self.clock.time_ns += self.read_ns
        name = self.counter.info.name
        if self.counter.failing:
            self.problems = {name: Problem("simulated failure", "simulate none")}
            return {}
        self.problems = {}
        at_s = (begin_ns + self.read_ns * self.rng.random()) / NS
        return {name: self.counter.raw_uj(at_s) // self.quantum_uj * self.quantum_uj}

    def state(self) -> DeviceState:
        self.states_ns.append(self.clock.time_ns)
        self.clock.time_ns += self.state_ns
        if self.counter.failing:
            raise UnreadableCounter("simulated failure")
        return DeviceState(
            utilisation=self.utilisation, power_w=self.power_w, processes=self.processes
        )

    def is_visible(self, visible: str | None) -> bool:
        return visible not in self.hidden_from

    def use(self, *pids: int) -> None:
        """These processes have a context on it now, and work in equal shares."""
        self.processes = [
            DeviceProcess(pid=pid, whose="", utilisation=1 / len(pids)) for pid in pids
        ]

    def close(self) -> None:
        """Nothing to give back."""


class VirtualMachine:
    """A sampler in virtual time, the watchers of its devices, and the kernel that marks it."""

    def __init__(
        self,
        counters: Sequence[VirtualCounter],
        *,
        in_place: bool = True,
        devices: Sequence[VirtualCounter] = (),
        seed: int = 0,
        all_visible: bool = False,
    ) -> None:
        self.clock = VirtualClock()
        self.source = VirtualSource(list(counters), in_place=in_place)
        self.tree = VirtualTree()
        self.rng = random.Random(seed)
        self.devices = [VirtualDevice(one, self.clock, self.rng) for one in devices]
        self.all_visible = all_visible
        self.seen: list[Message] = []
        self.events: list[Event] = []
        self.sent: list[Mark] = []
        self.start_ns = self.clock.now_ns()
        self._begin()

    def _begin(self) -> None:
        """A recorder begins."""
        self.watches = [
            WatchThread(
                Watcher(device, self.clock, self.tree, all_visible=self.all_visible),
                self.seen.append,
                self.clock,
            )
            for device in self.devices
        ]
        self.sampler = Sampler(
            self.detection,
            self.clock,
            self.start_ns,
            Settings(data_dir=""),
            self.events.append,
            watching=self.watches,
        )

    @property
    def detection(self) -> Detection:
        sources = (self.source,) if self.source.counters_ else ()
        return Detection(sources, (), tuple(self.devices))

    def restart(self, reason: str, down_ns: int = 0) -> None:
        """The recorder dies with what it had not written; another takes over later."""
        fold = Fold()
        for event in self.events:
            fold.feed(event)
        self.clock.time_ns += down_ns
        self._begin()
        self.sampler.resume(fold, reason)
        for mark in self.sent[fold.marks :]:
            self.sampler.on_mark(mark)

    def run_until(self, t_ns: int, nap_ns: int = 0) -> None:
        """Let the recorder work; each time it wakes ``nap_ns`` later than it wanted to."""
        spins = 0
        while not self.sampler.ended:
            due_ns = self.clock.time_ns + max(1, round(self.sampler.due_s() * NS)) + nap_ns
            first = min(self.watches, key=_due_ns, default=None)
            if first is not None and (watch_ns := self._wake_ns(first)) < due_ns:
                if watch_ns > t_ns:
                    break
                self.clock.time_ns = watch_ns
                self._step(first)
                continue
            if due_ns > t_ns:
                break
            spins = spins + 1 if due_ns == self.clock.time_ns + 1 else 0
            assert spins < MOST_SPINS, "the recorder spins: it is due at once, again and again"
            self.clock.time_ns = due_ns
            self.sampler.on_time()
        self.clock.time_ns = max(self.clock.time_ns, t_ns)

    def _wake_ns(self, watch: WatchThread) -> int:
        """A thread wakes a little later than it wants to."""
        return max(self.clock.time_ns, _due_ns(watch)) + self.rng.randrange(20_000, 150_000)

    def _step(self, watch: WatchThread) -> None:
        for message in watch.watcher.step():
            self.seen.append(message)
            self.sampler.on_seen(message)
            self.sampler.on_time()

    def mark(self, event: AnyEvent, t_ns: int, latency_ns: int = 0) -> None:
        """The kernel stamps ``event`` at ``t_ns``; the recorder hears of it later."""
        self.run_until(t_ns)
        raw = self.source.read(t_ns) if self.source.in_place else {}
        mark = Mark(len(self.sent) + 1, t_ns, 0, raw, event)
        self.sent.append(mark)
        self.run_until(t_ns + latency_ns)
        self.sampler.on_mark(mark)

    def settle(self) -> list[Event]:
        """Let the last boundaries complete; everything that was written."""
        self.run_until(self.clock.time_ns + (2 * NS if self.devices else NS // 5))
        self.sampler.complete()
        return self.events

    @property
    def notes(self) -> list[str]:
        """What the watchers found worth telling."""
        return [message.note for message in self.seen if isinstance(message, Noted)]


def _due_ns(watch: WatchThread) -> int:
    return watch.watcher.due_ns()
