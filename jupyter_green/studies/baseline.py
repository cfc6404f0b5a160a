"""The power of the machine when nothing runs, measured on request.

A net figure is ``gross - baseline x time``. It stands beside the gross one and never instead of
it: idle power is real, and somebody pays for it.
"""

from __future__ import annotations

import time

from jupyter_green.errors import RecorderError, SettingError
from jupyter_green.recorder.tracker import Tracker

SHORTEST_S = 1.0
LONGEST_S = 600.0
DEFAULT_S = 10.0


def measure_baseline(tracker: Tracker, seconds: float = DEFAULT_S) -> dict[str, float]:
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
    try:
        time.sleep(seconds)
    finally:
        tracker.span_finished(span)
    session = tracker.session()
    rested = session.span(span)
    if rested.energy.total_uj is None or rested.energy.missing:
        raise RecorderError("the idle machine could not be measured: a counter is missing")
    power_w = {
        name: round(uj / 1e6 / rested.duration_s, 4)
        for name, uj in rested.energy.uj.items()
        if session.counters[name].counted
    }
    tracker.baseline_measured(rested.duration_s, power_w)
    return power_w
