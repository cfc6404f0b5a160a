"""The power of the machine when nothing runs, measured on request.

A net figure is ``gross - baseline x time``. It stands beside the gross one and never instead of
it: idle power is real, and somebody pays for it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import psutil

from jupyter_green.errors import RecorderError, SettingError
from jupyter_green.recorder.tracker import Tracker
from jupyter_green.sessions.model import BUSY
from jupyter_green.units import format_share

SHORTEST_S = 1.0
LONGEST_S = 600.0
DEFAULT_S = 10.0


@dataclass(frozen=True)
class Idle:
    """What the resting machine took."""

    power_w: dict[str, float]
    """Mean watts by counted counter."""
    busy: float
    """Share of the processors' time, of one, in which somebody else worked."""

    @property
    def doubt(self) -> str:
        """Why this is no baseline, and what to do; empty: the machine was idle."""
        if self.busy < BUSY:
            return ""
        return (
            f"The processors were {format_share(self.busy)} busy meanwhile: this machine was not "
            "idle. End what runs on it, and measure again."
        )


def measure_baseline(tracker: Tracker, seconds: float = DEFAULT_S) -> Idle:
    """Rest for so long, and record the mean watts of every counted counter.

    Raises:
        SettingError: shorter than a second or longer than ten minutes.
        RecorderError: nothing can be read here, or the recorder does not answer.
    """
    if not SHORTEST_S <= seconds <= LONGEST_S:
        raise SettingError(
            f"a baseline takes {SHORTEST_S:g} to {LONGEST_S:g} seconds, not {seconds:g}"
        )
    span = tracker.span_started("idle baseline", "baseline")
    before = psutil.cpu_times()
    try:
        time.sleep(seconds)
    finally:
        tracker.span_finished(span)
    busy = _busy(before, psutil.cpu_times())
    session = tracker.session()
    rested = session.span(span)
    if rested.energy.total_uj is None or rested.energy.missing:
        raise RecorderError("the idle machine could not be measured: a counter is missing")
    power_w = {
        name: round(uj / 1e6 / rested.duration_s, 4)
        for name, uj in rested.energy.uj.items()
        if session.counters[name].counted
    }
    tracker.baseline_measured(rested.duration_s, power_w, round(busy, 3))
    return Idle(power_w, busy)


def _busy(before: Any, after: Any) -> float:
    """Share of the time between two looks that was not idle; 0 where it did not pass."""
    passed_s = sum(after) - sum(before)
    names = ("idle", "iowait")
    idle_s = sum(getattr(after, name, 0.0) - getattr(before, name, 0.0) for name in names)
    return min(1.0, max(0.0, 1 - idle_s / passed_s)) if passed_s > 0 else 0.0
