"""A counter made of a sensor that shows only its power now: the trapezoidal rule between reads.

Where readings failed or lie too far apart, the energy between them is unknown. It is not
invented: the counter restarts at 0, as a real one after a reset, which the recorder marks as a
hole; ``gaps`` counts how often that happened.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
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


class Integrated:
    """One counter from one power sensor. It counts only while it is read."""

    in_place = False
    absolute = False

    def __init__(self, sensor: PowerSensor, longest_step_s: float = LONGEST_STEP_S) -> None:
        """``longest_step_s``: between readings further apart the energy counts as unknown."""
        self.gaps = 0
        self._sensor = sensor
        self._counters = (sensor.info,)
        self._longest_step_ns = round(longest_step_s * _NS_PER_S)
        self._sum = 0
        self._last: tuple[int, int] | None = None
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
            self._last = None
            self._problems = {name: Problem(error.reason, error.remedy)}
            return {}
        self._problems = {}
        self._add(now_ns, power_uw)
        return {name: self._sum // _SUM_PER_UJ}

    def close(self) -> None:
        """Close the sensor. Closing twice is harmless."""
        self._closed = True
        self._sensor.close()
        self._problems = {self._counters[0].name: Problem("the source is closed")}

    def _add(self, now_ns: int, power_uw: int) -> None:
        if self._last is not None and 0 <= now_ns - self._last[0] <= self._longest_step_ns:
            before_ns, before_uw = self._last
            self._sum += (before_uw + power_uw) * (now_ns - before_ns)
        elif self._started:
            self.gaps += 1
            self._sum = 0
        self._started = True
        self._last = (now_ns, power_uw)


def _checked_uw(power_w: float) -> int:
    """Whole microwatts of a reading that can be true."""
    if not (math.isfinite(power_w) and power_w >= 0):
        raise UnreadableCounter(f"the sensor shows {power_w} W")
    return round(power_w * _UW_PER_W)
