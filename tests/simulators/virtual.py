"""A machine in virtual time: a clock that is moved by hand, and counters that follow a curve.

It drives the recorder's pure loop through hours in seconds. The counters behave as hardware
does: they hold the energy of their last update, wrap, and can be made to fail.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from jupyter_green.events import AnyEvent, CounterInfo, Event
from jupyter_green.recorder.sampling import Sampler
from jupyter_green.recorder.wire import Mark
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
    start_uj: int = 0
    offset_uj: int = 0
    frozen_at_s: float | None = None
    failing: bool = False

    def true_uj(self, t_s: float) -> float:
        return self.joules(t_s) * 1e6

    def raw_uj(self, t_s: float) -> int:
        """What a reader finds at ``t_s``."""
        t_s = t_s if self.frozen_at_s is None else min(t_s, self.frozen_at_s)
        ticks = (t_s - self.tick_phase_s) // self.tick_s
        updated_s = max(0.0, ticks * self.tick_s + self.tick_phase_s)
        value = self.start_uj + int(self.true_uj(updated_s)) - self.offset_uj
        return value % self.info.range_uj if self.info.range_uj else value

    def reset(self, t_s: float) -> None:
        """Begin again at zero."""
        self.offset_uj = self.start_uj + int(self.true_uj(t_s))


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


class VirtualMachine:
    """A sampler in virtual time, and the kernel that marks it."""

    def __init__(self, counters: list[VirtualCounter], *, in_place: bool = True) -> None:
        self.clock = VirtualClock()
        self.source = VirtualSource(counters, in_place=in_place)
        self.events: list[Event] = []
        self.start_ns = self.clock.now_ns()
        self.sampler = Sampler(
            Detection((self.source,), ()),
            self.clock,
            self.start_ns,
            Settings(data_dir=""),
            self.events.append,
        )
        self._n = 0

    def run_until(self, t_ns: int, nap_ns: int = 0) -> None:
        """Let the recorder work; each time it wakes ``nap_ns`` later than it wanted to."""
        while True:
            wake_ns = self.clock.time_ns + max(1, round(self.sampler.due_s() * NS)) + nap_ns
            if wake_ns > t_ns:
                break
            self.clock.time_ns = wake_ns
            self.sampler.on_time()
        self.clock.time_ns = max(self.clock.time_ns, t_ns)

    def mark(self, event: AnyEvent, t_ns: int, latency_ns: int = 0) -> None:
        """The kernel stamps ``event`` at ``t_ns``; the recorder hears of it later."""
        self.run_until(t_ns)
        self._n += 1
        raw = self.source.read(t_ns) if self.source.in_place else {}
        self.run_until(t_ns + latency_ns)
        self.sampler.on_mark(Mark(self._n, t_ns, 0, raw, event))

    def settle(self) -> list[Event]:
        """Let the last boundaries complete; everything that was written."""
        self.run_until(self.clock.time_ns + NS // 5)
        self.sampler.complete()
        return self.events
