"""A counter made of a sensor that shows only its power: what its readings add up to.

Where readings failed or lie too far apart, the energy between them is unknown. It is not
invented: the counter restarts at 0, as a real one after a reset, which the recorder marks as a
hole; ``gaps`` counts how often that happened.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from itertools import pairwise
from typing import Protocol

from jupyter_green.errors import UnreadableCounter
from jupyter_green.events import CounterInfo
from jupyter_green.sources.counter import Problem

LONGEST_STEP_S = 5.0

_NS_PER_S = 1_000_000_000
_UW_PER_W = 1_000_000
# The running sum is in microwatts x nanoseconds x 2, so that it is whole: the rule's half is
# taken, with the unit, when it is read.
_SUM_PER_UJ = 2 * _NS_PER_S


class PowerSensor(Protocol):
    """Anything that tells its power in watts."""

    @property
    def info(self) -> CounterInfo:
        """The counter to be made of it; its provenance is ``integrated``."""
        ...

    def power_w(self, now_ns: int) -> float:
        """Watts at monotonic time ``now_ns``.

        Raises:
            UnreadableCounter: the sensor cannot be read now.
        """
        ...

    def close(self) -> None:
        """Give back descriptors and handles. May be called twice."""
        ...


class Trapezoids:
    """The energy below the readings, joined by straight lines."""

    def __init__(self) -> None:
        self._sum = 0
        self._last: tuple[int, int] | None = None

    def add(self, now_ns: int, power_uw: int) -> int:
        """Microjoules since the first reading."""
        if self._last is not None:
            before_ns, before_uw = self._last
            self._sum += (before_uw + power_uw) * (now_ns - before_ns)
        self._last = (now_ns, power_uw)
        return self._sum // _SUM_PER_UJ


class RunningMean:
    """The energy of a sensor that shows the mean power of its last window.

    Window times mean is the energy since the window began, exactly, whatever power did in it: so
    each new value adds to what was known a window earlier. (The plain integral of a mean comes
    half a window late.) A value is new when it changes, about midway between two looks; so what
    is told is of ``delay_s`` ago, when it was followed by a new one already. Before the first
    reading power counts as steady.
    """

    def __init__(self, window_s: float, delay_s: float) -> None:
        self._window_ns = round(window_s * _NS_PER_S)
        self._delay_ns = round(delay_s * _NS_PER_S)
        self._known: deque[tuple[int, float]] = deque()
        self._first_uw = self._shown_uw = 0
        self._looked_ns = 0
        self._told_uj = 0

    def add(self, now_ns: int, power_uw: int) -> int:
        """Microjoules from a delay before the first reading to a delay ago."""
        if not self._known:
            self._first_uw = self._shown_uw = power_uw
            # Counted from where the delay begins, so that nothing is below zero.
            self._known.append((now_ns, power_uw * self._delay_ns / _NS_PER_S))
        elif power_uw != self._shown_uw:
            self._learn((self._looked_ns + now_ns) // 2, power_uw)
        self._looked_ns = now_ns
        # A counter never falls. What is known may: a correction must not be lost.
        self._told_uj = max(self._told_uj, int(self._at(now_ns - self._delay_ns)))
        return self._told_uj

    def _learn(self, t_ns: int, power_uw: int) -> None:
        """The sensor has shown a new value since ``t_ns``."""
        oldest_ns = t_ns - self._window_ns
        while len(self._known) > 2 and self._known[1][0] <= oldest_ns:
            self._known.popleft()
        energy_uj = self._at(oldest_ns) + power_uw * self._window_ns / _NS_PER_S
        self._known.append((t_ns, energy_uj))
        self._shown_uw = power_uw

    def _at(self, t_ns: int) -> float:
        """Microjoules at a time in the past."""
        for (t0, e0), (t1, e1) in pairwise(self._known):
            if t0 <= t_ns < t1:
                return e0 + (e1 - e0) * (t_ns - t0) / (t1 - t0)
        t0, e0 = self._known[0]
        if t_ns < t0:
            return e0 - self._first_uw * (t0 - t_ns) / _NS_PER_S
        return self._ahead(t_ns)

    def _ahead(self, t_ns: int) -> float:
        """Microjoules after the last new value: power goes on as it was."""
        t1, e1 = self._known[-1]
        power_uw = float(self._shown_uw)
        # A value that has stood for a whole window is the power itself.
        if len(self._known) > 1 and t_ns - t1 < self._window_ns:
            t0, e0 = self._known[-2]
            power_uw = max(0.0, (e1 - e0) * _NS_PER_S / (t1 - t0))
        return e1 + power_uw * (t_ns - t1) / _NS_PER_S


class Integrated:
    """One counter from one power sensor. It counts only while it is read."""

    in_place = False
    absolute = False

    def __init__(
        self,
        sensor: PowerSensor,
        longest_step_s: float = LONGEST_STEP_S,
        window_s: float = 0.0,
        delay_s: float = 0.0,
    ) -> None:
        """Begin at 0.

        Args:
            sensor: what is read.
            longest_step_s: between readings further apart the energy counts as unknown.
            window_s: the sensor shows the mean power of so many seconds; 0: that of the moment.
            delay_s: of a mean, tell the energy of so long ago, which is known better.
        """
        self.gaps = 0
        self._sensor = sensor
        self._window_s, self._delay_s = window_s, delay_s
        self._sum = self._new_sum()
        self._counters = (sensor.info,)
        self._longest_step_ns = round(longest_step_s * _NS_PER_S)
        self._last_ns: int | None = None
        self._started = False
        self._problems: dict[str, Problem] = {}
        self._closed = False

    @property
    def name(self) -> str:
        return self._counters[0].source

    @property
    def counters(self) -> tuple[CounterInfo, ...]:
        return self._counters

    @property
    def problems(self) -> Mapping[str, Problem]:
        return self._problems

    def read(self, now_ns: int) -> dict[str, int]:
        """Raw microjoules since the first reading, or since the last gap."""
        if self._closed:
            return {}
        name = self._counters[0].name
        try:
            power_uw = _checked_uw(self._sensor.power_w(now_ns))
        except UnreadableCounter as error:
            self._last_ns = None
            self._problems = {name: Problem(error.reason, error.remedy)}
            return {}
        self._problems = {}
        return {name: self._add(now_ns, power_uw)}

    def close(self) -> None:
        """Close the sensor. Closing twice is harmless."""
        self._closed = True
        self._sensor.close()
        self._problems = {self._counters[0].name: Problem("the source is closed")}

    def _new_sum(self) -> Trapezoids | RunningMean:
        return RunningMean(self._window_s, self._delay_s) if self._window_s else Trapezoids()

    def _add(self, now_ns: int, power_uw: int) -> int:
        last_ns, self._last_ns = self._last_ns, now_ns
        connected = last_ns is not None and 0 <= now_ns - last_ns <= self._longest_step_ns
        if self._started and not connected:
            self.gaps += 1
            self._sum = self._new_sum()
        self._started = True
        return self._sum.add(now_ns, power_uw)


def _checked_uw(power_w: float) -> int:
    """Whole microwatts of a reading that can be true."""
    if not (math.isfinite(power_w) and power_w >= 0):
        raise UnreadableCounter(f"the sensor shows {power_w} W")
    return round(power_w * _UW_PER_W)
