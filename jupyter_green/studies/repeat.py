"""Energy of something too short to measure once: ``%energyit`` as ``%timeit``, and the parts of
every study that repeats work: enough loops, warm-up, one run as a span, what the runs have shown.

The work is repeated in a loop until the counters' updates are less than a hundredth of the
window, the loop is run several times after a warm-up, and mean and standard deviation are told
per loop. Published guides to energy experiments ask for just this (Cruz, "Green software
engineering done right", 2021): warm-up, repetition, deviation.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from jupyter_green.errors import RecorderError, SettingError
from jupyter_green.events import CounterInfo, Tags
from jupyter_green.insight.repeated import Repeated, told
from jupyter_green.recorder.tracker import Tracker
from jupyter_green.sessions.model import Session
from jupyter_green.studies.spans import span_around

RESOLUTION_SHARE = 0.01
"""One update of the slowest counter is at most this share of a run."""
SHORTEST_RUN_S = 0.1
SHORTEST_DEVICE_RUN_S = 1.0
"""A GPU's counter moves ten times a second; boundaries are placed between its ticks to a
millisecond or so, where the power around them is steady."""
RUNS = 7
MOST_LOOPS = 10**9

DELIBERATE = Tags(deliberate=True)

Loop = Callable[[int], object]
"""Does the work so many times."""


@dataclass(frozen=True)
class Work:
    """What is repeated, and what its runs are called in the session."""

    loop: Loop
    name: str
    tags: Tags = DELIBERATE


def repeat(
    tracker: Tracker, loop: Loop, *, name: str, loops: int | None = None, runs: int = RUNS
) -> Repeated:
    """Measure ``loop`` over several runs.

    Args:
        tracker: of the session in which the runs are recorded, as spans.
        loop: called with the number of loops.
        name: what the spans are called.
        loops: in each run; None: so many that the counters resolve a run.
        runs: measured runs; a first one, for warming up, comes on top.

    Raises:
        SettingError: a number below one.
        RecorderError: nothing can be read here, or the recorder does not answer.
    """
    if runs < 1 or (loops is not None and loops < 1):
        raise SettingError(f"loops and runs must be 1 or more, they are {loops} and {runs}")
    work = Work(loop, name)
    loops = warmed_up(tracker, work, loops)
    spans = [one_run(tracker, work, loops) for _ in range(runs)]
    return told(tracker.session(), spans, loops)


def enough_loops(loop: Loop, seconds: float) -> int:
    """The number of loops that take at least ``seconds``; warms up on the way."""
    loops = 1
    while loops < MOST_LOOPS:
        began_s = time.perf_counter()
        loop(loops)
        took_s = time.perf_counter() - began_s
        if took_s >= seconds:
            return loops
        # Not too far at once: the first loops are the slowest.
        factor = min(10.0, 1.1 * seconds / max(took_s, 1e-9))
        loops = max(loops + 1, math.ceil(loops * factor))
    return MOST_LOOPS


def warmed_up(
    tracker: Tracker, work: Work, loops: int | None = None, seconds: float | None = None
) -> int:
    """The number of loops of a run, after one of them; the work may turn out to use a device.

    Args:
        loops: where the user wants just so many.
        seconds: where the user wants runs of this length; None: as long as the counters need.

    Raises:
        RecorderError: nothing can be read here, or the recorder does not answer.
    """
    needed_s = shortest_run_s(tracker.session())
    number = loops or enough_loops(work.loop, seconds or needed_s)
    # A window of its own, at whose ends it is looked at who uses the devices.
    one_run(tracker, work, number, "warm-up")
    if loops or seconds:
        return number
    slower_s = shortest_run_s(tracker.session())
    return enough_loops(work.loop, slower_s) if slower_s > needed_s else number


def shortest_run_s(session: Session) -> float:
    """Seconds after which every counter in use resolves a run.

    Raises:
        RecorderError: there is none.
    """
    counted = [info for info in session.counters.values() if info.counted]
    if not counted:
        raise RecorderError(
            "no energy counter can be read here, and no model is possible; %green says why"
        )
    used = [info for info in counted if info.scope != "device" or session.total.uj.get(info.name)]
    return max([SHORTEST_RUN_S, *map(_resolved_s, used)])


def _resolved_s(info: CounterInfo) -> float:
    """A window of which the counter's updates are no more than a hundredth."""
    return SHORTEST_DEVICE_RUN_S if info.centred else info.resolution_s / RESOLUTION_SHARE


def one_run(tracker: Tracker, work: Work, loops: int, type_: str = "trial") -> int:
    """Do the work as one span; returns its number. What the work raises passes through."""
    with span_around(tracker, work.name, type_, work.tags) as span:
        work.loop(loops)
    return span
