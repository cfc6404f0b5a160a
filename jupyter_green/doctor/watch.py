"""Watches counters for a few seconds: first from afar, for their power, then from close by.

Reading costs power itself, and most where it is dense. So the power is taken while the counters
are read once a second at most, and how often they move is looked for afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from statistics import median

from jupyter_green.clock import SystemClock
from jupyter_green.events import CounterInfo
from jupyter_green.recorder.unwrap import Loss, Track
from jupyter_green.sources.counter import Problem, Source

SELDOM_S = 1.0
STEP_NS = 250_000
"""Between two dense readings: a quarter of the usual millisecond between two updates ..."""
STEPS = 50
"""... or so small a part of an update of those that move more seldom."""
REST = 4
"""A slow source is left alone for so many times as long as its reading took."""
ALWAYS = 0.9
"""A counter that moved at so many of the readings may move far more often than it was read."""

NS_PER_S = 1_000_000_000
now_ns = SystemClock().now_ns


class Seen:
    """What was seen of one counter."""

    def __init__(self, info: CounterInfo, *, absolute: bool) -> None:
        self.info = info
        self.problem: Problem | None = None
        self.step_uj: int | None = None
        self._track = Track(info, absolute=absolute)
        self._first: tuple[int, int] | None = None
        self._last: tuple[int, int] | None = None
        self._read_ns: list[int] = []
        self._moved_ns: list[int] = []
        self._close_uj: int | None = None

    @property
    def power_w(self) -> float | None:
        """Mean watts; None where there is a problem, or nothing to take a difference of."""
        if self.problem is not None or self._first is None or self._last is None:
            return None
        (t0, v0), (t1, v1) = self._first, self._last
        return (v1 - v0) * 1e-6 / ((t1 - t0) / NS_PER_S) if t1 > t0 else None

    @property
    def duration_s(self) -> float:
        """The time that the power is the mean of."""
        if self._first is None or self._last is None:
            return 0.0
        return (self._last[0] - self._first[0]) / NS_PER_S

    @property
    def moves(self) -> int:
        """How often it was seen to move."""
        return len(self._moved_ns)

    @property
    def every_reading(self) -> bool:
        """It moved at nearly every dense reading."""
        return self.moves > 1 and self.moves >= ALWAYS * (len(self._read_ns) - 1)

    @property
    def update_s(self) -> float | None:
        """Median seconds between two moves; None where fewer than two were seen."""
        times = self._moved_ns
        if len(times) < 2:
            return None
        return median(b - a for a, b in pairwise(times)) / NS_PER_S

    def take(self, t_ns: int, raw_uj: int) -> None:
        """A reading from afar."""
        uj = self._track.take(t_ns, raw_uj)
        if uj is None:
            return
        self._first = self._first or (t_ns, uj)
        self._last = (t_ns, uj)
        for change in self._track.changes:
            if isinstance(change, Loss) and not change.stuck:
                self.problem = Problem(change.reason)

    def take_close(self, t_ns: int, raw_uj: int) -> None:
        """A reading from close by."""
        before, self._close_uj = self._close_uj, raw_uj
        self._read_ns.append(t_ns)
        if before is None or raw_uj == before:
            return
        self._moved_ns.append(t_ns)
        if raw_uj > before:  # else it has wrapped or restarted
            self.step_uj = min(self.step_uj or raw_uj, raw_uj - before)

    def judge(self) -> None:
        """After all readings: a counter of the total that stood still does not count.

        A detail may rightly stand still: graphics that nobody uses.
        """
        if self.info.counted and self.power_w == 0 and not self.moves:
            self.problem = Problem("it stood still all the time: it does not count")

    def miss(self, problem: Problem | None) -> None:
        """It could not be read."""
        self.problem = self.problem or problem or Problem("it cannot be read")


class Watch:
    """One source under observation."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.seen = {info.name: Seen(info, absolute=source.absolute) for info in source.counters}
        self.due_ns = 0
        """It is not read again from close by before this time."""
        shortest_s = min((info.resolution_s for info in source.counters), default=0.0)
        self._step_ns = max(STEP_NS, round(shortest_s * NS_PER_S / STEPS))

    def look(self) -> None:
        """Read it from afar."""
        t_ns, _, values = self._read()
        self.take(t_ns, values)

    def take(self, t_ns: int, values: Mapping[str, int]) -> None:
        """Take in a reading from afar."""
        for name, seen in self.seen.items():
            if name in values:
                seen.take(t_ns, values[name])
            else:
                seen.miss(self.source.problems.get(name))

    def look_closely(self) -> None:
        """Read it from close by, and note when that may be done again."""
        t_ns, took_ns, values = self._read()
        for name, seen in self.seen.items():
            if name in values:
                seen.take_close(t_ns, values[name])
        self.due_ns = now_ns() + self.rest_ns(took_ns)

    def rest_ns(self, took_ns: int) -> int:
        """How long it is left alone after a dense reading that took so long."""
        return max(self._step_ns, REST * took_ns)

    def _read(self) -> tuple[int, int, dict[str, int]]:
        before_ns = now_ns()
        values = self.source.read(before_ns)
        took_ns = now_ns() - before_ns
        return before_ns + took_ns // 2, took_ns, values


def from_afar(watches: Iterable[Watch], seconds: float) -> None:
    """Let all of them run for so long, and read them once a second at most."""
    watches = list(watches)
    until_ns = now_ns() + round(seconds * NS_PER_S)
    for watch in watches:
        watch.look()
    while (left_s := (until_ns - now_ns()) / NS_PER_S) > 0:
        time.sleep(min(SELDOM_S, left_s))
        for watch in watches:
            watch.look()


def from_close_by(watches: Sequence[Watch], seconds: float) -> None:
    """Read all of them for so long, as densely as each of them bears."""
    t_ns = now_ns()
    until_ns = t_ns + round(seconds * NS_PER_S)
    while watches and t_ns < until_ns:
        for watch in watches:
            if watch.due_ns <= t_ns:
                watch.look_closely()
        next_ns = min(*(watch.due_ns for watch in watches), until_ns)
        time.sleep(max(0, next_ns - now_ns()) / NS_PER_S)
        t_ns = now_ns()
